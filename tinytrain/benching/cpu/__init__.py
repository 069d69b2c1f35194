"""The measurement of an export for a CPU: whether it answers as exported, and how fast it is."""
