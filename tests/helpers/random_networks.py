"""Random int8 networks from blocks as the architectures have them, built without a converter: many in one file."""

import numpy as np
from operator_files import OperatorFile
from random_operators import padded

ACTIVATIONS = (0, 1, 3)  # none, relu, relu6
STEP = 0.1  # the scale of most activations


class NetworkFile(OperatorFile):
    """Operators that read each other's outputs. The outputs of the model are those of `output`."""

    def __init__(self, random, shape):
        super().__init__()
        self.random, self.shapes = random, {}
        self.image = self.tensor(shape, None, [STEP], 5)
        self.shapes[self.image] = shape
        self.graph.inputs = [self.image]

    def apply(self, name, inputs, shape, table="", quantization=None, **options):
        """Adds an operator and returns its output, whose scale and zero point are drawn if not given."""
        if quantization is None:
            quantization = STEP * 2.0 ** self.random.uniform(-0.5, 0.5), int(self.random.integers(-128, 100))
        scale, zero = quantization
        target = self.tensor(shape, None, [float(np.float32(scale))], zero)
        self.shapes[target] = tuple(int(side) for side in shape)
        self.operator(name, inputs, target, table, **options)
        self.graph.outputs.pop()  # of the model are those that `output` names
        return target

    def output(self, number):
        self.graph.outputs.append(number)

    def _weights(self, shape, depth, axis):
        count = shape[axis]
        values = self.random.integers(-127, 128, shape).astype(np.int8)
        scales = (self.random.uniform(0.5, 2, count) / (70 * np.sqrt(depth))).astype(np.float32)
        biases = self.random.integers(-1000, 1000, count).astype(np.int32)
        return [self.tensor(shape, values, scales, axis=axis), self.tensor((count,), biases)]

    def _window(self, shape, side, stride, same):
        return [padded(each, side, stride, same) for each in shape[1:3]]

    def conv(self, source, filters, side=1, stride=1, same=True):
        shape = self.shapes[source]
        weights = self._weights((filters, side, side, shape[3]), side * side * shape[3], 0)
        target = (1, *self._window(shape, side, stride, same), filters)
        return self.apply("CONV_2D", [source, *weights], target, "Conv2DOptions", **self._options(stride, same))

    def depthwise(self, source, side=3, stride=1, same=True):
        shape = self.shapes[source]
        weights = self._weights((1, side, side, shape[3]), side * side, 3)
        target = (1, *self._window(shape, side, stride, same), shape[3])
        options = self._options(stride, same) | {"depthMultiplier": 1}
        return self.apply("DEPTHWISE_CONV_2D", [source, *weights], target, "DepthwiseConv2DOptions", **options)

    def _options(self, stride, same):
        options = {"strideH": stride, "strideW": stride, "padding": 0 if same else 1}
        options |= {"dilationHFactor": 1, "dilationWFactor": 1}
        return options | {"fusedActivationFunction": int(self.random.choice(ACTIVATIONS))}

    def pool(self, source, name, side=2, stride=2):
        shape = self.shapes[source]
        target = (1, *self._window(shape, side, stride, True), shape[3])
        options = {"filterHeight": side, "filterWidth": side, "strideH": stride, "strideW": stride, "padding": 0}
        return self.apply(name, [source], target, "Pool2DOptions", self._quantization(source), **options)

    def pad(self, source, amount=1):
        _, height, width, channels = self.shapes[source]
        table = self.tensor((4, 2), np.array([[0, 0], [amount, amount], [amount, amount], [0, 0]], np.int32))
        target = (1, height + 2 * amount, width + 2 * amount, channels)
        return self.apply("PAD", [source, table], target, "PadOptions", self._quantization(source))

    def reshape(self, source, shape):
        return self.apply(
            "RESHAPE", [source], shape, "ReshapeOptions", self._quantization(source), newShape=list(shape)
        )

    def _quantization(self, number):
        quantization = self.graph.tensors[number].quantization
        return quantization.scale[0], quantization.zeroPoint[0]

    def add(self, first, second):
        return self.apply("ADD", [first, second], self.shapes[first], "AddOptions")

    def gate(self, source):
        """Squeeze-excite."""
        shape = self.shapes[source]
        axes = self.tensor((2,), np.array([1, 2], np.int32))
        pooled = self.apply("MEAN", [source, axes], (1, 1, 1, shape[3]), "ReducerOptions", keepDims=True)
        logits = self.conv(self.conv(pooled, 4), shape[3])
        gate = self.apply("LOGISTIC", [logits], (1, 1, 1, shape[3]), "", (1 / 256, -128))
        return self.apply("MUL", [source, gate], shape, "MulOptions")

    def inverted(self, source, side=3, stride=1, gate=False):
        """Expand, depthwise, project, and where it fits the sum with the input."""
        channels = self.shapes[source][3]
        middle = self.depthwise(self.conv(source, int(self.random.choice((6, 12, 17)))), side, stride)
        result = self.conv(self.gate(middle) if gate else middle, channels)
        return self.add(source, result) if stride == 1 else result

    def residual(self, source, filters, stride=1):
        """Two convolutions, and the sum with the input, or with its projection."""
        result = self.conv(self.conv(source, filters, 3, stride), filters, 3)
        if stride == 1 and filters == self.shapes[source][3]:
            return self.add(result, source)
        return self.add(result, self.conv(source, filters, 1, stride))


def joined_blocks(random, shape=(1, 15, 13, 3)):
    """Returns a model of many small networks that read one image."""
    file = NetworkFile(random, shape)
    for side in (3, 5, 7):
        for stride in (1, 2):
            stem = file.conv(file.image, 8, 3, int(random.integers(1, 3)), same=bool(random.random() < 0.5))
            file.output(file.inverted(stem, side, stride))
    file.output(file.inverted(file.conv(file.image, 8), 3, 1, gate=True))
    file.output(file.conv(file.depthwise(file.conv(file.image, 12, 3, 2)), 6))
    for filters, stride in ((8, 1), (11, 2)):
        file.output(file.residual(file.conv(file.image, 8, 3), filters, stride))
    file.output(file.conv(file.conv(file.conv(file.image, 4), 9, 3), 20))  # outgrows what it reads
    for name in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        file.output(file.conv(file.pool(file.conv(file.pad(file.image), 7, 3, 1, same=False), name, 3, 2), 5))
    wide = file.apply("HARD_SWISH", [file.conv(file.image, 8)], (*shape[:3], 8), "HardSwishOptions")
    file.output(
        file.reshape(
            file.conv(file.inverted(file.inverted(wide), 5, 2), 4), (1, -(-shape[1] // 2) * -(-shape[2] // 2) * 4)
        )
    )
    return file.content()
