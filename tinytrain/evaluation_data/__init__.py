"""The images that a model is measured on, and where a .tflite comes from."""
