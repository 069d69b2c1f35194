"""Estimates how long a core takes to train a network with one image, from the network's graph.

    seconds = OVERHEAD + DENSE·(MACs of other layers) + DEPTHWISE·(MACs of depthwise convolutions)

A multiply-accumulate of a depthwise convolution takes fourteen times as long as another one, so MACs alone say little.
"""

import keras

from tinytrain.nn import macs

# `taskset -c 0 python benchmarks/training_cost.py` on 2026-11-25: processor seconds on one of two x86-64 cores with
# AVX-512, TensorFlow 2.21, float32, with other jobs running. Within 30 % for plain steps of nine networks.
OVERHEAD, DENSE, DEPTHWISE = 5.9e-4, 8.0e-11, 1.15e-9  # seconds, seconds per MAC, seconds per depthwise MAC


def seconds(dense: float, depthwise: float) -> float:
    """Returns the seconds of a step for one image, by its MACs in other layers and in depthwise convolutions."""
    return OVERHEAD + DENSE * dense + DEPTHWISE * depthwise


def seconds_of(model: keras.Model) -> float:
    """Returns the seconds of a step of `model` for one image."""
    depthwise = macs.depthwise(model)
    return seconds(macs.count(model) - depthwise, depthwise)
