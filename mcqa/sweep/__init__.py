"""Studies of hyperparameters: keep every slot busy, lose no trial, tell the answer honestly."""
