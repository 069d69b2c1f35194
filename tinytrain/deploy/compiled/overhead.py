"""Instructions of a compiled network, and what fusing adds, estimated from counts on an emulated Cortex-M7."""

import math
from collections.abc import Sequence

from tinytrain.deploy.compiled.fused import Entry, Group, Stage
from tinytrain.deploy.compiled.nodes import Network, Node
from tinytrain.deploy.compiled.rows import Reach
from tinytrain.deploy.kernels import counts
from tinytrain.tflite.macs import macs

ENTRY = 120  # of a call that computes some rows
SPREAD = 1.75  # a value that the depthwise kernel spreads to 16 bits
CHANNEL = 60  # a channel for which it starts anew
LAST_PIXEL = 0.6  # a multiply-accumulate of a pixel without a partner

# Of kernels that counts.py does not have: a multiply-accumulate of conv_any, a value of the output of the others.
ANY_MAC, COPIED = 8.0, 3.0
VALUE = {"multiply": 30.0, "sum": 40.0, "lookup": 6.0, "max_pool": 60.0, "mean": 100.0, "softmax": 300.0}


def instructions(fused: Group, stages: Sequence[Stage]) -> int:
    """Returns how many instructions the group takes more than its nodes by themselves."""
    total = 0.0
    for place, stage in enumerate(stages):
        entries = [entry for entry in fused.schedule if entry.stage == place]
        total += ENTRY * len(entries)
        if stage.node.kernel.name == "depthwise":
            total += _depthwise(stage, entries)
        elif stage.node.kernel.name in ("conv", "conv_1x1"):
            total += _convolution(stage, entries)
    return round(total)


def _depthwise(stage: Stage, entries: Sequence[Entry]) -> float:
    """Each band spreads the rows that its windows share with those of the band before once more."""
    (reach,) = stage.reaches
    _, _, width, channels = _shape(stage)
    return len(entries) * (CHANNEL * channels + max(_shared(reach), 0) * width * reach.stride * channels * SPREAD)


def _shared(reach: Reach) -> int:
    return reach.side - reach.stride


def _convolution(stage: Stage, entries: Sequence[Entry]) -> float:
    """Pixels go by pairs; an odd number of them leaves one over in each entry."""
    weights = stage.node.operator.inputs[1]
    shape = () if weights is None else weights.shape
    macs = 1
    for size in shape:
        macs *= size
    return LAST_PIXEL * macs * sum(entry.count * _shape(stage)[2] % 2 for entry in entries)


def _shape(stage: Stage) -> tuple[int, ...]:
    return stage.node.operator.outputs[0].shape


def plain(network: Network) -> float:
    """Returns the instructions of an inference without anything fused, estimated."""
    return sum(_node(node) for node in network.nodes)


def by_operator(network: Network) -> list[float]:
    """Returns the instructions of each operator of the model by itself, estimated, 0 where nothing runs."""
    costs = [0.0] * len(network.model.operators)
    for node in network.nodes:
        costs[node.number] = _node(node)
    return costs


def _node(node: Node) -> float:
    if counts.route(node.kernel) in counts.COEFFICIENTS:
        return counts.alone(node.kernel)
    if node.kernel.name == "conv_any":
        return ANY_MAC * macs(node.operator)
    return VALUE.get(node.kernel.name, COPIED) * math.prod(node.operator.outputs[0].shape)
