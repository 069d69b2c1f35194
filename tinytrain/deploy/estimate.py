"""RAM and flash of a network in int8 from its Keras graph alone: for choosing a network, not for the report."""

import struct
from dataclasses import dataclass, field

import keras
import numpy as np

from tinytrain.deploy.compiled import outline, plan
from tinytrain.deploy.kernels import add, average_pool, conv, depthwise, placement
from tinytrain.deploy.kernels.placement import Needs
from tinytrain.deploy.kernels.windows import Window
from tinytrain.deploy.tflm import arena_tail, memory_planner
from tinytrain.deploy.tflm.arena_tail import Kept
from tinytrain.nn.graph import Call, walk
from tinytrain.quantize.clone_builder import activation_of

# The flatbuffer beside the blocks of our kernels, fitted to small networks of every kind of operator.
MODEL_CONSTANT_BYTES, MODEL_OPERATOR_BYTES = 400, 180
ORDERS = 30  # of the placement, of hundreds when it is exported
KEPT = Kept(1, (36,))  # of an operator of TFLM's, about

WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
FREE = (keras.layers.Dropout, keras.layers.Flatten, keras.layers.Reshape)
CLIPPING = ("linear", "relu", "relu6", "hard_sigmoid")  # into the operator before, as a clipped range of its output


@dataclass
class Network:
    """The operators that a network will become.

    Attributes:
        schedule: the operators in order, with the tensors that they read and write.
        needs: of each operator, None if TFLM runs it.
        block_bytes: of all blocks, and of the weights and biases of the layers that TFLM runs.
    """

    schedule: memory_planner.Schedule = field(default_factory=memory_planner.Schedule)
    needs: list[Needs | None] = field(default_factory=list)
    block_bytes: int = 0


def arena_and_model_bytes(model: keras.Model, compiled: bool = False) -> tuple[int, int]:
    """Estimates the bytes of the arena and of the model in the firmware that a functional `model` has in int8.

    Args:
        model: the network.
        compiled: whether the compiled engine runs it, with the least memory; else TFLM does.

    Returns:
        Both within 10 and 3 % (tests/deploy/test_memory.py) of those of the converted model.
    """
    network = read(model)
    if compiled:
        least = plan.plan(outline.network(model, network.schedule, network.needs))
        return least.arena_bytes, network.block_bytes
    schedule, needs = network.schedule, network.needs
    planned = placement.plan(schedule, needs, orders=ORDERS)
    tensors = len(planned.offsets) + sum(need is not None for need in needs)
    kept = [KEPT if need is None else Kept() for need in needs]
    tail = arena_tail.tail_bytes(tensors, kept, planned.scratch_count, 1, len(schedule.outputs))
    content = network.block_bytes + MODEL_CONSTANT_BYTES + MODEL_OPERATOR_BYTES * len(needs)
    start = arena_tail.planning_bytes(tensors, len(planned.offsets), planned.scratch_count)
    return memory_planner.align(max(planned.head_bytes, start) + tail), content


def read(model: keras.Model) -> Network:
    """Returns the operators that `model` will become."""
    graph = walk(model)
    tensor = list(range(len(graph.shapes)))  # the one that holds the result of a call; folded calls make none
    network = Network()
    planned = network.schedule
    for call in graph.calls:
        inputs = tuple(tensor[number] for number in call.inputs)
        if _is_free(call.layer, first=inputs[0] in graph.inputs):
            tensor[call.outputs[0]] = inputs[0]
            continue
        steps = _steps(call, inputs, graph.shapes)
        planned.steps += steps
        kernel = _kernel(call, graph.shapes) if len(steps) == 1 else None
        network.needs += [kernel[0] if kernel else None] * len(steps)
        network.block_bytes += kernel[1] if kernel else _weight_bytes(call.layer)
    planned.shapes = {number: tuple(size or 1 for size in shape) for number, shape in enumerate(graph.shapes)}
    planned.inputs, planned.outputs = graph.inputs, tuple(tensor[number] for number in graph.outputs)
    return network


def _kernel(call: Call, shapes: list[tuple[int | None, ...]]) -> tuple[Needs, int] | None:
    """Returns what our kernel of a call asks for and the bytes of its block; None if TFLM runs it."""
    layer, source, target = call.layer, *(tuple(size or 1 for size in shapes[n]) for n in (call.inputs[0], call.output))
    if isinstance(layer, keras.layers.Dense) and len(source) == 2:
        window = Window.between((1, 1, source[1]), (1, 1, target[1]), (1, 1), (1, 1), same=False)
        return Needs((conv.scratch_bytes(window),)), conv.block_bytes(window)
    if isinstance(layer, keras.layers.Add) and all(shapes[n] == shapes[call.output] for n in call.inputs):
        return Needs(lead=0), struct.calcsize(add.BLOCK)
    if isinstance(layer, keras.layers.GlobalAveragePooling2D | keras.layers.AveragePooling2D):
        return Needs(), struct.calcsize(average_pool.BLOCK)
    if not isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D) or max(layer.dilation_rate) > 1:
        return None
    window = Window.between(source[1:], target[1:], layer.kernel_size, layer.strides, layer.padding == "same")
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        if layer.kernel_size not in depthwise.WINDOWS or layer.strides not in depthwise.STRIDES:
            return None
        return _needs(depthwise.scratch_bytes(window), depthwise.lead(window)), depthwise.block_bytes(window)
    if layer.groups > 1:
        return None
    return _needs(conv.scratch_bytes(window), conv.lead(window)), conv.block_bytes(window)


def _weight_bytes(layer: keras.Layer) -> int:
    """Returns the bytes of the weights in int8 and of the biases in int32."""
    if not isinstance(layer, WEIGHTED):
        return 0
    biases = layer.kernel.shape[-1]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        biases *= layer.kernel.shape[-2]
    return int(np.prod(layer.kernel.shape)) + 4 * biases


def _needs(scratch_bytes: int, lead: int) -> Needs:
    return Needs((scratch_bytes,) if scratch_bytes else (), lead)


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
