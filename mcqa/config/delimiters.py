"""What may stand between the cells of a CSV file, by the names that data.delimiter knows them by."""

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
