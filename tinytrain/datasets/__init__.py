"""The kinds of data sources, one file each; its name is the word before the colon of a data.spec."""
