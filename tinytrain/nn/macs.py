"""Counts the multiply-accumulates (MACs) of a functional model: convolutions and dense layers, without BatchNorm."""

import math

import keras


def count(model: keras.Model) -> int:
    """Returns the MACs of one image through `model`, counted from its graph (methods.md B.1)."""
    return sum(of_layer(layer) for layer in model.layers)


def depthwise(model: keras.Model) -> int:
    """Returns those of them that are of depthwise convolutions."""
    nested = sum(depthwise(layer) for layer in model.layers if isinstance(layer, keras.Model))
    return nested + sum(of_layer(layer) for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D))


def of_layer(layer: keras.Layer) -> int:
    """Returns the MACs of one layer for one image; 0 if it is neither a convolution nor a dense layer."""
    if isinstance(layer, keras.Model):
        return count(layer)
    if not isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense):
        return 0
    out = layer.output.shape[1:]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return math.prod(out) * math.prod(layer.kernel_size)
    inputs_per_output = math.prod(layer.kernel.shape[:-1])  # k·k·C_in/groups, or C_in
    return math.prod(out) * inputs_per_output
