"""Hydra's way to mcqa.sweep: hydra/sweeper=mcqa in any Hydra application."""
