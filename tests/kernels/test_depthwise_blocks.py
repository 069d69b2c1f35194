"""Blocks of depthwise convolutions: weights that only ever meet the border are left out, by hand."""

import numpy as np
import pytest
from operator_files import OperatorFile
from random_operators import add_depthwise

from tinytrain.deploy.kernels import depthwise
from tinytrain.deploy.kernels.prepare import prepare
from tinytrain.deploy.kernels.windows import Window
from tinytrain.tflite.model import Model

HEAD_BYTES, CHANNEL_BYTES = 40, 12  # KernelDepthwise and KernelChannel in firmware/kernels/kernels.h


def prepared(window, sides):
    """Returns a convolution with SAME padding, where that is the only one that fits, its window and its kernel."""
    file = OperatorFile()
    add_depthwise(file, np.random.default_rng(1), window, sides)
    model = Model.parse(file.content())
    (operator,) = model.operators
    return Window.of(operator, operator.inputs[1].shape[1:3]), prepare(model, operator)


@pytest.mark.parametrize(
    ("window", "sides", "variant", "weight_bytes"),
    [
        ((7, 1), (1, 1), "small", 4),  # 1
        ((3, 2), (2, 2), "small", 4),  # 2x2
        ((7, 1), (2, 2), "small", 12),  # 3x3
        ((7, 1), (3, 3), "small", 28),  # 5x5
        ((7, 1), (3, 1), "small", 8),  # 5x1
        ((7, 2), (4, 4), "7", 84),  # 7 rows of 3 words
        ((5, 1), (4, 4), "5", 40),  # 5 rows of 2 words
        ((5, 1), (1, 4), "5", 40),  # 1x5, but four columns at a time are too many for the kernel of small maps
    ],
)
def test_weights_that_no_output_sees_are_left_out(window, sides, variant, weight_bytes):
    whole, kernel = prepared(window, sides)
    channels = whole.source[2]
    assert depthwise.variant(kernel) == variant
    assert len(kernel.block) == HEAD_BYTES + channels * (CHANNEL_BYTES + weight_bytes)
    assert (kernel.scratch_bytes == 0) == (variant == "small")
    assert depthwise.block_bytes(whole) == len(kernel.block)
    assert depthwise.scratch_bytes(whole) == kernel.scratch_bytes
    assert depthwise.lead(whole) == kernel.lead
