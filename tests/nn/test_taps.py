"""Where a detector reads an architecture: the last block of each stride, by published channels and by the graph."""

import re

import keras
import numpy as np
import pytest
from conftest import architectures

from tinytrain.config import plugins
from tinytrain.errors import UserError
from tinytrain.nn.taps import taps

SIDE = 96


def network(name, **options):
    options = {"classes": 5, "channels": 3, "resolution": SIDE, "width": 0.35, "stem": "imagenet"} | options
    return plugins.load("models", name).build(**options)


@pytest.mark.parametrize(
    ("name", "blocks", "last"),
    [("mobilenet_v2", {8: 16, 16: 32, 32: 112}, 1280), ("mobilenet_v3_large", {8: 16, 16: 40, 32: 56}, 336)],
)
def test_the_channels_are_those_of_the_paper(name, blocks, last):
    model = network(name, resolution=416)
    found = taps(model)
    assert {stride: found[stride].shape[-1] for stride in blocks} == blocks
    with_last = taps(model, with_last=True)
    assert {stride: with_last[stride].shape[-1] for stride in blocks} == blocks | {32: last}
    assert all(found[stride].shape[1] == 416 // stride for stride in blocks)


def test_they_are_blocks_6_12_and_15_of_mobilenet_v3_large():
    """Of 15 blocks counted from 1: the last ones before the stride grows, and the last of all."""
    numbers = {stride: number_of(tensor) for stride, tensor in taps(network("mobilenet_v3_large")).items()}
    assert {stride: 1 + numbers[stride] for stride in (8, 16, 32)} == {8: 6, 16: 12, 32: 15}


def number_of(tensor):
    """Returns the number in the name of the block that a tensor is of, from 0."""
    return int(re.match(r"block(\d+)", tensor._keras_history.operation.name).group(1))


@pytest.mark.parametrize("name", architectures(["mobilenet_v1", "mobilenet_v3_small", "resnet8"]))
@pytest.mark.parametrize("with_last", [False, True])
def test_every_architecture_has_the_last_block_of_each_stride(name, with_last):
    """By the numbers: what the tensors depend on, and what depends on them."""
    model = network(name)
    found = taps(model, with_last)
    assert [*found] == sorted(found)
    assert {16, 32} <= set(found) or name == "resnet8"
    position = {layer.name: number for number, layer in enumerate(model.layers)}
    order = []
    for stride, tensor in found.items():
        layer = tensor._keras_history.operation
        assert tensor.shape[1] == tensor.shape[2] == SIDE // stride
        assert layer.name.startswith("block") or (with_last and layer.name.startswith("head"))
        assert not isinstance(layer, keras.layers.Dropout)
        order.append(position[layer.name])
        # No later layer of a block has the same stride: those that follow have a larger one, or belong to the head.
        later = [each for each in model.layers[position[layer.name] + 1 :] if each.name.startswith("block")]
        prefix = layer.name.partition("_")[0]
        ends = {each.name.partition("_")[0]: each for each in later}
        assert not with_last or prefix != "head" or not ends
        assert all(end.output.shape[1] != SIDE // stride for block, end in ends.items() if block != prefix)
    assert order == sorted(order)
    values = keras.Model(model.input, [*found.values()])(np.zeros((1, SIDE, SIDE, 3), np.float32))
    assert [value.shape[1] for value in values] == [SIDE // stride for stride in found]


@pytest.mark.parametrize("name", architectures(["mobilenet_v1", "mobilenet_v3_small", "resnet8"]))
def test_a_tap_is_what_the_next_block_reads(name):
    """All that is behind a block goes through its end: no shortcut or activation of it is left out."""
    model = network(name)
    for tensor in taps(model).values():
        layer = tensor._keras_history.operation
        prefix = layer.name.partition("_")[0]
        inside = {each.name for each in model.layers if each.name.partition("_")[0] == prefix}
        for each in model.layers:
            if each.name in inside and each is not layer:
                readers = {node.operation.name for node in each._outbound_nodes}
                assert readers <= inside, (each.name, readers)


def test_the_strides_are_those_of_the_layers_where_sides_are_rounded():
    """At 72 pixels the smallest map has 3 x 3: 72 / 3 = 24."""
    found = taps(network("mobilenet_v1", resolution=72))
    assert {stride: tensor.shape[1] for stride, tensor in found.items()} == {2: 36, 4: 18, 8: 9, 16: 5, 32: 3}


def test_a_network_without_blocks_is_refused():
    image = keras.Input((32, 32, 3))
    plain = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image)), name="plain")
    with pytest.raises(UserError, match="'plain' has no blocks: a detector needs an architecture with some"):
        taps(plain)
