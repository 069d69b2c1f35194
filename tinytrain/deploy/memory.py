"""RAM and flash: the arena of the target from a .tflite, and an estimate from the Keras graph alone.

The arena of the target is bounded from above by two numbers:
- the smallest arena in which TFLM's own interpreter works on this machine (oracle.py). Its pointers have 64 bits, so it
  overstates a 32-bit core by 2 to 6 %;
- what CMSIS-NN's scratch buffers add, which that interpreter does not have: the memory plan is recomputed with and
  without them (planner.py), the difference added, and SCRATCH_HANDLE_BYTES for each.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras

from tinytrain.deploy.tflm import memory_planner
from tinytrain.deploy.tflm.interpreter import Oracle
from tinytrain.nn.graph import Call, walk
from tinytrain.quantize.clone_builder import activation_of
from tinytrain.tflite.model import Model

SCRATCH_HANDLE_BYTES = 16  # a pointer and a request in the arena, for each scratch buffer
BOUND, MEASURED, UNKNOWN = "upper bound", "measured in the emulator", "unknown"  # what the size of an arena is
# CMSIS-NN's kernels of these keep sums or ask for scratch by formulas that planner.py does not have.
UNPLANNED = ("BATCH_MATMUL", "SVDF", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM")


@dataclass(frozen=True)
class Memory:
    """What a model needs on a board, in bytes, beside what the board has."""

    arena_bytes: int
    ram_bytes: int  # arena, stack, everything else
    ram_limit_bytes: int
    flash_bytes: int  # model, runtime, firmware
    flash_limit_bytes: int

    @property
    def fits(self) -> bool:
        """True if both RAM and flash are enough."""
        return self.ram_bytes <= self.ram_limit_bytes and self.flash_bytes <= self.flash_limit_bytes

    def report(self) -> dict[str, int]:
        """Returns the section "memory" of report.json."""
        return asdict(self)

    def excess(self) -> str:
        """Returns what is too large, with the numbers; "" if it fits."""
        parts = []
        if self.ram_bytes > self.ram_limit_bytes:
            parts.append(f"{self.ram_bytes:,} bytes of RAM where there are {self.ram_limit_bytes:,}")
        if self.flash_bytes > self.flash_limit_bytes:
            parts.append(f"{self.flash_bytes:,} bytes of flash where there are {self.flash_limit_bytes:,}")
        return " and ".join(parts)


def unplanned(model: Model) -> list[str]:
    """Returns the operators of a model for which `target_arena_bytes` is no bound, each name once."""
    return [name for name in model.counts if name in UNPLANNED]


def target_arena_bytes(model: Model) -> int:
    """Returns an upper bound, a multiple of 16, of the arena that a .tflite needs on a Cortex-M with CMSIS-NN.

    It is none for a model with operators that are UNPLANNED.
    """
    return memory_planner.align(Oracle(model.content).arena_bytes + cmsis_nn_bytes(model))


def cmsis_nn_bytes(model: Model) -> int:
    """Returns what CMSIS-NN's scratch buffers add to the arena of a model."""
    schedule = memory_planner.schedule(model)
    more = memory_planner.head_bytes(schedule, cmsis_nn=True) - memory_planner.head_bytes(schedule, cmsis_nn=False)
    return max(more, 0) + SCRATCH_HANDLE_BYTES * memory_planner.scratch_count(schedule)


# The tail of the arena: multiplier and shift of each output channel, and what fits the interpreter's own record for
# MobileNetV1 and V2 of widths 0.1 to 0.5.
ARENA_CONSTANT_BYTES, ARENA_OPERATOR_BYTES, ARENA_CHANNEL_BYTES = 1400, 222, 8
# The compact .tflite that the firmware holds (compact.py) beside the weights: bias and scale of each channel, the rest
# fitted to small networks of every kind of operator. An operator with weights takes WEIGHTED more.
MODEL_CONSTANT_BYTES, MODEL_OPERATOR_BYTES, MODEL_WEIGHTED_BYTES, MODEL_CHANNEL_BYTES = 400, 120, 190, 8

WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
FREE = (keras.layers.Dropout, keras.layers.Flatten, keras.layers.Reshape)
CLIPPING = ("linear", "relu", "relu6", "hard_sigmoid")  # into the operator before, as a clipped range of its output


def estimate(model: keras.Model) -> tuple[int, int]:
    """Returns (arena_bytes, model_bytes) of a functional `model` in int8, from its graph alone, without converting it.

    The arena as `target_arena_bytes` finds it, the model as compact.py makes it for the firmware. Within 10 and 3 %
    (tests/deploy/test_memory.py): good for choosing a width or resolution, not for the report.
    """
    schedule, weighted, weights, channels = schedule_of(model)
    operators = len(schedule.steps)
    arena = (
        memory_planner.head_bytes(schedule, cmsis_nn=True)
        + ARENA_CONSTANT_BYTES
        + ARENA_OPERATOR_BYTES * operators
        + ARENA_CHANNEL_BYTES * channels
    )
    content = (
        weights
        + MODEL_CONSTANT_BYTES
        + MODEL_OPERATOR_BYTES * operators
        + MODEL_WEIGHTED_BYTES * weighted
        + MODEL_CHANNEL_BYTES * channels
    )
    return memory_planner.align(arena), content


