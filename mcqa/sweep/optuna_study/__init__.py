"""A study in Optuna: its storage, samplers, pruners and trials."""
