"""What a study varies: keys, their values, and how both are written on a command line."""
