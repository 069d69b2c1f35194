"""Predicted instructions of the kernels against those counted on the emulated Cortex-M7, where they run alone."""

import numpy as np
import pytest
from benchmark_modules import benchmark
from firmware_helpers import needs_compiler, needs_emulator
from operator_files import OperatorFile

from tinytrain.deploy import boards
from tinytrain.deploy.kernels import counts
from tinytrain.deploy.kernels.prepare import prepare
from tinytrain.tflite.model import Model


class Layers(OperatorFile):
    """Adds operators with typical weights, each with its own constants."""

    def __init__(self):
        super().__init__()
        self.random = np.random.default_rng(4)

    def source(self, shape, zero=-3):
        return self.tensor((1, *shape), self.random.integers(-128, 128, (1, *shape)).astype(np.int8), [0.05], zero)

    def weights(self, shape, axis):
        values = self.random.integers(-127, 128, shape).astype(np.int8)
        return self.tensor(shape, values, np.full(shape[axis], 0.01), axis=axis)

    def conv(self, shape, side, filters, stride=1, zero=-128, activation=0):
        inputs = [self.source(shape), self.weights((filters, side, side, shape[2]), 0)]
        self.window("CONV_2D", "Conv2DOptions", inputs, shape, filters, stride, zero, activation)

    def depthwise(self, shape, side, stride=1, zero=-128, activation=0):
        inputs = [self.source(shape), self.weights((1, side, side, shape[2]), 3)]
        name = "DEPTHWISE_CONV_2D"
        self.window(name, "DepthwiseConv2DOptions", inputs, shape, shape[2], stride, zero, activation)

    def window(self, name, options, inputs, shape, filters, stride, zero, activation):
        target = self.tensor((1, -(-shape[0] // stride), -(-shape[1] // stride), filters), None, [1.0], zero)
        numbers = {"strideH": stride, "strideW": stride, "padding": 0, "fusedActivationFunction": activation}
        numbers |= {"dilationHFactor": 1, "dilationWFactor": 1}
        self.operator(name, inputs, target, options, **numbers)

    def dense(self, depth, count):
        inputs = [self.source((depth,)), self.weights((count, depth), 0)]
        self.operator("FULLY_CONNECTED", inputs, self.tensor((1, count), None, [1.0], 5), "FullyConnectedOptions")

    def add(self, shape):
        target = self.tensor((1, *shape), None, [0.2], 5)
        self.operator("ADD", [self.source(shape), self.source(shape, 7)], target, "AddOptions")

    def pool(self, shape):
        numbers = {"filterHeight": shape[0], "filterWidth": shape[1], "strideH": 1, "strideW": 1, "padding": 1}
        target = self.tensor((1, 1, 1, shape[2]), None, [0.05], -3)
        self.operator("AVERAGE_POOL_2D", [self.source(shape)], target, "Pool2DOptions", **numbers)


def layers():
    """Returns a model of shapes as networks have them, and odd ones, that the coefficients are not fitted to."""
    file = Layers()
    file.conv((20, 20, 3), 3, 16, 2)
    file.conv((18, 18, 1), 5, 6, zero=3)
    file.conv((10, 10, 16), 3, 16)
    file.conv((11, 11, 24), 3, 20, 2, zero=0)
    file.conv((10, 10, 16), 1, 96)
    file.conv((10, 10, 96), 1, 16, zero=2)
    file.conv((11, 11, 20), 1, 15, zero=2, activation=1)
    file.conv((10, 10, 24), 1, 32, 2)
    file.depthwise((24, 24, 8), 3)
    file.depthwise((60, 60, 8), 3, 2, zero=1)
    file.depthwise((15, 15, 12), 5, activation=1)
    file.depthwise((18, 18, 6), 5, 2)
    file.depthwise((13, 13, 20), 7)
    file.depthwise((26, 26, 8), 7, 2)
    file.depthwise((1, 1, 40), 3)
    file.dense(100, 12)
    file.dense(1024, 9)
    file.add((13, 13, 24))
    file.pool((5, 5, 64))
    file.pool((6, 6, 30))
    return Model.parse(file.content())


@needs_compiler
@needs_emulator
def test_predictions_are_within_three_percent_of_counts():
    model = layers()
    kernels = [prepare(model, operator) for operator in model.operators]
    numbers = benchmark("alone").counted(kernels, boards.load("mps2_an500"))
    for operator, kernel, number in zip(model.operators, kernels, numbers, strict=True):
        assert counts.alone(kernel) == pytest.approx(number, rel=0.03), f"{operator.name}: {counts.route(kernel)}"
