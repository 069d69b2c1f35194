"""What a board answers and how long it takes: the measurement of `tinytrain bench`."""
