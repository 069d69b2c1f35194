"""Taps: the tensors inside an architecture that a detector's head reads, one for each stride."""

import re

import keras

from tinytrain.errors import UserError
from tinytrain.nn.blocks import Tensor
from tinytrain.nn.graph import Call, walk

BLOCK = re.compile(r"block\d+")  # what the names of a block's layers begin with, in every architecture
LAST = "head"  # what the names of the last 1x1 convolution of some of them begin with


def taps(network: keras.Model, with_last: bool = False) -> dict[int, Tensor]:
    """Returns {stride: the output of the last block with that stride}, smallest stride first.

    A block ends with its projection, its shortcut or its activation. The last 1x1 convolution before the pooling is
    no block: it belongs to the classifier (detection.md C.1).

    Args:
        network: an architecture of tinytrain/models, (B, R, R, C) -> logits.
        with_last: whether that convolution takes the place of the last block.

    Raises:
        UserError: the network has no blocks.
    """
    ends: dict[str, Call] = {}  # block -> what computes its last tensor
    strides: dict[int, int] = {}  # of tensors; their sides would not tell where they are rounded
    for call in walk(network).calls:
        step = getattr(call.layer, "strides", (1,))[0]
        strides |= dict.fromkeys(
            call.outputs, step * max([strides.get(number, 1) for number in call.inputs], default=1)
        )
        block = BLOCK.match(call.layer.name)
        if block or (with_last and call.layer.name.startswith(LAST)):
            ends[block.group() if block else LAST] = call
    if not ends:
        raise UserError(f"the model '{network.name}' has no blocks: a detector needs an architecture with some")
    by_stride = {strides[call.output]: call for call in ends.values()}
    return {stride: call.layer.output for stride, call in sorted(by_stride.items())}
