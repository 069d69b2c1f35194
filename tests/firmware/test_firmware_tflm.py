"""The firmware in QEMU with TensorFlow Lite Micro, where TFLM_DIR is set."""

import re

import keras
import numpy as np
import pytest
from firmware_helpers import ALL_EMULATED, EMULATED, emit, needs_tflm
from int8_models import broadcast_model, converted_model

from tinytrain.deploy import boards, c_source, firmware, fit_check, make, self_test
from tinytrain.deploy.tflm import operators
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import TinytrainError, UserError
from tinytrain.quantize import convert, tf_keras_clone
from tinytrain.tflite.model import Model


@pytest.fixture(scope="module")
def real():
    """A converted model, an input and what the tflite_micro interpreter makes of it."""
    from tflite_micro import runtime

    model = converted_model()
    interpreter = runtime.Interpreter.from_bytes(model)
    frame = np.random.default_rng(3).integers(-128, 128, (1, 16, 16, 3)).astype(np.int8)
    interpreter.set_input(frame, 0)
    interpreter.invoke()
    output = interpreter.get_output(0)
    assert len(set(output.ravel().tolist())) > 3  # a constant output would prove nothing
    return {"model": model, "name": "real", "arena_bytes": 32_768, "golden_input": frame, "golden_outputs": [output]}


@needs_tflm
@pytest.mark.parametrize("name", boards.names())
def test_the_real_model_links_for_every_board_of_the_librarys_core(tmp_path, real, name):
    board = boards.load(name)
    sizes = link(emit(tmp_path, **real), board)
    assert fit_check.on_board(sizes, board).fits
    assert sizes.arena_bytes == real["arena_bytes"]


def link(folder, board):
    """Links for a board, or skips the test if the library in TFLM_DIR is for another core or FPU."""
    try:
        return firmware.link(folder, board, make.tflm_dir())
    except UserError as wrong:
        pytest.skip(str(wrong))


@needs_tflm
@pytest.mark.parametrize("name", ALL_EMULATED)
def test_the_real_model_gives_the_golden_output(tmp_path, real, name):
    folder, tflm = emit(tmp_path, **real), make.tflm_dir()
    link(folder, boards.load(name))
    printed = self_test.emulate(folder, boards.load(name), tflm)
    assert printed["engine"] == "tflm"
    assert printed["golden_equal"], printed["text"]
    assert printed["done"]
    assert printed["operators"] == str(len(Model.parse(real["model"]).operators))
    assert 1_000 < printed["arena_used_bytes"] < 32_768
    assert 100_000 < printed["inference"]["median"] < 10_000_000
    assert printed["stack_used_bytes"] < firmware.STACK_BYTES / 2


OWN_OPERATORS = {
    "hard swish": (lambda x: keras.layers.Activation("hard_silu")(x), {"HARD_SWISH"}),
    "sigmoid": (lambda x: keras.layers.Activation("sigmoid")(x), {"LOGISTIC"}),
    "swish": (lambda x: keras.layers.Activation("silu")(x), {"LOGISTIC", "MUL"}),
    "gate": (lambda x: keras.layers.Multiply()([x, keras.layers.GlobalAveragePooling2D(keepdims=True)(x)]), {"MUL"}),
    "gate first": (
        lambda x: keras.layers.Multiply()([keras.layers.GlobalAveragePooling2D(keepdims=True)(x), x]),
        {"MUL"},
    ),
    "sum": (lambda x: keras.layers.Add()([x, keras.layers.Activation("hard_silu")(x)]), {"ADD"}),
    "pool": (lambda x: keras.layers.GlobalAveragePooling2D()(x), {"AVERAGE_POOL_2D"}),
}


@needs_tflm
@pytest.mark.parametrize(("body", "names"), OWN_OPERATORS.values(), ids=OWN_OPERATORS)
def test_the_firmwares_own_operators_equal_the_interpreter(tmp_path, body, names):
    """Every value of a map with odd sides, in which each int8 value occurs."""
    image = keras.Input((11, 13, 5))
    frame = np.random.default_rng(0).integers(-128, 128, (1, 11, 13, 5), np.int8)
    model = convert.convert_post_training(
        tf_keras_clone.rebuild(keras.Model(image, body(image))), frame.astype("float32") / 128
    )
    kinds = operators.registrations(model.operators)
    assert {name for name, kind in kinds.items() if kind == "own"} >= names
    outputs = ReferenceInterpreter(model.content).run(frame)
    arguments = {
        "model": model.content,
        "name": "own",
        "arena_bytes": 32_768,
        "golden_input": frame,
        "golden_outputs": outputs,
    }
    printed = self_test.emulate(emit(tmp_path, **arguments), boards.load(EMULATED), make.tflm_dir())
    assert printed["golden_equal"], printed["text"]


