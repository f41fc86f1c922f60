"""A run as files, processes and an entry in the tracker, whatever it computes."""
