"""How each published question set is read; one file a dataset."""
