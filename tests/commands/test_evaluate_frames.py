"""`evaluate --frames`: what a model makes of frames that a library resizes with integers, beside Pillow's images."""

import json

import keras
import numpy as np
import pytest
from int8_models import converted_model
from sklearn.datasets import load_digits

from tinytrain.commands.evaluate import evaluate
from tinytrain.data import frames
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter


def bilinear(image, side):
    """Returns a small image enlarged to `side`, in float64: the 4 pixels around each centre by their distances."""
    places = np.clip((np.arange(side) + 0.5) * len(image) / side - 0.5, 0, len(image) - 1)
    first = np.minimum(places.astype(int), len(image) - 2)
    rest = places - first
    across = (1 - rest) * image[:, first] + rest * image[:, first + 1]
    return (1 - rest)[:, None] * across[first] + rest[:, None] * across[first + 1]


@pytest.fixture(scope="module")
def test_digits(trained_run):
    """The test images of the run as the digits come, (N, 8, 8), and their labels."""
    digits, names = load_digits(), json.loads((trained_run.folder / "split.json").read_text())["test"]
    numbers = [int(name.removeprefix("digit-")) for name in names]
    return np.round(digits.images[numbers] * (255 / 16)), digits.target[numbers]


def test_a_run_is_measured_on_frames_and_on_pillows_images(trained_run, test_digits):
    result = evaluate(trained_run.folder, frames="gray8")
    images, labels = test_digits
    side = keras.models.load_model(trained_run.model_path).input_shape[1]
    enlarged = np.array([bilinear(image, side) for image in images])[..., None]
    model = keras.models.load_model(trained_run.model_path)
    right = model.predict(np.float32(enlarged / 128 - 1), verbose=0).argmax(axis=1) == labels
    assert result["frames"] == "gray8"
    assert result["pillow"] == evaluate(trained_run.folder)
    assert result["integer"]["images"] == len(labels)
    assert abs(result["integer"]["top1"] - right.mean()) <= 2 / len(labels)  # integers round


def test_an_exported_file_is_measured_on_the_same_frames(exported_run, test_digits):
    path = exported_run[1] / "model.tflite"
    result = evaluate(path, frames="rgb565-be")
    images, labels = test_digits
    side = exported_run[0]["input"]["shape"][1]
    seen = [
        frames.colors(frames.encoded(np.uint8(image[..., None]), "rgb565-be"), 8, "rgb565-be", 1) for image in images
    ]
    inputs = np.array([frames.resized(image, side, side, "stretch") for image in seen]).astype(int) - 128
    (scores,) = ReferenceInterpreter(path.read_bytes()).run(inputs.astype(np.int8))
    assert result["integer"]["top1"] == pytest.approx((scores.argmax(axis=1) == labels).mean())
    assert result["pillow"]["top1"] == pytest.approx(exported_run[0]["accuracy"]["int8"])


def test_both_lines_are_printed(command_line, trained_run):
    status, out, _ = command_line("evaluate", trained_run.folder, "--frames", "yuyv", "--split", "val", "--json")
    lines = out.splitlines()
    assert status == 0
    assert [line.split()[0] for line in lines[:2]] == ["pillow", "integer"]
    assert json.loads(lines[-1])["frames"] == "yuyv"


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ("gray8", "--frames gray8 has no colors, but this network takes 3 channels"),
        ("yuv", "unknown frames 'yuv'; did you mean 'yuyv'?"),
    ],
)
def test_frames_that_the_model_cannot_take_are_one_sentence(command_line, image_folder, tmp_path, form, sentence):
    (tmp_path / "model.tflite").write_bytes(converted_model())
    words = [
        "--data",
        f"folder:{image_folder(classes=list('abcdefghij'), count=4)}",
        "data.split=random",
        "--frames",
        form,
    ]
    status, _, errors = command_line("evaluate", tmp_path / "model.tflite", *words)
    assert status == 2
    assert sentence in errors.splitlines()[-1]
    assert errors.count(sentence) == 1
