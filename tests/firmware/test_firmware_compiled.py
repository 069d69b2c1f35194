"""Compiled networks in the firmware, without any library, on the emulated cores: whole outputs of many fused blocks."""

import keras
import numpy as np
import pytest
from firmware_helpers import ALL_EMULATED, needs_emulator, run_make
from random_networks import joined_blocks

from tinytrain.deploy import boards, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled import fused
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.compiled.plan import plan
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.quantize import convert
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip


@pytest.fixture(scope="module")
def compiled():
    """A plan, an image, and what the interpreter gives for it."""
    model = Model.parse(joined_blocks(np.random.default_rng(7)))
    image = np.random.default_rng(1).integers(-128, 128, model.inputs[0].shape).astype(np.int8)
    golden = [output[0] for output in ReferenceInterpreter(model.content).run(image)]
    return plan(network(model)), image, golden


@needs_emulator
@pytest.mark.parametrize("board", ALL_EMULATED)
def test_a_compiled_network_equals_the_reference(tmp_path, compiled, board):
    least, image, golden = compiled
    assert any(isinstance(step, fused.Group) for step in least.steps)
    contents = Contents(least.network.model, "blocks", 1, [], image, golden, plan=least)
    sources = bare_metal.write(tmp_path, boards.load(board), contents)
    done = run_make(sources, "emulate", f"BOARD={board}", "INFERENCES=2")
    printed = self_test.parse(done.stdout)
    assert printed["golden_equal"], done.stdout + done.stderr
    assert printed["engine"] == "compiled"
    assert printed["arena_used_bytes"] == printed["arena_bytes"] == least.arena_bytes
    assert printed["operators"] == str(len(least.steps))
    assert int(printed["init"].split()[0]) < 10_000, "the start computes something"


@needs_emulator
@pytest.mark.parametrize("board", ALL_EMULATED)
def test_an_export_answers_on_the_emulated_core_without_a_library(exported_run, tmp_path, board):
    report, folder = exported_run
    done = run_make(folder / "firmware", "emulate", f"BOARD={board}", f"BUILD={tmp_path}", "INFERENCES=1")
    printed = self_test.parse(done.stdout)
    assert printed["golden_equal"], done.stdout + done.stderr
    assert printed["engine"] == "compiled"
    assert printed["arena_used_bytes"] == report["memory"]["arena_bytes"]
    assert printed["model_bytes"] == report["model"]["firmware_bytes"]  # its constants, not the .tflite
    assert printed["operators"] == str(len(report["engine"]["steps"]))


@needs_emulator
def test_a_fused_step_may_take_longer_than_the_watchdog_waits(tmp_path):
    """On the emulated core 4 s are 31 million instructions; this step has 31 million multiply-accumulates."""
    image = keras.Input((96, 96, 3), batch_size=1)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(image)
    x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(16, 1, activation="relu")(x)
    logits = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    model = strip(convert.convert_untrained(keras.Model(image, logits)))
    least = plan(network(model))
    assert any(isinstance(step, fused.Group) and len(step.nodes) >= 3 for step in least.steps)
    values = np.random.default_rng(1).integers(-128, 128, model.inputs[0].shape).astype(np.int8)
    golden = [output[0] for output in ReferenceInterpreter(model.content).run(values)]
    contents = Contents(model, "long", 1, [], values, golden, plan=least)
    sources = bare_metal.write(tmp_path, boards.load("mps2_an500"), contents)
    printed = self_test.parse(run_make(sources, "emulate", "BOARD=mps2_an500", "INFERENCES=1", "TIMEOUT_S=100").stdout)
    assert printed["done"], printed["text"]
    assert printed["inference"]["median"] > 31_000_000


def test_the_compiled_engine_asks_for_its_network(tmp_path, compiled):
    least, image, golden = compiled
    contents = Contents(least.network.model, "blocks", least.arena_bytes, [], image, golden)
    sources = bare_metal.write(tmp_path, boards.load("stm32f746"), contents)
    done = run_make(sources, "all", "ENGINE=compiled")
    assert done.returncode != 0
    assert "model/model_graph.c is missing" in done.stderr