def schedule_of(model: keras.Model) -> tuple[memory_planner.Schedule, int, int, int]:
    """Returns the operators that `model` will become, how many have weights, their weights and output channels."""
    graph = walk(model)
    name = list(range(len(graph.shapes)))  # under which tensor the result of a call is found; folded calls make none
    schedule, weighted, weights, channels = memory_planner.Schedule(), 0, 0, 0
    for call in graph.calls:
        inputs = tuple(name[number] for number in call.inputs)
        if _is_free(call.layer, first=inputs[0] in graph.inputs):
            name[call.outputs[0]] = inputs[0]
            continue
        if isinstance(call.layer, WEIGHTED):
            weighted += 1
            weights += math.prod(call.layer.kernel.shape)
            channels += graph.shapes[call.output][-1] or 0
        schedule.steps += _steps(call, inputs, graph.shapes)
    schedule.shapes = {number: tuple(size or 1 for size in shape) for number, shape in enumerate(graph.shapes)}
    schedule.inputs, schedule.outputs = graph.inputs, tuple(name[number] for number in graph.outputs)
    return schedule, weighted, weights, channels


def _is_free(layer: keras.Layer, first: bool) -> bool:
    """True if `layer` becomes no operator of its own; on the image itself (`first`) only a Rescaling can be folded."""
    if isinstance(layer, keras.layers.Rescaling):
        return first
    if isinstance(layer, keras.layers.BatchNormalization):
        return not first
    if isinstance(layer, keras.layers.ReLU | keras.layers.Activation):
        return not first and activation_of(layer) in CLIPPING
    return isinstance(layer, FREE)


def _steps(call: Call, inputs: tuple[int, ...], shapes: list[tuple[int | None, ...]]) -> list[memory_planner.Step]:
    """Returns the operators of one call; swish is two, the first of which makes one more tensor of the same shape."""
    layer = call.layer
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        plain = max(layer.dilation_rate) == 1
        return [memory_planner.Step("DEPTHWISE_CONV_2D", inputs, call.outputs, layer.kernel_size, plain)]
    if isinstance(layer, keras.layers.Conv2D):
        plain = max(layer.dilation_rate) == 1 and layer.groups == 1
        return [memory_planner.Step("CONV_2D", inputs, call.outputs, layer.kernel_size, plain)]
    if activation_of(layer) == "silu":
        shapes.append(shapes[call.output])
        gate = (len(shapes) - 1,)
        return [
            memory_planner.Step("LOGISTIC", inputs, gate),
            memory_planner.Step("MUL", (*inputs, *gate), call.outputs),
        ]
    pooled = isinstance(layer, keras.layers.GlobalAveragePooling2D | keras.layers.AveragePooling2D)
    return [memory_planner.Step("AVERAGE_POOL_2D" if pooled else type(layer).__name__, inputs, call.outputs)]


def suggest(
    build: Callable[[float, int], keras.Model],
    width: float,
    resolution: int,
    fits: Callable[[int, int], bool],
    verify: Callable[[keras.Model], bool] | None = None,
) -> str:
    """Returns the nearest smaller width and the nearest smaller resolution that fit, as the end of a sentence.

    Where neither alone does (flash depends on the width, RAM on both), it is a smaller width with a smaller resolution.

    `build(width, resolution)` returns the network, `fits(arena_bytes, model_bytes)` says whether an estimate fits the
    board, `verify(model)` (if given) whether the model does when converted for real: it has the last word. Widths are
    searched in steps of 0.05, resolutions in steps of 8 pixels down to 16.
    """
    widths = [step / 20 for step in range(math.ceil(width * 20 - 1e-9) - 1, 0, -1)]
    resolutions = list(range((resolution - 1) // 8 * 8, 15, -8))

    def first(candidates: Sequence[Any], build_one: Callable[[Any], keras.Model]) -> Any:
        """Returns the first of `candidates`, largest first, that fits: by halving, then verified going down."""
        low, high = 0, len(candidates)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(*estimate(build_one(candidates[middle]))) else (middle + 1, high)
        return next((c for c in candidates[low:] if verify is None or verify(build_one(c))), None)

    found = [
        ("model.width", first(widths, lambda smaller: build(smaller, resolution))),
        ("model.resolution", first(resolutions, lambda smaller: build(width, smaller))),
    ]
    words = [f"{key}={value:g}" for key, value in found if value is not None]
    if not words and resolutions:
        thin = next((width for width in widths if fits(*estimate(build(width, resolutions[-1])))), None)
        side = thin and first(resolutions, lambda smaller: build(thin, smaller))
        words = [f"model.width={thin:g} with model.resolution={side:g}"] if side else []
    return "nearest that fits: " + " or ".join(words) if words else "no smaller width and resolution fit"
