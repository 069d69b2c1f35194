"""Predicted instructions against those counted on the emulated core (firmware.md, "Reference figures")."""

import pytest

from tinytrain import rooms
from tinytrain.deploy import boards, flatbuffer, latency, tflite


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "resolution", "classes", "counted"),
    [
        ("resnet8", 1.0, 32, 10, 30.0e6),
        ("mobilenet_v1", 0.25, 96, 2, 24.0e6),
        ("mobilenet_v2", 0.35, 96, 2, 45.9e6 - 1.5e6),
    ],
)
def test_the_prediction_is_within_a_tenth(name, width, resolution, classes, counted):
    """MobileNetV2 without the 1.5 M instructions of the MEAN that the reference figure holds."""
    build = rooms.load("models", name).build
    model = build(classes=classes, channels=3, width=width, resolution=resolution)
    predicted = latency.instructions(flatbuffer.read(tflite.convert_untrained(model)))
    assert predicted == pytest.approx(counted, rel=0.1)


def test_the_best_case_is_one_instruction_a_cycle():
    best, likely, worst = latency.milliseconds(1e6, boards.load("stm32f746"))
    clock_hz = boards.load("stm32f746").clock_hz
    assert best == pytest.approx(1e9 / clock_hz)
    assert best < likely < worst
