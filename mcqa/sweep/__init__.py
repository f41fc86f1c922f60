"""Studies of hyperparameters: keep every slot busy, lose no trial, tell the answer honestly."""

from mcqa.runs import trial

__all__ = ["trial"]
