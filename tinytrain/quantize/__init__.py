"""Quantization: clones a trained network in tf_keras, fine-tunes it with fake quantization, and converts it to int8."""
