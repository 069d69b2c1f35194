"""The network that a Keras model will become in the compiled engine, by shapes alone: for estimates of its arena."""

import math
import struct

import keras

from tinytrain.deploy.compiled.nodes import Network, Node
from tinytrain.deploy.compiled.rows import ONE_BY_ONE, Reach
from tinytrain.deploy.kernels import depthwise
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.placement import Needs
from tinytrain.deploy.kernels.windows import Window
from tinytrain.deploy.tflm.memory_planner import Schedule, Step
from tinytrain.nn.graph import walk
from tinytrain.tflite.model import Model, Operator, Tensor

Shape = tuple[int, ...]
# Kernels by the name of an operator or of a layer, and how the output may overwrite the input.
KERNELS: dict[str, tuple[str, int | None]] = {
    "LOGISTIC": ("lookup", 0),
    "Activation": ("lookup", 0),
    "LeakyReLU": ("lookup", 0),
    "PReLU": ("lookup", 0),
    "MUL": ("multiply", None),
    "Multiply": ("multiply", None),
    "Add": ("add", 0),
    "ADD": ("add", 0),
    "AVERAGE_POOL_2D": ("average_pool", None),
    "MaxPooling2D": ("max_pool", None),
}
POOLS = keras.layers.AveragePooling2D | keras.layers.MaxPooling2D


def network(model: keras.Model, schedule: Schedule, needs: list[Needs | None]) -> Network:
    """Returns the network; it can be planned, but not written as C.

    Args:
        model: a functional model.
        schedule: the operators that it will become, as estimate.read returns them.
        needs: what their kernels ask for, None of operators that TFLM's kernels would run.
    """
    layers = {call.output: call.layer for call in walk(model).calls}
    tensors = {
        number: Tensor(str(number), shape, "int8", (), (), constant=False, index=number)
        for number, shape in schedule.shapes.items()
    }
    nodes = [
        _node(number, step, need, layers.get(step.outputs[0]), tensors)
        for number, (step, need) in enumerate(zip(schedule.steps, needs, strict=True))
    ]
    buffers = [*schedule.inputs, *(node.output for node in nodes)]
    sizes = {number: math.prod(tensors[number].shape) for number in buffers}
    return Network(Model(b"", (), (), (), 1, None), nodes, sizes, schedule.inputs[0], list(schedule.outputs))


def _node(number: int, step: Step, need: Needs | None, layer: keras.Layer | None, tensors: dict[int, Tensor]) -> Node:
    name, lead = KERNELS.get(step.name, ("", None))
    inputs, output = [tensors[source] for source in step.inputs], tensors[step.outputs[0]]
    if step.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        name = "conv_any" if need is None else "depthwise" if step.name == "DEPTHWISE_CONV_2D" else "conv"
    if name == "multiply" and inputs[0].shape == output.shape:
        lead = 0
    kernel = Kernel(name, struct.pack("<I", sum(need.scratch) if need else 0), lead if need is None else need.lead)
    reaches = _reaches(name, [tensor.shape for tensor in inputs], output.shape, layer)
    weights = (Tensor("", _weights(layer), "int8", (), (), constant=True),) if name.startswith("conv") else ()
    return Node(number, Operator(step.name, (*inputs, *weights), (output,)), kernel, step.inputs, output.index, reaches)


def _weights(layer: keras.Layer | None) -> Shape:
    return tuple(layer.kernel.shape) if isinstance(layer, keras.layers.Conv2D) else ()


def _reaches(name: str, sources: list[Shape], target: Shape, layer: keras.Layer | None) -> list[Reach] | None:
    if len(target) != 4 or target[1] < 2 or len(sources[0]) != 4:
        return None
    if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        same = layer.padding == "same"
        window = Window.between(sources[0][1:], target[1:], layer.kernel_size, layer.strides, same, layer.dilation_rate)
        side = (window.sides[0] - 1) * window.dilations[0] + 1
        is_small = name == "depthwise" and depthwise.is_small(window)
        return None if is_small else [Reach(side, window.strides[0], window.padding[0])]
    if isinstance(layer, POOLS):
        window = Window.between(sources[0][1:], target[1:], layer.pool_size, layer.strides, layer.padding == "same")
        return [Reach(window.sides[0], window.strides[0], window.padding[0])]
    if isinstance(layer, keras.layers.ZeroPadding2D):
        return [Reach(pad=layer.padding[0][0])]
    if name in ONE_BY_ONE:
        return [Reach() if shape == target else Reach(whole=True) for shape in sources]
    return None
