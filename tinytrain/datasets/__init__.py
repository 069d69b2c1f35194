"""The kinds of data source, a file each: its name is the word before the colon of a SPEC."""
