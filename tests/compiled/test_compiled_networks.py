"""Whole networks, compiled plain and for the smallest arena: each step writes what TFLM's interpreter computes."""

import numpy as np
import pytest
from conftest import architectures, needs_tool
from int8_models import cells_model, converted_model, detector_model, two_output_model

from tinytrain.config import load as configs
from tinytrain.deploy.compiled import plan
from tinytrain.deploy.compiled.fused import Group
from tinytrain.deploy.compiled.host import HostEngine, kernels
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.prepare import PREPARE, prepare
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


def values_of(model, images):
    """Returns what each operator writes for the images, by its tensor, as TFLM's interpreter computes it."""
    tree, numbers = model.copy_tree(), [operator.outputs[0].index for operator in model.operators]
    tree.subgraphs[0].outputs = numbers
    return dict(zip(numbers, ReferenceInterpreter(Model.pack(tree).content).run(images), strict=True))


def check(model, objects, folder):
    """Returns the plans without and with fused rows, after each step of both wrote what the interpreter does."""
    shape = (IMAGES, *model.inputs[0].shape[1:])
    images = np.random.default_rng(2).integers(-128, 128, shape).astype(np.int8)
    values = values_of(model, images)
    plans = [plan.plan(network(model), limit) for limit in (2**40, 0)]
    for each in plans:
        engine = HostEngine(each, folder, objects)
        for number, image in enumerate(images):
            written, outputs = engine.run_once(image)
            for step, found in zip(each.steps, written, strict=True):
                node = step.nodes[-1] if isinstance(step, Group) else step
                expected = values[node.operator.outputs[0].index][number]
                assert (found == expected.reshape(-1)).all(), f"{node.operator} of {step}, image {number}"
            for output, tensor in zip(outputs, model.outputs, strict=True):
                assert (output == values[tensor.index][number].reshape(-1)).all(), f"image {number}"
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
@pytest.mark.parametrize("name", architectures(["mobilenet_v2", "mobilenet_v3_small", "resnet8"]))
def test_every_architecture_equals_the_reference(converted, name, objects, tmp_path):
    model = converted(name)
    for operator in model.operators:
        if operator.name in PREPARE:
            assert isinstance(prepare(model, operator), Kernel), f"{operator} runs on a plainer kernel"
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
