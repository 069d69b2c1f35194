"""An export compiles the network for this computer, and finds what is wrong with it."""

import numpy as np
import pytest
from conftest import needs_tool

from tinytrain.deploy import boards
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled import host
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.compiled.plan import plan
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.exporting import engine_parity, parity

IMAGES = 3


@pytest.fixture(scope="module")
def known(converted):
    """A model, images, and the outputs of the interpreter for them."""
    model = converted("mobilenet_v2")
    images = np.random.default_rng(3).integers(-128, 128, (IMAGES, *model.inputs[0].shape[1:])).astype(np.int8)
    outputs = [output.reshape(IMAGES, -1) for output in ReferenceInterpreter(model.content).run(images)]
    return model, images, outputs


def write(folder, model, least, images, outputs):
    contents = Contents(model, "net", 1, [], images[0], [output[0] for output in outputs], plan=least)
    return bare_metal.write(folder, boards.load("stm32f746"), contents)


@needs_tool("gcc")
def test_the_compiled_network_is_run_on_the_images_and_equal(known, tmp_path):
    model, images, outputs = known
    least = plan(network(model))
    sources = write(tmp_path, model, least, images, outputs)
    expected = {"images": 2, "different": 0, "of": parity.COMPILED}
    assert parity.section(sources, model, images, outputs, 2, least) == expected
    outputs = [output.copy() for output in outputs]
    outputs[0][1, 0] ^= 1
    assert engine_parity.different(sources, least, images, outputs) == 1


def test_without_a_compiler_the_c_array_is_compared(known, tmp_path, monkeypatch):
    monkeypatch.setattr(host, "is_here", lambda: False)
    model, images, outputs = known
    least = plan(network(model))
    sources = write(tmp_path, model, least, images, outputs)
    assert parity.section(sources, model, images, outputs, 1, least) == {
        "images": 1,
        "different": 0,
        "of": parity.ARRAY,
    }


@needs_tool("gcc")
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("kernels/ring.h", "return row == ring_end(ring) ? ring->begin : row;", "return row;"),
        ("kernels/add.c", "*smaller++ * (1 << 20)", "*smaller++ * (1 << 19)"),
    ],
)
def test_a_fault_in_a_kernel_is_seen(known, tmp_path, file, old, new):
    model, images, outputs = known
    least = plan(network(model))
    sources = write(tmp_path, model, least, images, outputs)
    text = (sources / file).read_text()
    assert old in text
    (sources / file).write_text(text.replace(old, new))
    assert engine_parity.different(sources, least, images, outputs) == IMAGES


@needs_tool("gcc")
def test_two_tensors_at_one_place_are_seen(known, tmp_path):
    model, images, outputs = known
    wrong = network(model)
    first_reader = {buffer: min(places, default=wrong.last[buffer]) for buffer, places in wrong.readers.items()}
    assert first_reader != wrong.last
    vars(wrong)["last"] = first_reader | dict.fromkeys(wrong.outputs, len(wrong.nodes))
    overlapping = plan(wrong, 2**40)
    sources = write(tmp_path, model, overlapping, images, outputs)
    assert engine_parity.different(sources, overlapping, images, outputs) == IMAGES
