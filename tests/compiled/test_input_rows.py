"""An input that comes to a compiled network by rows, in pieces of any size, anew, or wrong."""

import numpy as np
import pytest
from conftest import needs_tool

from tinytrain.deploy.compiled import fused, plan
from tinytrain.deploy.compiled.host import HostEngine, kernels
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter


@pytest.fixture(scope="module")
def model(converted):
    return converted("mobilenet_v2")


@pytest.fixture(scope="module")
def images(model):
    shape = (2, *model.inputs[0].shape[1:])
    return np.random.default_rng(5).integers(-128, 128, shape).astype(np.int8)


@pytest.fixture(scope="module")
def expected(model, images):
    return ReferenceInterpreter(model.content).run(images)[0]


@pytest.fixture(scope="module")
def make_engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    objects = kernels(folder)
    return lambda planned: HostEngine(planned, folder, objects)


@pytest.fixture
def engine(model, make_engine):
    planned = plan.plan(network(model))
    assert 0 < planned.input_rows < model.inputs[0].shape[1]
    return make_engine(planned)


@needs_tool("gcc")
@pytest.mark.parametrize("piece", [1, 7, 100, 48 * 3, 5 * 48 * 3 + 1])
def test_pieces_of_any_size_give_the_same(engine, images, expected, piece):
    engine.piece = piece
    assert (engine.run(images)[0].reshape(2, -1) == expected.reshape(2, -1)).all()


@needs_tool("gcc")
@pytest.mark.parametrize("before", [1, 1000, 48 * 48 * 3])
def test_an_input_that_begins_again_begins_anew(engine, images, expected, before):
    assert engine.take(0, images[1].tobytes()[:before])
    assert (engine.run(images[:1])[0].reshape(-1) == expected[0].reshape(-1)).all()


@needs_tool("gcc")
def test_values_that_are_not_the_next_are_refused_and_do_no_harm(engine, images, expected):
    content = images[0].tobytes()
    assert engine.take(0, content[:1000])
    assert not engine.take(1001, content[1001:1100])
    assert not engine.take(999, content[999:1100])
    assert not engine.take(1000, content[1000:] + b"\0")
    with pytest.raises(AssertionError, match="as complete"):
        engine.finish()
    assert engine.take(1000, content[1000:])
    engine.finish()
    assert (engine.outputs()[0] == expected[0].reshape(-1)).all()
    with pytest.raises(AssertionError, match="as complete"):
        engine.finish()  # it is used up


@needs_tool("gcc")
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("band", [1, 3])
def test_every_first_group_takes_its_input_by_rows(model, make_engine, images, expected, count, band):
    """A single operator, too; and whatever the planner would choose."""
    net = network(model)
    ends = [end for end in range(count, len(net.nodes)) if fused.stages_of(net, 0, end, input_by_rows=True)]
    stages = fused.stages_of(net, 0, ends[0], input_by_rows=True)
    group = fused.group(net, stages, band)
    waited_for = sum(entry.count for entry in group.schedule if entry.stage == 0)
    assert waited_for == stages[0].height
    assert group.rings[net.source] < stages[0].height
    steps = [group, *net.nodes[ends[0] :]]
    planned = plan.placed(net, steps, 2**40)
    assert planned.input_rows == group.rings[net.source]
    engine = make_engine(planned)
    engine.piece = 50
    assert (engine.run(images)[0].reshape(2, -1) == expected.reshape(2, -1)).all()


def test_plain_memory_keeps_the_input_whole(model):
    assert plan.plan(network(model), 2**40).input_rows == 0
