"""The .tflite file: what it says of itself, and what is changed in it."""
