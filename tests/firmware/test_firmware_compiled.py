"""Compiled networks in the firmware, without any library, on the emulated cores: whole outputs of many fused blocks."""

import numpy as np
import pytest
from firmware_helpers import ALL_EMULATED, needs_emulator, run_make
from random_networks import joined_blocks

from tinytrain.deploy import boards, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled import fused
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.compiled.plan import plan
from tinytrain.deploy.targets import makefile
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model


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
    sources = makefile.write(tmp_path, boards.load(board), contents)
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


def test_the_compiled_engine_asks_for_its_network(tmp_path, compiled):
    least, image, golden = compiled
    contents = Contents(least.network.model, "blocks", least.arena_bytes, [], image, golden)
    sources = makefile.write(tmp_path, boards.load("stm32f746"), contents)
    done = run_make(sources, "all", "ENGINE=compiled")
    assert done.returncode != 0
    assert "model/model_graph.c is missing" in done.stderr
