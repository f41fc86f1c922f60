"""The log-probability of every choice of a question, in one forward pass."""
