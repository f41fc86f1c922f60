"""Training: the arguments of the trainer, its callbacks, checkpoints and resuming."""
