"""Networks: blocks, graphs, initial and pretrained weights. Nothing here knows about training or chips."""
