"""The flash that an image is estimated to take, without compiler and TFLM."""

import dataclasses

import pytest
from int8_models import conv_model

from tinytrain.deploy import boards, firmware
from tinytrain.tflite import model as flatbuffer


@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_the_golden_case_is_in_flash_a_byte_for_each_value(end):
    graph, board = flatbuffer.read(conv_model()), boards.load("stm32f746")
    (tensor,) = getattr(graph, end)
    larger = dataclasses.replace(graph, **{end: (dataclasses.replace(tensor, shape=(1, 1000)),)})
    before, after = (firmware.estimate(one, 744, 8192, board).flash_bytes for one in (graph, larger))
    values = {"inputs": 4 * 4 * 3, "outputs": 4 * 4 * 5}[end]
    assert after - before == 1000 - values
