"""The flash that an image is estimated to take, without compiler and TFLM."""

from types import SimpleNamespace

import pytest
from int8_models import conv_model

from tinytrain.deploy import boards, firmware
from tinytrain.tflite.model import Model


@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_the_golden_case_is_in_flash_a_byte_for_each_value(end):
    model, board = Model.parse(conv_model()), boards.load("stm32f746")
    parts = {name: getattr(model, name) for name in ("content", "operators", "inputs", "outputs")}
    larger = SimpleNamespace(**parts | {end: (SimpleNamespace(shape=(1, 1000)),)})
    before, after = (firmware.estimate(one, 8192, board).flash_bytes for one in (model, larger))
    values = {"inputs": 4 * 4 * 3, "outputs": 4 * 4 * 5}[end]
    assert after - before == 1000 - values
