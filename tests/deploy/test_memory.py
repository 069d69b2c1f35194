"""The memory plan against TFLM's own, CMSIS-NN's formulas by hand, the estimate against real conversions."""

import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import architectures
from keras import layers
from small_networks import small, trained

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config, Export
from tinytrain.deploy import boards, estimate, fit_check, memory
from tinytrain.deploy.compiled import engine, flash, plan
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.kernels.derive import derive
from tinytrain.deploy.memory import Memory
from tinytrain.deploy.tflm import memory_planner
from tinytrain.deploy.tflm.memory_planner import Buffer, Schedule, Step
from tinytrain.quantize import convert, tf_keras_clone
from tinytrain.tflite.strip import strip
from tinytrain.train import task as tasks


def test_place_by_hand():
    # 32 first, at 0; 16 lives beside it, behind; the other 16 lives later than 32, so at 0; 48 meets nobody.
    assert memory_planner.planned_bytes([Buffer(16, 0, 1), Buffer(32, 1, 2), Buffer(16, 3, 4)]) == 48
    assert memory_planner.planned_bytes([Buffer(48, 5, 6), Buffer(16, 0, 1), Buffer(32, 1, 2)]) == 48
    # 48 lies behind 64, which is gone when 32 comes: it goes into the gap.
    assert memory_planner.planned_bytes([Buffer(64, 0, 0), Buffer(48, 0, 1), Buffer(32, 1, 2)]) == 112
    # Of equal size the later one goes first. In the order of the list the last would find both others in its way.
    assert memory_planner.planned_bytes([Buffer(16, 0, 1), Buffer(16, 3, 4), Buffer(16, 1, 2), Buffer(16, 2, 3)]) == 32
    assert memory_planner.planned_bytes([]) == 0


SHAPES = {0: (1, 8, 8, 3), 1: (1, 4, 4, 48), 2: (1, 1, 1, 48)}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step("CONV_2D", (0,), (1,), (3, 3)), 2 * 28 * 2),  # 27 inputs, rounded up to 28, two columns of int16
        (Step("CONV_2D", (0,), (1,), (1, 1)), 0),
        (Step("CONV_2D", (0,), (1,), (1, 1), plain=False), 2 * 4 * 2),
        (Step("DEPTHWISE_CONV_2D", (1,), (1,), (3, 3)), 0),
        (Step("DEPTHWISE_CONV_2D", (1,), (1,), (5, 5)), 48 * 25 * 2),
        (Step("DEPTHWISE_CONV_2D", (0,), (1,), (5, 5)), 0),  # depth multiplier 16
        (Step("AVERAGE_POOL_2D", (1,), (2,)), 48 * 4),
        (Step("ADD", (1, 1), (1,)), 0),
        (Step("FULLY_CONNECTED", (2,), (2,)), 0),
    ],
)
def test_scratch_of_cmsis_nn_by_hand(step, expected):
    assert memory_planner.scratch_bytes(step, SHAPES) == expected


def test_scratch_lives_beside_the_tensors_of_its_operator():
    schedule = Schedule([Step("DEPTHWISE_CONV_2D", (1,), (3,), (5, 5))], SHAPES | {3: (1, 4, 4, 48)}, (1,), (3,))
    assert memory_planner.head_bytes(schedule, cmsis_nn=False) == 2 * 768
    assert memory_planner.head_bytes(schedule, cmsis_nn=True) == 2 * 768 + 2400


RECORD = """
import sys
import numpy as np
from tflite_micro.python.tflite_micro.runtime import Interpreter
interpreter = Interpreter.from_bytes(open(sys.argv[1], "rb").read(), arena_size=1 << 23)
interpreter.set_input(np.zeros(interpreter.get_input_details(0)["shape"], np.int8), 0)
interpreter.invoke()
interpreter.print_allocations()
"""


def recorded_head_bytes(path):
    """Returns what TFLM itself says of the head of its arena."""
    done = subprocess.run([sys.executable, "-c", RECORD, str(path)], capture_output=True, text=True, check=True)
    return int(re.search(r"allocation head (\d+)", done.stderr)[1])


