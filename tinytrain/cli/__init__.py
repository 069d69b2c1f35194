"""The command line: what is typed, what is listed, and the one place that catches our errors."""
