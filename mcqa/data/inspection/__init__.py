"""What a file is: which columns could hold a question, which of them read all rows, and how that is shown."""
