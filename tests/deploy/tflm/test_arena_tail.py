"""What TFLM keeps at the end of the arena, added up by hand."""

import numpy as np
from int8_models import shaped

from tinytrain.deploy.tflm import arena_tail
from tinytrain.deploy.tflm.arena_tail import Kept
from tinytrain.tflite.model import Operator, Tensor


def test_the_tail_of_an_operator_of_ours_by_hand():
    base = 36 + 44 + 36 + 8 + 8
    records = base + 3 * 12 + 32 + 4  # three tensors, an operator, a scratch handle
    before_output = -(-(records + 4) // 16) * 16 + 32 + 12 + 8
    assert arena_tail.tail_bytes(3, [Kept()], scratch=1, inputs=1, outputs=1) == 272 + 52
    assert before_output == 208 + 52


def test_options_are_words_but_for_single_bytes_and_data_are_aligned_to_sixteen():
    without = arena_tail.tail_bytes(0, [], scratch=0, inputs=0, outputs=0)
    assert without == 144  # 132 and the alignment of no inputs
    assert arena_tail.tail_bytes(0, [Kept(1, (36,))], 0, 0, 0) == 208  # 132 + 32 + 1 + 36 is 201
    assert arena_tail.tail_bytes(0, [Kept(5)], 0, 0, 0) == 176  # 132 + 32 + 8 is 172


def test_a_convolution_keeps_two_numbers_a_channel_and_an_unknown_operator_what_nobody_knows():
    map_shape = (1, 6, 5, 8)
    conv = shaped("CONV_2D", map_shape, (16, 3, 3, 8), (1, 6, 5, 16))
    assert arena_tail.kept(conv, "int8") == Kept(28, (60, 64, 64))
    depthwise = shaped("DEPTHWISE_CONV_2D", map_shape, (1, 3, 3, 8), map_shape)
    assert arena_tail.kept(depthwise, "int8") == Kept(28, (60, 32, 32))
    weights = Tensor("", (5, 8), "int8", tuple(np.ones(5)), (0,), True)
    dense = shaped("FULLY_CONNECTED", (1, 8), (5, 8), (1, 5))
    assert arena_tail.kept(dense, "int8") == Kept(5, (72,))
    by_channel = Operator(dense.name, (dense.inputs[0], weights), dense.outputs)
    assert arena_tail.kept(by_channel, "int8") == Kept(5, (72, 20, 20))
    assert arena_tail.kept(shaped("HARD_SWISH", map_shape, map_shape), "own") == Kept()
    assert arena_tail.kept(shaped("GATHER", map_shape, map_shape), "general") is None
