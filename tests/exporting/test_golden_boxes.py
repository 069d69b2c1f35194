"""The image that a detector's firmware proves itself on: one with boxes, if the model finds any."""

from pathlib import Path
from types import SimpleNamespace

import export_reports
import literal_decode
import numpy as np
import pytest
from int8_models import DETECTOR_CLASSES, detector_config, detector_decoder, detector_model

from tinytrain.exporting import write
from tinytrain.exporting.text import summary
from tinytrain.tflite.model import Model

SCORE = 0.4


def held(outputs):
    """Returns what the firmware would hold of `detector_model` with these outputs (N, elements) for its images."""
    graph = Model.parse(detector_model())
    task = SimpleNamespace(name="detect", config=detector_config(SCORE), figures=SimpleNamespace(golden_case=None))
    pixels = SimpleNamespace(tables=lambda _: None, bgr=False)
    images = np.arange(len(outputs[0]), dtype=np.int8)
    classes = ["class"] * DETECTOR_CLASSES
    of_images = {"images": images, "pixels": pixels, "resize": "stretch", "samples": None}
    model = SimpleNamespace(name="detector", task=task, classes=classes, tflite=graph, **of_images)
    return write.contents(model, graph, outputs, False, None, 1024)


@pytest.fixture(scope="module")
def outputs():
    """Outputs for 5 images: nothing in the first ones, noise in the others."""
    sizes = [int(np.prod(shape)) for shape in detector_decoder(detector_model()).shapes]
    random = np.random.default_rng(0)
    return [
        np.concatenate([np.full((3, size), -128), random.integers(-128, 128, (2, size))]).astype(np.int8)
        for size in sizes
    ]


def test_the_golden_image_is_that_with_most_boxes(outputs):
    decoder = detector_decoder(detector_model(), score=SCORE)
    counts = [len(literal_decode.decode_anchors(decoder, each)) for each in zip(*outputs, strict=True)]
    assert counts[:3] == [0, 0, 0]
    assert max(counts) > 0
    contents = held(outputs)
    assert contents.golden_input == np.argmax(counts)
    assert len(contents.golden_boxes) == max(counts)


def test_no_box_in_any_image_is_told(outputs):
    assert len(held([output[:3] for output in outputs]).golden_boxes) == 0
    sentence = "boxes     WARNING: the int8 model finds no box in any of the images that it is proven on"
    for count in (0, 7):
        text = summary(export_reports.report(task="detect", golden_boxes=count), Path("out"))
        assert (sentence in text) == (count == 0)
    assert sentence not in summary(export_reports.report(), Path("out"))
