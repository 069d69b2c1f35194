"""Compiled networks on this computer, fused in all ways: bit for bit the outputs of TFLM's interpreter."""

import numpy as np
import pytest
from conftest import needs_tool
from int8_models import changed
from random_networks import joined_blocks

from tinytrain.deploy.compiled import fused, plan
from tinytrain.deploy.compiled.host import HostEngine, kernels
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model

IMAGES = 2
ANY_SIZE = 2**40  # bytes: the first arena will do


@pytest.fixture(scope="module")
def blocks():
    """A model of many blocks, images, and the output of each operator for them, by its tensor."""
    model = Model.parse(joined_blocks(np.random.default_rng(19)))
    shape = (IMAGES, *model.inputs[0].shape[1:])
    images = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    tensors = [operator.outputs[0].index for operator in model.operators]
    every = changed(model.content, lambda _, graph: setattr(graph, "outputs", tensors))
    outputs = ReferenceInterpreter(every).run(images)
    return model, images, dict(zip(tensors, outputs, strict=True))


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    return kernels(tmp_path_factory.mktemp("kernels"))


def random_steps(net, random):
    """Returns nodes alone and groups of as many as can be fused, of random sizes and bands."""
    steps, place = [], 0
    while place < len(net.nodes):
        ends = range(place + 2, min(place + plan.MOST_NODES, len(net.nodes)) + 1)
        possible = {end: stages for end in ends if (stages := fused.stages_of(net, place, end))}
        if possible and random.random() < 0.9:
            end = int(random.choice(list(possible)))
            steps.append(fused.group(net, possible[end], int(random.integers(1, 6))))
            place = end
        else:
            steps.append(net.nodes[place])
            place += 1
    return steps


def check(model, images, expected, steps, folder, objects):
    """Fails unless each step of a plan writes what the interpreter does."""
    engine = HostEngine(plan.placed(network(model), steps, ANY_SIZE), folder, objects)
    for number, image in enumerate(images):
        for step, written in zip(steps, engine.steps(image), strict=True):
            node = step.nodes[-1] if isinstance(step, fused.Group) else step
            assert (written == expected[node.output][number].reshape(-1)).all(), f"{node.operator} of {step}"
    outputs = engine.run(images)
    for output, tensor in zip(outputs, model.outputs, strict=True):
        assert (output.reshape(-1) == expected[tensor.index].reshape(-1)).all()


@needs_tool("gcc")
def test_each_operator_by_itself_equals_the_reference(blocks, objects, tmp_path):
    model, images, expected = blocks
    check(model, images, expected, network(model).nodes, tmp_path, objects)


@needs_tool("gcc")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fused_operators_equal_the_reference(blocks, objects, tmp_path, seed):
    model, images, expected = blocks
    steps = random_steps(network(model), np.random.default_rng(seed))
    groups = [step for step in steps if isinstance(step, fused.Group)]
    assert len(groups) > 10
    check(model, images, expected, steps, tmp_path, objects)


def test_a_ring_is_as_small_as_the_window_needs(blocks):
    model, _, _ = blocks
    net = network(model)
    places = [place for place, node in enumerate(net.nodes) if node.kernel.name == "depthwise"][:3]
    for place in places:
        stages = fused.stages_of(net, place - 1, place + 2)
        (reach,) = stages[1].reaches
        group = fused.group(net, stages, 1)
        ring = group.rings[net.nodes[place - 1].output]
        assert reach.side <= ring <= reach.side + reach.stride
        rows = sum(entry.count for entry in group.schedule if entry.stage == 0)
        assert rows == stages[0].height, "a row is computed twice, or not at all"
