"""TFLM's memory plan for the activations, recomputed: the head of the arena, with and without CMSIS-NN's scratch.

TFLM's greedy planner (micro/memory_planner/greedy_memory_planner.cc) places the largest buffer first, each at the
lowest offset where it meets none that lives at the same time. A tensor lives from the operator that writes it to the
last that reads it, the network's input from the start, its outputs to the end; sizes are rounded up to 16 bytes.
CMSIS-NN kernels ask for scratch buffers on top, which live during one operator.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tinytrain.tflite.model import Model, Operator, Tensor

Shape = tuple[int, ...]
ALIGNMENT_BYTES = 16  # MicroArenaBufferAlignment


@dataclass(frozen=True)
class Step:
    """One operator; of a convolution its `kernel` (height, width), and `plain`: not dilated, no groups."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    kernel: tuple[int, ...] = (1, 1)
    plain: bool = True


@dataclass
class Schedule:
    """The operators in order, and the shapes (1, H, W, C) of the int8 tensors that they read and write."""

    steps: list[Step] = field(default_factory=list)
    shapes: dict[int, Shape] = field(default_factory=dict)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Buffer:
    """Bytes that are needed from time `first` to time `last`, both included; time 0 is before the first operator."""

    size_bytes: int
    first: int
    last: int
    scratch: bool = False  # of CMSIS-NN, no tensor


def align(size_bytes: int) -> int:
    """Returns `size_bytes` rounded up to the alignment of the arena."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def head_bytes(schedule: Schedule, cmsis_nn: bool) -> int:
    """Returns the bytes at the head of the arena, with or without the scratch buffers of CMSIS-NN."""
    return planned_bytes(buffers(schedule, cmsis_nn))


def buffers(schedule: Schedule, cmsis_nn: bool) -> list[Buffer]:
    """Returns what lies at the head of the arena, with or without the scratch buffers of CMSIS-NN."""
    scratch = [
        Buffer(align(size), time, time, scratch=True)
        for time, step in enumerate(schedule.steps, 1)
        if cmsis_nn and (size := scratch_bytes(step, schedule.shapes))
    ]
    return [*_tensors(schedule), *scratch]


def scratch_bytes(step: Step, shapes: Mapping[int, Shape]) -> int:
    """Returns what CMSIS-NN's kernel of `step` asks for on a core with DSP instructions and without MVE, built by gcc.

    The formulas of arm_convolve_get_buffer_sizes_s8.c, arm_depthwise_conv_get_buffer_sizes_s8.c and
    arm_avgpool_get_buffer_sizes_s8.c; FULLY_CONNECTED, ADD, MUL, MAX_POOL_2D and SOFTMAX ask for nothing there.
    """
    area = math.prod(step.kernel)
    channels_in, channels_out = ((1, *shapes[tensor])[-1] for tensor in (step.inputs[0], step.outputs[0]))
    if step.name == "CONV_2D" and not (area == 1 and step.plain):
        return 2 * 2 * (-(-area * channels_in // 4) * 4)  # two columns of int16, of a multiple of 4
    if step.name == "DEPTHWISE_CONV_2D" and channels_in == channels_out and step.plain and step.kernel != (3, 3):
        return 2 * area * channels_in  # the kernel's window in int16
    if step.name == "AVERAGE_POOL_2D":
        return 4 * channels_in  # int32 sums
    return 0


def scratch_of(step: Step, shapes: Mapping[int, Shape]) -> tuple[int, ...]:
    """Returns the sizes of all scratch buffers that TFLM's kernel of `step` asks for, with CMSIS-NN.

    Of an operator that reads constants alone they are not known, and none is returned.
    """
    if not step.inputs:
        return ()
    if step.name in ("MEAN", "SUM"):  # micro/kernels/reduce_common.cc: iterator, axes, sums
        return 4 * len(shapes[step.inputs[0]]), ALIGNMENT_BYTES, 4 * math.prod(shapes[step.outputs[0]])
    size = scratch_bytes(step, shapes)
    return (size,) if size else ()


def scratch_count(schedule: Schedule) -> int:
    """Returns how many operators ask for scratch."""
    return sum(scratch_bytes(step, schedule.shapes) > 0 for step in schedule.steps)


def planned_bytes(buffers: Iterable[Buffer]) -> int:
    """Returns the bytes that TFLM's greedy planner needs for `buffers`."""
    return max((offset + buffer.size_bytes for offset, buffer in plan(buffers)), default=0)


def plan(buffers: Iterable[Buffer]) -> list[tuple[int, Buffer]]:
    """Returns (offset in bytes, buffer) as TFLM's greedy planner places them; of equal size, the later goes first."""
    placed: list[tuple[int, Buffer]] = []
    latest_first = list(buffers)[::-1]
    for buffer in sorted(latest_first, key=lambda buffer: -buffer.size_bytes):
        offset = 0
        for start, other in placed:  # in the order of their offsets
            if other.first <= buffer.last and buffer.first <= other.last:
                if start - offset >= buffer.size_bytes:
                    break
                offset = max(offset, start + other.size_bytes)
        placed.append((offset, buffer))
        placed.sort(key=lambda entry: entry[0])
    return placed


def _tensors(schedule: Schedule) -> list[Buffer]:
    first = dict.fromkeys(schedule.inputs, 0)
    last = dict.fromkeys(schedule.inputs, 0)
    for time, step in enumerate(schedule.steps, 1):
        for tensor in step.outputs:
            first.setdefault(tensor, time)
        last.update(dict.fromkeys((*step.inputs, *step.outputs), time))
    last.update(dict.fromkeys(schedule.outputs, len(schedule.steps)))
    return [Buffer(align(math.prod(schedule.shapes[tensor])), first[tensor], last[tensor]) for tensor in sorted(first)]


def schedule(model: Model) -> Schedule:
    """Returns the schedule of a .tflite of one subgraph, constants left out."""
    tensors = [tensor for operator in model.operators for tensor in (*_activations(operator), *operator.outputs)]
    return Schedule(
        steps=[_step(operator) for operator in model.operators],
        shapes={tensor.index: tensor.shape for tensor in (*model.inputs, *tensors, *model.outputs)},
        inputs=tuple(tensor.index for tensor in model.inputs),
        outputs=tuple(tensor.index for tensor in model.outputs),
    )


def _activations(operator: Operator) -> list[Tensor]:
    """Returns the inputs of an operator that are no constants."""
    return [tensor for tensor in operator.inputs if tensor is not None and not tensor.constant]


def _step(operator: Operator) -> Step:
    inputs, outputs = (
        tuple(tensor.index for tensor in tensors) for tensors in (_activations(operator), operator.outputs)
    )
    if operator.name not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return Step(operator.name, inputs, outputs)
    source, weights = (() if tensor is None else tensor.shape for tensor in operator.inputs[:2])
    dilation = max(operator.options.get("dilationHFactor", 1), operator.options.get("dilationWFactor", 1))
    grouped = operator.name == "CONV_2D" and weights[3] != source[-1]
    return Step(operator.name, inputs, outputs, weights[1:3], plain=dilation == 1 and not grouped)
