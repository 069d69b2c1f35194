"""One straight function for each command, in the file of its name."""
