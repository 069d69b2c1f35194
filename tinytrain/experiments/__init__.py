"""Experiments: many runs that are planned and trained together, and the tables of their results."""
