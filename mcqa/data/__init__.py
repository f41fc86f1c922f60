"""Question sets: read, checked and split, then turned into prompts and tokens."""