OUTER = (1, 6, 1, 5), (1, 1, 6, 5)


def emulated(tmp_path, content, kinds=None):
    """Returns what the firmware of a model with noise as its golden image prints; `kinds` in place of those chosen."""
    shape = Model.parse(content).inputs[0].shape
    frame = np.random.default_rng(0).integers(-128, 128, shape, np.int8)
    arguments = {
        "arena_bytes": 32_768,
        "golden_input": frame,
        "golden_outputs": ReferenceInterpreter(content).run(frame),
    }
    folder = emit(tmp_path, model=content, name="made", **arguments)
    if kinds:
        (folder / "model" / "model_ops.h").write_text(c_source.ops_header(kinds))
    return self_test.emulate(folder, boards.load(EMULATED), make.tflm_dir())


@needs_tflm
@pytest.mark.parametrize("name", ["ADD", "MUL"])
def test_an_outer_product_is_computed_by_tflm_and_refused_by_the_firmwares_own(tmp_path, name):
    content = broadcast_model(name, *OUTER)
    printed = emulated(tmp_path / "chosen", content)
    assert printed["golden_equal"], printed["text"]
    forced = emulated(tmp_path / "forced", content, {name: "own"})
    assert forced["failed"].startswith("init: the arena is too small or an operator refused")


@needs_tflm
def test_an_average_over_a_part_of_the_map_is_refused_by_the_firmwares_own(tmp_path):
    image = keras.Input((6, 5, 4))
    frame = np.random.default_rng(0).uniform(-1, 1, (1, 6, 5, 4)).astype("float32")
    network = keras.Model(image, keras.layers.AveragePooling2D((3, 5))(image))
    model = convert.convert_post_training(tf_keras_clone.rebuild(network), frame)
    assert operators.registrations(model.operators)["AVERAGE_POOL_2D"] == "int8"
    forced = emulated(tmp_path, model.content, {"AVERAGE_POOL_2D": "own"})
    assert forced["failed"].startswith("init: the arena is too small or an operator refused")


@needs_tflm
@pytest.mark.parametrize("second", [(), (1,), (1, 1, 1, 1)])
def test_a_gray_image_times_a_scalar_is_equal(tmp_path, second):
    printed = emulated(tmp_path, broadcast_model("MUL", (1, 6, 5, 1), second))
    assert printed["golden_equal"], printed["text"]


@needs_tflm
def test_the_arena_used_is_enough_and_less_fails(tmp_path, real):
    board, tflm = boards.load(EMULATED), make.tflm_dir()
    used = self_test.emulate(emit(tmp_path / "a", **real), board, tflm)["arena_used_bytes"]
    exact = emit(tmp_path / "b", **real | {"arena_bytes": (used + 15) // 16 * 16})
    assert self_test.emulate(exact, board, tflm)["golden_equal"]
    short = self_test.emulate(emit(tmp_path / "c", **real | {"arena_bytes": used // 16 * 16 - 64}), board, tflm)
    assert short["failed"].startswith("init: the arena is too small")


@needs_tflm
def test_a_corrupted_golden_output_of_the_real_model_is_different(tmp_path, real):
    golden = real["golden_outputs"][0].copy()
    golden[0, 4] ^= 1
    printed = self_test.emulate(
        emit(tmp_path, **real | {"golden_outputs": [golden]}), boards.load(EMULATED), make.tflm_dir()
    )
    assert printed["different_bytes"] == 1
    assert not printed["done"]


@needs_tflm
def test_an_operator_that_is_not_registered_fails_with_a_line(tmp_path, real):
    folder = emit(tmp_path, **real)
    header = folder / "model" / "model_ops.h"
    header.write_text(re.sub(r"  TF_LITE_ENSURE_STATUS\(resolver->AddMean.*\n", "", header.read_text()))
    printed = self_test.emulate(folder, boards.load(EMULATED), make.tflm_dir())
    assert printed["failed"].startswith("init: ")


@needs_tflm
def test_the_estimate_is_close_to_the_link(tmp_path, real):
    board = boards.load("stm32f746")
    linked = firmware.link(emit(tmp_path, **real), board, make.tflm_dir())
    estimated = firmware.estimate(Model.parse(real["model"]), real["arena_bytes"], board)
    assert not estimated.measured
    assert estimated.model_bytes == linked.model_bytes
    assert abs(estimated.ram_bytes - linked.ram_bytes) < 1_024
    # The table is for a library with error texts; one without is smaller.
    assert 0.95 * linked.flash_bytes < estimated.flash_bytes < 1.6 * linked.flash_bytes


@needs_tflm
def test_a_library_that_lacks_its_headers_fails_in_one_message(tmp_path):
    with pytest.raises(TinytrainError, match="TFLM_DIR is"):
        firmware.link(emit(tmp_path), boards.load("stm32f746"), tmp_path)
