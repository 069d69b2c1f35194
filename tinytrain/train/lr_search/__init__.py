"""The search for the learning rate before a training."""
