"""The int8 boxes of an export in the report: those of golden.npz, decoded as the firmware does, or left out."""

import dataclasses
import json

import bench_helpers
import literal_decode
import numpy as np
import pytest
from int8_models import cells_decoder, cells_model, detector_config, detector_decoder, detector_model

from tinytrain.data import boxes
from tinytrain.errors import UserError
from tinytrain.reporting import predictions
from tinytrain.reporting.runs import Export, Subject
from tinytrain.train import task as tasks

CLASSES, SCORE = ["cat", "dog"], 0.4
ANNOTATIONS = boxes.pack([[boxes.Box(0, (2, 2, 12, 12))], [], [boxes.Box(1, (4, 8, 30, 30))], []])
# what finds boxes, the model, its decoder, and the same written down plainly
HEADS = {
    "yolo3_lite": (detector_model, detector_decoder, literal_decode.decode_anchors),
    "centroid": (cells_model, cells_decoder, literal_decode.decode_cells),
}


@pytest.fixture(scope="module", params=HEADS)
def exported(request, tmp_path_factory):
    """Returns the head, an export of a detector with it, and the pixels of its images."""
    make_model, make_decoder, _ = HEADS[request.param]
    model, folder = make_model(), tmp_path_factory.mktemp("exported") / "export"
    bench_helpers.exported(folder, count=4, model=model, decoder=make_decoder(model), annotations=ANNOTATIONS)
    (folder / "model.tflite").write_bytes(model)
    with np.load(folder / "golden.npz") as golden:
        pixels = (golden["inputs"].astype(int) + 128).astype(np.uint8)
    return request.param, Export(folder, json.loads((folder / "report.json").read_text()), {}), pixels


def int8(exported, export=None, pixels=None, **changes):
    """Returns the detections that the report has; `changes` are values of [detect] in the config of the run."""
    head, whole, images = exported
    config = detector_config(SCORE, head)
    for name, value in changes.items():
        setattr(config.detect, name, value)
    images = images if pixels is None else pixels
    test = predictions.LabelledImages(images, boxes.pack([[]] * len(images)), [""] * len(images), CLASSES)
    proven = predictions.golden(whole)
    return predictions.of_export(export or whole, proven, tasks.of(config, CLASSES), test)["int8"]


def test_the_boxes_are_those_of_plain_integers(exported):
    head, export, _ = exported
    make_model, make_decoder, decode = HEADS[head]
    decoder = dataclasses.replace(make_decoder(make_model()), score=0.01, room=400)
    outputs = predictions.golden(export).outputs
    total = 0
    for rows, *image in zip(int8(exported), *outputs, strict=True):
        expected = np.array(decode(decoder, image), float)[:100] / [16, 16, 16, 16, 2**15, 1]
        np.testing.assert_allclose(rows[: len(expected)], expected, rtol=1e-6)
        assert (rows[len(expected) :, 5] == -1).all()
        total += len(expected)
    assert total > 20


def test_boxes_of_another_run_are_left_out_with_a_sentence(exported):
    head, export, pixels = exported
    other = dict(export.report, decoder=dict(export.report["decoder"], score=0.5))
    with pytest.raises(UserError, match=r"the decoder of the firmware in '.*' is not that of the run: export it again"):
        int8(exported, dataclasses.replace(export, report=other))
    with pytest.raises(UserError, match="are not the test images of the run"):
        int8(exported, pixels=pixels[::-1])
    strides = [8, 4] if head == "yolo3_lite" else [16]
    with pytest.raises(UserError, match=r"the .tflite is not of this run: with detect.strides = \[.*received outputs"):
        int8(exported, strides=strides)


def test_the_boxes_of_the_export_stand_in_for_the_data(exported, tmp_path):
    head, export, pixels = exported
    config, files = detector_config(SCORE, head), ["a", "b", "c", "d"]
    config.data.spec = f"voc:{tmp_path / 'nowhere'}"
    subject = Subject("run", None, config, {}, [], {"classes": CLASSES}, {"test": files}, {}, [export])
    proven = predictions.golden(export)
    test = predictions.test_images(subject, proven)
    assert (test.names, test.classes) == (files, CLASSES)
    np.testing.assert_array_equal(test.images, pixels)
    np.testing.assert_array_equal(test.samples.annotations, ANNOTATIONS)
    assert test.note.startswith("Images and boxes are those of the export, so areas are in pixels of the network's")
    for other in (dataclasses.replace(proven, annotations=None), None):
        with pytest.raises(UserError, match="no folder"):
            predictions.test_images(subject, other)
