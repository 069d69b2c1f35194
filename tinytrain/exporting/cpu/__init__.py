"""The parts of an export for a CPU: what both models answer, what that proves, and the report in words."""
