"""Compiles a model to C: a network as calls of the kernels in firmware/kernels, without TensorFlow Lite Micro."""
