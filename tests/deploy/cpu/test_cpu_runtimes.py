"""The runtimes of a CPU: both answer as Keras and TFLM do, have the streams that they say, and are named if missing."""

import importlib.util
import sys

import keras
import numpy as np
import pytest
from int8_models import detector_model, noise_images, two_output_model
from small_networks import BODIES, head, trained

from tinytrain import machine
from tinytrain.deploy.cpu import compare, runtimes
from tinytrain.deploy.cpu.session import LATENCY, MODES, ONE_CORE, THROUGHPUT, Session, Threads, Window
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError
from tinytrain.quantize import convert

RUNTIMES = [*runtimes.MODULES]


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    return runtimes.load(request.param)


SHAPE = (1, 12, 12, 3)


def network():
    """A small network with the layers of MobileNetV3, as after a training."""
    image = x = keras.Input(SHAPE[1:])
    for part in ("batch norm after a sum", "hard swish", "gate, map kept"):
        x = BODIES[part](x)
    keras.utils.set_random_seed(0)
    return trained(keras.Model(image, head(x)))


@pytest.fixture
def int8_model(made_once):
    """The int8 .tflite of the same layers, names and all: OpenVINO reads no stripped one."""
    path = made_once("cpu-int8.tflite", lambda path: path.write_bytes(convert.convert_untrained(network()).content))
    return path.read_bytes()


def answers(runtime, folder, content, images):
    """What the runtime answers for images, each output (N, …)."""
    path, *_ = runtime.write(content, folder / f"model{runtime.SUFFIX}")
    session = runtime.load(path, LATENCY)
    return [np.concatenate(each) for each in zip(*[session.infer(image[None]) for image in images], strict=True)]


def test_a_float_network_answers_as_in_keras(runtime, tmp_path):
    model, images = network(), np.random.default_rng(2).uniform(-1, 1, (6, *SHAPE[1:])).astype("float32")
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    row = compare.of_float(answers(runtime, tmp_path, convert.convert_float(model), images), [expected])
    assert (row["images"], row["largest_output"]) == (6, np.abs(expected).max())
    assert row["largest_difference"] < 2e-5 * row["largest_output"]


def test_an_int8_network_answers_as_in_tflm_up_to_rounding(runtime, int8_model, tmp_path):
    images, _ = noise_images(8, SHAPE[1:])
    row = compare.of_int8(answers(runtime, tmp_path, int8_model, images), ReferenceInterpreter(int8_model).run(images))
    assert (row["images"], row["parts"]) == (8, False)
    assert row["largest_steps"] <= 3


@pytest.mark.parametrize(("content", "side"), [(detector_model, 32), (two_output_model, 16)])
def test_several_outputs_are_in_the_order_of_the_model(runtime, content, side, tmp_path):
    images, model = noise_images(4, (side, side, 3))[0], content()
    of_runtime, references = answers(runtime, tmp_path, model, images), ReferenceInterpreter(model).run(images)
    assert [output.shape for output in of_runtime] == [output.shape for output in references]
    assert [output.dtype for output in of_runtime] == [np.int8, np.int8]
    for output, reference in zip(of_runtime, references, strict=True):
        assert not compare.of_int8([output], [reference])["parts"]


def test_several_float_outputs_are_in_the_order_of_keras(runtime, tmp_path):
    """Named against their order, as those of a detector may be, and of different sizes."""
    image = keras.Input(SHAPE[1:])
    coarse = keras.layers.Conv2D(4, 3, 4, name="z")(image)
    fine = keras.layers.Conv2D(4, 3, 2, name="a")(image)
    model, images = keras.Model(image, [coarse, fine]), noise_images(2, SHAPE[1:])[1]
    expected = [keras.ops.convert_to_numpy(output) for output in model(images, training=False)]
    outputs = answers(runtime, tmp_path, convert.convert_float(model), images)
    assert [output.shape for output in outputs] == [output.shape for output in expected]
    assert not compare.of_float(outputs, expected)["parts"]


@pytest.mark.parametrize("mode", MODES)
def test_a_window_runs_at_least_one_image_in_each_stream(runtime, mode, int8_model, tmp_path):
    path, *_ = runtime.write(int8_model, tmp_path / f"model{runtime.SUFFIX}")
    session = runtime.load(path, mode)
    assert session.streams == 1 if mode in (ONE_CORE, LATENCY) else session.streams >= 1
    if runtime.PACKAGE == "ai-edge-litert" and mode == THROUGHPUT:
        assert session.streams == machine.cores()
    window = session.window(noise_images(1, SHAPE[1:])[0], seconds=0.0)
    assert len(window.latencies) >= session.streams
    assert all(0 < latency <= window.seconds for latency in window.latencies)
    assert window.rate == pytest.approx(len(window.latencies) / window.seconds)


class Fixed(Session):
    """A session that took so many seconds for each of some images."""

    def __init__(self, latencies):
        self.latencies = latencies

    def infer(self, image):
        return [image + len(self.latencies)]

    def window(self, image, seconds):
        return Window(sum(self.latencies), self.latencies)


def test_threads_count_what_all_of_them_did_in_the_longest_time():
    threads = Threads([Fixed([0.25, 0.25]), Fixed([0.5, 0.5, 1.0])])
    window = threads.window(np.zeros(1), 1.0)
    assert (threads.streams, window.seconds, window.rate) == (2, 2.0, 2.5)
    assert sorted(window.latencies) == [0.25, 0.25, 0.5, 0.5, 1.0]
    assert threads.infer(np.zeros(1))[0].tolist() == [2]


def test_a_runtime_that_is_not_installed_or_not_known_is_one_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^the runtime openvino is not installed: pip install 'tinytrain-mcu\[cpu\]'$"):
        runtimes.require("openvino")
    with pytest.raises(UserError, match=r"unknown runtime 'openvin'; did you mean 'openvino'\?"):
        runtimes.require("openvin")


def test_openvino_finds_nothing_that_reports_its_use():
    runtimes.load("openvino")
    assert sys.modules["openvino_telemetry"] is None
    assert sys.modules["openvino.tools.ovc"].telemetry.__class__.__module__ == "openvino.tools.ovc.telemetry_stub"
