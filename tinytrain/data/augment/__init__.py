"""Data augmentation of whole uint8 batches (B, H, W, C), C in {1, 3}: image operations, and layers that apply them."""
