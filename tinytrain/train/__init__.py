"""One training: the trainer, what a method is, optimizers and schedules, checkpoints."""
