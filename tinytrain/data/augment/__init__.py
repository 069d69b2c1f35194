"""Augmentation of whole uint8 batches (B, H, W, C), C in {1, 3}: the image operations, and the layers made of them."""
