"""The tables of `tinytrain list`."""
