"""Whole networks, compiled and fused for the smallest arena: bit for bit the outputs of TFLM's interpreter."""

import numpy as np
import pytest
from conftest import architectures, needs_tool
from int8_models import cells_model, converted_model, detector_model, two_output_model
from small_networks import small

from tinytrain.config import load as configs
from tinytrain.deploy.compiled import plan
from tinytrain.deploy.compiled.fused import Group
from tinytrain.deploy.compiled.host import HostEngine, kernels
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.quantize import convert
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip
from tinytrain.train import task as tasks

IMAGES = 4
SMALL_MAPS = ("mobilenet_v3_small",)  # at 48 pixels none of its maps is larger than the image
MODELS = {
    "classifier": converted_model,
    "two outputs": two_output_model,
    "detector": detector_model,
    "cells": cells_model,
}


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    return kernels(tmp_path_factory.mktemp("kernels"))


def check(model, objects, folder):
    """Returns the plans without and with fused rows, after both gave what the interpreter does."""
    shape = (IMAGES, *model.inputs[0].shape[1:])
    images = np.random.default_rng(2).integers(-128, 128, shape).astype(np.int8)
    expected = ReferenceInterpreter(model.content).run(images)
    plans = [plan.plan(network(model), limit) for limit in (2**40, 0)]
    for each in plans:
        engine = HostEngine(each, folder, objects)
        for engine.piece in (images[0].size, images[0, 0].size, 100, 1) if each.input_rows else (images[0].size,):
            for output, reference in zip(engine.run(images), expected, strict=True):
                assert (output.reshape(IMAGES, -1) == reference.reshape(IMAGES, -1)).all(), f"pieces of {engine.piece}"
    return plans


@needs_tool("gcc")
@pytest.mark.parametrize("name", MODELS)
def test_small_networks_equal_the_reference(name, objects, tmp_path):
    plain, least = check(Model.parse(MODELS[name]()), objects, tmp_path)
    assert least.arena_bytes <= plain.arena_bytes


@needs_tool("gcc")
def test_an_exported_network_equals_the_reference(exported_run, objects, tmp_path):
    _, folder = exported_run
    check(Model.parse((folder / "model.compact.tflite").read_bytes()), objects, tmp_path)


@needs_tool("gcc")
@pytest.mark.parametrize("name", architectures([]))
def test_every_architecture_equals_the_reference(name, objects, tmp_path):
    model = convert.convert_untrained(small(name, resolution=48))
    plain, least = check(model, objects, tmp_path)
    if name not in SMALL_MAPS:
        assert any(isinstance(step, Group) for step in least.steps)
        assert least.arena_bytes < plain.arena_bytes


HEADS = {
    "yolo3_lite": ["task=detect", "detect.strides=[16,8]", "detect.anchors=[8,8,16,16,32,32,40,40]"],
    "yolo_single": ["task=detect", "detect.strides=[16]", "detect.anchors=[8,8,16,16,32,32]"],
    "centroid": ["task=centroids", "detect.strides=[8]"],
}


@needs_tool("gcc")
@pytest.mark.parametrize("head", HEADS)
def test_every_head_of_a_detector_equals_the_reference(head, objects, tmp_path):
    words = ["model.name=mobilenet_v2", "model.width=0.35", "model.channels=3", "model.stem=imagenet", "model.init=he"]
    words += [f"detect.head={head}", "detect.depth=1", "detect.fuse=add", "model.resolution=48", *HEADS[head]]
    config = configs.load(None, [*words, "device.precision=float32"])
    config.detect.channels = [16] * len(config.detect.strides)
    model = convert.convert_untrained(tasks.build_network(config, ["apple", "pear"]))
    plain, least = check(strip(model), objects, tmp_path)
    assert least.arena_bytes < plain.arena_bytes
