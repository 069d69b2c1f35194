"""Instructions that fusing adds, estimated from what benchmarks/kernels.py counted on an emulated Cortex-M7."""

from collections.abc import Sequence

from tinytrain.deploy.compiled.fused import Entry, Group, Stage
from tinytrain.deploy.compiled.rows import Reach

ENTRY = 120  # of a call that computes some rows
SPREAD = 1.75  # a value that the depthwise kernel spreads to 16 bits
CHANNEL = 60  # a channel for which it starts anew
LAST_PIXEL = 0.6  # a multiply-accumulate of a pixel without a partner


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
