"""Instructions of a compiled network, and what fusing adds, estimated from counts on an emulated Cortex-M7."""

import math
from collections.abc import Sequence

from tinytrain.deploy.compiled.fused import Group, Stage
from tinytrain.deploy.compiled.nodes import Network, Node
from tinytrain.deploy.kernels import counts, depthwise
from tinytrain.deploy.kernels.windows import Window
from tinytrain.tflite.macs import macs

# What fused operators run more than the same by themselves: a call that computes some rows; of depthwise ones a channel
# for which the kernel starts anew, a value that it spreads once more, one that it sets to the border before; of
# convolutions a multiply-accumulate of a pixel without a partner. From `benchmarks/fused_cost.py --fit`; 36 groups are
# within 13 % with them. The last one is from single operators.
PARTS = {"call": 103.0, "channel": 95.0, "spread": 2.1, "border": 1.6, "last pixel": 0.6}

# Of kernels that counts.py does not have: a multiply-accumulate of conv_any, a value of the output of the others.
ANY_MAC, COPIED = 8.0, 3.0
VALUE = {"multiply": 30.0, "sum": 40.0, "lookup": 6.0, "max_pool": 60.0, "mean": 100.0, "softmax": 300.0}


def instructions(fused: Group, stages: Sequence[Stage]) -> int:
    """Returns how many instructions the group takes more than its nodes by themselves."""
    return round(sum(part * each for part, each in zip(parts(fused, stages), PARTS.values(), strict=True)))


def parts(fused: Group, stages: Sequence[Stage]) -> list[float]:
    """Returns how often each of PARTS runs more than with the nodes by themselves."""
    total = dict.fromkeys(PARTS, 0.0)
    for place, stage in enumerate(stages):
        counts_ = [entry.count for entry in fused.schedule if entry.stage == place]
        total["call"] += len(counts_)
        if stage.node.kernel.name == "depthwise":
            bands = _more_bands(stage, counts_)
            (reach,) = stage.reaches
            _, _, width, channels = _shape(stage)
            total["channel"] += bands * channels
            total["spread"] += bands * channels * width * reach.stride * max(reach.side - reach.stride, 0)
            total["border"] += bands * min(channels, depthwise.PLANES) * width * reach.stride * reach.side
        elif stage.node.kernel.name in ("conv", "conv_1x1"):
            weights = stage.node.operator.inputs[1]
            width = _shape(stage)[2]
            odd = sum(count * width % 2 for count in counts_) - stage.height * width % 2
            total["last pixel"] += odd * math.prod(weights.shape if weights else ())
    return list(total.values())


def _more_bands(stage: Stage, counts_: Sequence[int]) -> int:
    """Returns how many bands a depthwise convolution takes more where it computes so many rows at a time."""
    (reach,), (source, *_) = stage.reaches, stage.node.operator.inputs
    shapes = (source.shape[1:] if source else (), _shape(stage)[1:])
    band = depthwise.band_rows(Window(*shapes, (reach.side,) * 2, (reach.stride,) * 2, (reach.pad,) * 2))
    return sum(-(-count // band) for count in counts_) - -(-stage.height // band)


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
