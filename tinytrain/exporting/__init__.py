"""The parts of an export: what is exported, checks before the work, the arena, what is written, and what is proven."""
