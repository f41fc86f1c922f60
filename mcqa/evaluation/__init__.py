"""Measuring a model on questions: scoring, metrics, statistics and the reports of both."""
