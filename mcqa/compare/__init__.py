"""python -m mcqa.compare: which of several runs is better, by how much, and whether that is significant."""
