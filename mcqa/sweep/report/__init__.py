"""python -m mcqa.sweep.report: the result of a study as text, tables and a page."""
