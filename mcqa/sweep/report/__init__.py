"""python -m mcqa.sweep.report: what a study found, as text, tables and a page."""
