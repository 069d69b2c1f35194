"""The tail of the arena on a 32-bit core: what TFLM keeps of tensors, operators, inputs and outputs, byte by byte.

Order and sizes are those of micro_allocator.cc, micro_interpreter.cc and their structs, of TFLM of August 2026. Each
record is placed below the one before it, aligned; the end of the arena is aligned to 16 bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tinytrain.deploy.tflm.memory_planner import ALIGNMENT_BYTES
from tinytrain.tflite.model import Operator

# SingleArenaBufferAllocator, GreedyMemoryPlanner, MicroAllocator, MicroBuiltinDataAllocator, SubgraphAllocations
BASE_BYTES = (36, 44, 36, 8, 8)
EVAL_TENSOR_BYTES, NODE_BYTES = 12, 32  # TfLiteEvalTensor of a tensor, NodeAndRegistration of an operator
SCRATCH_HANDLE_BYTES, POINTER_BYTES = 4, 4
# Of an input or output: TfLiteTensor, TfLiteAffineQuantization, its zero point.
TENSOR_BYTES = (32, 12, 8)
WORD_BYTES = 4
# While memory is planned, of each tensor or scratch buffer: AllocationInfo; of those that are planned: what the greedy
# planner has; and ScratchBufferRequest of each, and of 12 more.
INFO_BYTES, PLANNED_BYTES, REQUEST_BYTES, SPARE_REQUESTS = 24, 40, 12, 12


@dataclass(frozen=True)
class Kept:
    """What TFLM keeps of an operator beside its node, in bytes.

    parameters: its parsed options, aligned to a word unless they are a single byte; data: each that its kernel
    allocates, aligned to ALIGNMENT_BYTES.
    """

    parameters: int = 0
    data: tuple[int, ...] = ()


def tail_bytes(tensors: int, operators: Iterable[Kept], scratch: int, inputs: int, outputs: int) -> int:
    """Returns the bytes of the tail of a model.

    Args:
        tensors: how many there are, constants too.
        operators: in the order of the model.
        scratch: how many buffers of scratch memory operators ask for.
        inputs: how many there are.
        outputs: likewise.
    """
    operators = list(operators)
    used = sum(BASE_BYTES) + EVAL_TENSOR_BYTES * tensors + NODE_BYTES * len(operators)
    for each in operators:
        used += each.parameters
        if each.parameters > 1:
            used = _aligned(used, WORD_BYTES)
    for each in operators:
        for size in each.data:
            used = _aligned(used + size, ALIGNMENT_BYTES)
    used = _aligned(used, WORD_BYTES) + SCRATCH_HANDLE_BYTES * scratch
    for count in (inputs, outputs):
        used = _aligned(used + POINTER_BYTES * count, ALIGNMENT_BYTES) + sum(TENSOR_BYTES) * count
    return used


def planning_bytes(tensors: int, planned: int, scratch: int) -> int:
    """Returns what TFLM needs beside the tail while it plans the head, which may be more than the head.

    Args:
        tensors: how many there are, constants too.
        planned: how many of them lie in the head.
        scratch: how many buffers of scratch memory operators ask for.
    """
    infos = REQUEST_BYTES * (scratch + SPARE_REQUESTS) + INFO_BYTES * (tensors + scratch)
    return _aligned(infos, ALIGNMENT_BYTES) + PLANNED_BYTES * (planned + scratch)


def _aligned(used: int, alignment: int) -> int:
    return -(-used // alignment) * alignment


# Of TFLM's own operators with CMSIS-NN and of those of firmware/app/operators_tflm.cc: the parsed options, and what the
# kernel allocates, but for what is there for each channel.
_KEPT = {
    "ADD": Kept(2, (60,)),
    "AVERAGE_POOL_2D": Kept(40, (36,)),
    "AVERAGE_POOL_2D own": Kept(40),
    "CONCATENATION": Kept(8, (24,)),
    "CONV_2D": Kept(28, (60,)),
    "DEPTHWISE_CONV_2D": Kept(28, (60,)),
    "FULLY_CONNECTED": Kept(5, (72,)),
    "HARD_SWISH": Kept(0, (20,)),
    "HARD_SWISH own": Kept(),
    "LOGISTIC": Kept(0, (16,)),
    "LOGISTIC own": Kept(),
    "MAX_POOL_2D": Kept(40, (36,)),
    "MEAN": Kept(1, (44,)),
    "MUL": Kept(1, (36,)),
    "PAD": Kept(0, (56,)),
    "QUANTIZE": Kept(0, (32,)),
    "RELU": Kept(0, (28,)),
    "RELU6": Kept(0, (8,)),
    "RESHAPE": Kept(36),
    "RESIZE_NEAREST_NEIGHBOR": Kept(2),
    "SOFTMAX": Kept(4, (64,)),
    "SUB": Kept(2, (52,)),
    "TANH": Kept(0, (16,)),
    "TANH own": Kept(),
}
_BY_CHANNEL = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")  # multipliers and shifts, where scales are so


def kept(operator: Operator, kind: str) -> Kept | None:
    """Returns what TFLM keeps of an operator that is registered as `kind`; None if that is not known."""
    known = _KEPT.get(f"{operator.name} {kind}", _KEPT.get(operator.name))
    weights = operator.inputs[1] if operator.name in _BY_CHANNEL else None
    if known is None or weights is None or (operator.name == "FULLY_CONNECTED" and len(weights.scale) == 1):
        return known
    numbers = 4 * (weights.shape[3] if operator.name == "DEPTHWISE_CONV_2D" else weights.shape[0])
    return Kept(known.parameters, (*known.data, numbers, numbers))