@pytest.mark.parametrize("name", architectures(short=["mobilenet_v1", "mobilenet_v3_small", "resnet8"]))
def test_plan_estimate_and_bound_of_every_model(name, converted, tmp_path):
    model, stripped = small(name, resolution=48), converted(name)
    path = tmp_path / "model.tflite"
    path.write_bytes(stripped.content)
    assert memory_planner.head_bytes(memory_planner.schedule(stripped), cmsis_nn=False) == recorded_head_bytes(path)
    arena_bytes, model_bytes = estimate.arena_and_model_bytes(model)
    derived = derive(stripped)
    assert arena_bytes == pytest.approx(memory.arena_bytes(stripped, derived), rel=0.1)
    assert model_bytes == pytest.approx(len(derived.model.content), rel=0.03)
    assert memory.arena_bytes(stripped, derived) < memory.target_arena_bytes(stripped)
    least = plan.plan(network(stripped))
    arena_bytes, model_bytes = estimate.arena_and_model_bytes(model, compiled=True)
    assert arena_bytes == pytest.approx(least.arena_bytes, rel=0.1)
    assert model_bytes == pytest.approx(flash.model_bytes(least), rel=0.06)


@pytest.mark.long
def test_fit_measures_a_network_as_large_as_it_will_be_once_trained():
    """Biases are zero before training, and the converter would store equal ones once."""
    build, board = plugins.load("models", "resnet8").build, boards.load("stm32f746")
    model = build(classes=5, resolution=48, channels=3, width=0.25)
    needed = fit_check.once_trained(model, Config(task="classify"), 5, board)
    noise = np.random.default_rng(0).uniform(-1, 1, (4, 48, 48, 3)).astype("float32")
    real = strip(convert.convert_post_training(tf_keras_clone.rebuild(trained(model), folded=True), noise))
    chosen = engine.choose(real, Export(), board)
    linked = fit_check.estimated(real, needed.arena_bytes, board, plan=chosen.plan)
    assert needed.flash_bytes == pytest.approx(linked.flash_bytes, abs=200)
    assert needed.arena_bytes == chosen.plan.arena_bytes
    needed = fit_check.once_trained(model, Config(task="classify", export=Export(engine="tflm")), 5, board)
    assert needed.arena_bytes == memory.arena_bytes(real, derive(real))


def detector_at(side):
    """Returns an untrained detector with one output, and its config."""
    words = ["model.name=mobilenet_v1", "model.width=0.25", "model.channels=3", "model.stem=imagenet", "model.init=he"]
    head = ["detect.head=yolo_single", "detect.strides=[16]", "detect.channels=[32]", "detect.depth=1"]
    words += [*head, "detect.fuse=add", "detect.anchors=[8,8,16,16,32,32]", f"model.resolution={side}"]
    config = configs.load(None, [*words, "task=detect", "device.precision=float32"])
    return tasks.build_network(config, ["apple", "pear"]), config


@pytest.mark.long
def test_the_largest_resolution_of_a_detector_that_fits_is_taken_with_its_decoder_counted():
    """By real conversions it fits, and the next larger one does not."""
    board, check = boards.load("nucleo_f401re"), fit_check.BoardCheck("nucleo_f401re")
    assert check.largest(detector_at, 2, (256, 240, 224)) == 224
    memories = {side: fit_check.once_trained(*detector_at(side), 2, board) for side in (240, 224)}
    assert {side: found.fits for side, found in memories.items()} == {240: False, 224: True}
    stripped = strip(convert.convert_untrained(detector_at(224)[0]))
    chosen = engine.choose(stripped, Export(), board).plan
    without = fit_check.estimated(stripped, chosen.arena_bytes, board, plan=chosen)
    needed = memories[224]
    tables, golden_bytes = 3 * 2 * 256, 12 * 100  # three tables of uint16; 12 bytes a box, detect.boxes of them
    assert needed.flash_bytes - without.flash_bytes >= tables + golden_bytes
    assert needed.ram_bytes - without.ram_bytes == 12 * 400  # the boxes that suppression begins with


def test_a_resolution_that_only_fits_by_estimate_is_not_taken(monkeypatch):
    monkeypatch.setattr(estimate, "arena_and_model_bytes", lambda *_: (1, 1))
    assert fit_check.BoardCheck("nucleo_f401re").largest(detector_at, 2, (240, 224)) == 224


