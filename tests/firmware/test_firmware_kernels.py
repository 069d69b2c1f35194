"""The kernels in the firmware, with TensorFlow Lite Micro, on the emulated cores: whole outputs of random operators."""

import itertools

import numpy as np
import pytest
from firmware_helpers import ALL_EMULATED, EMULATED, emit, needs_tflm
from int8_models import converted_model
from operator_files import OperatorFile
from random_operators import add_conv, add_dense, add_depthwise, add_pool, add_sum
from single_rounding import rounding_once
from small_networks import small

from tinytrain.deploy import boards, make, memory, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.kernels.derive import derive
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError
from tinytrain.quantize import convert
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip

EACH = 20  # random operators of each kind


def drawn_model():
    random, file = np.random.default_rng(3), OperatorFile()
    for add in (add_conv, add_depthwise, add_dense, add_sum, add_pool):
        for _ in range(EACH):
            add(file, random)
    for sides in itertools.product((1, 2, 3), repeat=2):  # maps that have a kernel of their own
        add_depthwise(file, random, sides=sides)
    return Model.parse(file.content())


@needs_tflm
@pytest.mark.parametrize("name", ALL_EMULATED)
def test_random_operators_equal_the_reference(tmp_path, name):
    board, model = boards.load(name), drawn_model()
    try:
        make.check_library(board)
    except UserError as error:
        pytest.skip(str(error))
    image = np.zeros(model.inputs[0].shape, np.int8)
    golden = [output[0] for output in ReferenceInterpreter(model.content).run(image)]
    contents = Contents(model, "kernels", 300_000, [], image, golden, own_kernels=True)
    sources = bare_metal.write(tmp_path, board, contents)
    printed = self_test.emulate(sources, board, make.tflm_dir())
    ours = [kernel for kernel in derive(model).kernels if not isinstance(kernel, Exception)]
    assert len(ours) > 0.9 * len(model.operators)
    assert printed["golden_equal"], printed["text"]
    assert printed["done"], printed["failed"]


def golden(model):
    """Returns the fields of Contents that prove a model: an input of noise, and TFLM's outputs."""
    image = np.random.default_rng(5).integers(-128, 128, model.inputs[0].shape).astype(np.int8)
    outputs = [output[0] for output in ReferenceInterpreter(model.content).run(image)]
    return {"model": model.content, "golden_input": image, "golden_outputs": outputs}


@needs_tflm
@pytest.mark.parametrize(
    ("name", "side"), [("mobilenet_v1", 48), ("mobilenet_v2", 48), ("mobilenet_v3_small", 96), ("resnet8", 32)]
)
def test_the_predicted_arena_is_what_a_network_uses(tmp_path, name, side):
    model = strip(convert.convert_untrained(small(name, resolution=side)))
    predicted = memory.arena_bytes(model, derive(model))
    sources = emit(tmp_path, **golden(model), arena_bytes=predicted, own_kernels=True)
    printed = self_test.emulate(sources, boards.load(EMULATED), make.tflm_dir())
    assert printed["golden_equal"], printed["text"]
    assert 0 <= predicted - printed["arena_used_bytes"] < 16


@needs_tflm
def test_a_library_that_rounds_once_is_refused(tmp_path):
    """Only with kernels of ours: TFLM's own compute what that library computes."""
    board = boards.load(EMULATED)
    core = ["-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"]
    once = rounding_once(make.tflm_dir(), tmp_path / "tflm", core)
    fields = golden(strip(Model.parse(converted_model()))) | {"arena_bytes": 65_536}
    ours = self_test.emulate(emit(tmp_path / "ours", **fields, own_kernels=True), board, once)
    assert ours["failed"].startswith("init: the library was built with TFLITE_SINGLE_ROUNDING")
    theirs = self_test.emulate(emit(tmp_path / "theirs", **fields), board, once)
    assert "golden_equal" in theirs  # it started
