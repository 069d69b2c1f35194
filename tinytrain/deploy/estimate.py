"""RAM and flash of a network in int8 from its Keras graph alone: for choosing a network, not for the report."""

import math

import keras

from tinytrain.deploy.tflm import memory_planner
from tinytrain.nn.graph import Call, walk
from tinytrain.quantize.clone_builder import activation_of

# The tail of the arena: multiplier and shift of each output channel, and what fits the interpreter's own record for
# MobileNetV1 and V2 of widths 0.1 to 0.5.
ARENA_CONSTANT_BYTES, ARENA_OPERATOR_BYTES, ARENA_CHANNEL_BYTES = 1400, 222, 8
# The stripped .tflite that the firmware holds beside the weights: bias and scale of each channel, the rest
# fitted to small networks of every kind of operator. An operator with weights takes WEIGHTED more.
MODEL_CONSTANT_BYTES, MODEL_OPERATOR_BYTES, MODEL_WEIGHTED_BYTES, MODEL_CHANNEL_BYTES = 400, 120, 190, 8

WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
FREE = (keras.layers.Dropout, keras.layers.Flatten, keras.layers.Reshape)
CLIPPING = ("linear", "relu", "relu6", "hard_sigmoid")  # into the operator before, as a clipped range of its output


def arena_and_model_bytes(model: keras.Model) -> tuple[int, int]:
    """Estimates the bytes of the arena and of the stripped .tflite that a functional `model` has in int8.

    They are within 10 and 3 % (tests/deploy/test_memory.py) of `memory.target_arena_bytes` and of what
    `tflite.strip.strip` makes of the converted model.
    """
    graph, weighted, weights, channels = schedule(model)
    operators = len(graph.steps)
    arena = (
        memory_planner.head_bytes(graph, cmsis_nn=True)
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


def schedule(model: keras.Model) -> tuple[memory_planner.Schedule, int, int, int]:
    """Returns the operators that `model` will become, how many have weights, their weights and output channels."""
    graph = walk(model)
    tensor = list(range(len(graph.shapes)))  # the one that holds the result of a call; folded calls make none
    planned, weighted, weights, channels = memory_planner.Schedule(), 0, 0, 0
    for call in graph.calls:
        inputs = tuple(tensor[number] for number in call.inputs)
        if _is_free(call.layer, first=inputs[0] in graph.inputs):
            tensor[call.outputs[0]] = inputs[0]
            continue
        if isinstance(call.layer, WEIGHTED):
            weighted += 1
            weights += math.prod(call.layer.kernel.shape)
            channels += graph.shapes[call.output][-1] or 0
        planned.steps += _steps(call, inputs, graph.shapes)
    planned.shapes = {number: tuple(size or 1 for size in shape) for number, shape in enumerate(graph.shapes)}
    planned.inputs, planned.outputs = graph.inputs, tuple(tensor[number] for number in graph.outputs)
    return planned, weighted, weights, channels


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