def test_the_estimate_of_a_network_that_was_not_used_to_fit_it():
    image = keras.Input((24, 24, 3))
    x = layers.Conv2D(20, 5, 2, padding="same", activation="relu")(image)
    x = layers.DepthwiseConv2D(5, padding="same")(x)
    x = layers.Activation("silu")(layers.BatchNormalization()(x))
    x = layers.Add()([x, layers.Conv2D(20, 1, activation="relu6")(x)])
    model = keras.Model(image, layers.Dense(7)(layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(x))))
    stripped = strip(convert.convert_untrained(model))
    arena_bytes, model_bytes = estimate.arena_and_model_bytes(model)
    derived = derive(stripped)
    assert arena_bytes == pytest.approx(memory.arena_bytes(stripped, derived), rel=0.1)
    assert model_bytes == pytest.approx(len(derived.model.content), rel=0.15)  # 4 KB
    real, graph = memory_planner.schedule(stripped), estimate.read(model).schedule
    for cmsis_nn in (False, True):
        assert memory_planner.head_bytes(graph, cmsis_nn) == memory_planner.head_bytes(real, cmsis_nn)


def test_memory_says_what_is_too_large():
    needed = Memory(100, 200, 200, 900, 1000)
    assert needed.fits
    assert needed.excess() == ""
    assert not Memory(100, 201, 200, 900, 1000).fits
    large = Memory(2000, 3000, 2999, 1001, 1000)
    assert large.excess() == "3,000 bytes of RAM where there are 2,999 and 1,001 bytes of flash where there are 1,000"
    assert large.report()["arena_bytes"] == 2000


def build(width, resolution):
    return plugins.load("models", "mobilenet_v1").build(classes=5, resolution=resolution, channels=1, width=width)


def test_the_search_names_the_nearest_that_fit():
    arena_at_48, model_at_035 = (
        estimate.arena_and_model_bytes(build(0.5, 48))[0],
        estimate.arena_and_model_bytes(build(0.35, 80))[1],
    )
    words = fit_check.nearest_that_fit(build, 0.5, 80, lambda arena, model: arena <= arena_at_48)
    width = float(re.search(r"width=([\d.]+)", words)[1])
    assert "model.resolution=48" in words
    assert (
        estimate.arena_and_model_bytes(build(width, 80))[0]
        <= arena_at_48
        < estimate.arena_and_model_bytes(build(width + 0.05, 80))[0]
    )
    words = fit_check.nearest_that_fit(build, 0.5, 80, lambda arena, model: model <= model_at_035)
    assert words == "nearest that fits: model.width=0.35"


def test_the_search_lets_the_conversion_decide():
    refused = []

    def verify(model):
        refused.append(model.input_shape[1])
        return len(refused) > 2

    words = fit_check.nearest_that_fit(build, 0.05, 64, lambda arena, model: True, verify)
    assert refused == [56, 48, 40]
    assert words == "nearest that fits: model.resolution=40"


def test_the_search_says_when_nothing_fits():
    words = fit_check.nearest_that_fit(build, 0.25, 32, lambda arena, model: False)
    assert words == "no smaller width and resolution fit"


def test_the_search_lowers_both_where_neither_alone_is_enough():
    model_limit = estimate.arena_and_model_bytes(build(0.25, 80))[1]  # of widths up to 0.25
    arena_limit = estimate.arena_and_model_bytes(build(0.05, 80))[0] - 1  # of no width at 80 pixels
    words = fit_check.nearest_that_fit(
        build, 0.5, 80, lambda arena, model: arena <= arena_limit and model <= model_limit
    )
    found = re.search(r"^nearest that fits: model.width=([\d.]+) with model.resolution=(\d+)$", words)
    assert found
    assert float(found[1]) == 0.25
    assert int(found[2]) < 80


def test_the_search_needs_not_both_where_the_resolution_is_enough():
    words = fit_check.nearest_that_fit(build, 0.05, 64, lambda arena, model: True)
    assert words == "nearest that fits: model.resolution=56"


def test_the_bound_adds_scratch_to_what_the_interpreter_needs():
    image = keras.Input((16, 16, 8))
    x = layers.DepthwiseConv2D(7, padding="same")(image)
    tflite = convert.convert_untrained(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
    scratch = 8 * 49 * 2
    assert scratch <= memory.cmsis_nn_bytes(tflite) <= scratch + 16 + 2 * memory.SCRATCH_HANDLE_BYTES
    assert memory.target_arena_bytes(tflite) >= memory.ReferenceInterpreter(tflite.content).arena_bytes + scratch
    assert np.mod(memory.target_arena_bytes(tflite), 16) == 0
