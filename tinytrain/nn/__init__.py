"""Networks as such: blocks, graphs, initial and pretrained weights; nothing here knows of a training or a chip."""
