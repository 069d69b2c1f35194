"""TensorFlow Lite Micro: its interpreter, the memory it plans, the operators it has and what they cost."""
