"""Teachers: a network that learns from a larger one, beside plain training for the same time."""
