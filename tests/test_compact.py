"""The compact flatbuffer against the one it was made from: same graph, same outputs, same arena, fewer bytes."""

import numpy as np
import pytest

from tinytrain import rooms
from tinytrain.deploy import compact, flatbuffer, memory, tflite, twin
from tinytrain.deploy.oracle import Oracle


@pytest.fixture(scope="module")
def converted():
    model = rooms.load("models", "mobilenet_v2").build(classes=10, channels=3, width=0.35, resolution=32)
    model.layers[-1].bias.assign(np.linspace(-1, 1, 10))  # the converter leaves out a bias of zeros
    noise = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)).astype("float32")
    return tflite.convert_post_training(twin.rebuild(model), noise)


@pytest.mark.slow
def test_it_computes_the_same_in_the_same_arena_with_a_fifth_less(converted):
    small = compact.compact(converted)
    images = np.random.default_rng(1).integers(-128, 128, (8, 32, 32, 3)).astype(np.int8)
    np.testing.assert_array_equal(Oracle(small).run(images), Oracle(converted).run(images))
    assert memory.target_arena_bytes(small) <= memory.target_arena_bytes(converted)
    assert len(small) < 0.8 * len(converted)
    assert compact.compact(small) == small


def test_what_tflm_reads_is_kept(converted):
    before, after = flatbuffer.read(converted), flatbuffer.read(compact.compact(converted))
    assert before.counts == after.counts
    assert [(t.shape, t.dtype, t.scale, t.zero_point) for t in (*before.inputs, *before.outputs)] == [
        (t.shape, t.dtype, t.scale, t.zero_point) for t in (*after.inputs, *after.outputs)
    ]
    for old, new in zip(before.operators, after.operators, strict=True):
        scales = [[tensor.scale for tensor in node.inputs[:2]] for node in (old, new)]  # image and weights, or summands
        assert scales[0] == scales[1]
    fully_connected = next(node for node in after.operators if node.name == "FULLY_CONNECTED")
    assert fully_connected.inputs[2].scale
