"""The kernels of firmware/kernels on this computer: bit for bit the outputs of TFLM's reference kernels."""

import itertools
from collections import Counter

import numpy as np
import pytest
from conftest import needs_tool
from host_kernels import HostKernels
from operator_files import OperatorFile
from random_operators import add_conv, add_dense, add_depthwise, add_pool, add_sum
from random_others import (
    add_broadcast_sum,
    add_concatenation,
    add_conv_any,
    add_depthwise_any,
    add_lookup,
    add_max_pool,
    add_mean,
    add_pad,
    add_product,
    add_resize,
    add_softmax,
    add_transpose,
    add_vectors,
)

from tinytrain.deploy.compiled.prepare import prepare_each
from tinytrain.deploy.kernels import block_outputs
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model

SMALL_MAPS = [  # every window, stride and shape up to 4x4
    {"window": window, "sides": sides}
    for window in itertools.product((3, 5, 7), (1, 2))
    for sides in itertools.product(range(1, 5), repeat=2)
]
COPIES = (add_pad, add_concatenation, add_resize, add_max_pool, add_transpose)
# Of each model how many random operators of each kind, and at most how many of them have no kernel.
DRAWN = {
    "conv": ([(add_conv, {}, 500)], 0.05),
    "conv_1x1": ([(add_conv, {"plain": True}, 300)], 0.05),
    "depthwise": ([(add_depthwise, {}, 500)], 0.05),
    "depthwise_small": ([(add_depthwise, each, 4) for each in SMALL_MAPS], 0.05),
    "fully_connected": ([(add_dense, {}, 300), (add_vectors, {}, 50)], 0.05),
    "add": ([(add_sum, {}, 200)], 0.05),
    "average_pool": ([(add_pool, {}, 200)], 0.0),
    "general_windows": ([(add_conv_any, {}, 200), (add_depthwise_any, {}, 200)], 0.05),
    "sums_and_products": ([(add_product, {}, 250), (add_broadcast_sum, {}, 250), (add_mean, {}, 150)], 0.05),
    "copies": ([(each, {}, 100) for each in COPIES], 0.0),
    "tables": ([(add_softmax, {}, 150), (add_lookup, {}, 50)], 0.0),
}
IN_TFLM = ("conv", "conv_1x1", "depthwise", "fully_connected", "add", "average_pool")  # blocks that an export proves
INPUTS = {"ADD": 2, "SUB": 2, "MUL": 2, "CONCATENATION": 10}  # of int8 that are no weights


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return HostKernels(tmp_path_factory.mktemp("kernels"))


def drawn_model(kinds):
    random, file = np.random.default_rng(18), OperatorFile()
    for add, options, count in kinds:
        for _ in range(count):
            add(file, random, **options)
    return Model.parse(file.content())


@needs_tool("gcc")
@pytest.mark.parametrize("kind", DRAWN)
def test_random_operators_equal_the_reference(kernels, kind):
    kinds, most_refused = DRAWN[kind]
    model = drawn_model(kinds)
    expected = ReferenceInterpreter(model.content).run(np.zeros((1, 1, 1, 1), np.int8))
    refused, modes = Counter(), Counter()
    for operator, kernel, outputs in zip(model.operators, prepare_each(model), expected, strict=True):
        if isinstance(kernel, Refusal):
            refused[str(kernel)] += 1
            continue
        constant = [tensor for tensor in operator.inputs if tensor is not None and tensor.dtype == "int8"]
        inputs = [model.constant(tensor) for tensor in constant[: INPUTS.get(operator.name, 1)]]
        found = kernels.run(kernel, inputs, operator.outputs[0].shape)
        assert (found[0] == outputs[0]).all(), operator
        if kernel.name in IN_TFLM:
            by_block = block_outputs.outputs(kernel.name, kernel.block, [each.reshape(1, -1) for each in inputs])
            assert (by_block == outputs.reshape(1, -1)).all(), f"{operator}: its block says another output"
        for overwritten in range(len(inputs) if kernel.lead is not None else 0):
            over = kernels.run_over(kernel, inputs, operator.outputs[0].shape, overwritten)
            assert (over == found).all(), f"{operator} overwrites what it still reads"
        modes[kernel.name] += 1
    assert refused.total() <= most_refused * len(model.operators), refused
    print(kind, modes, refused)
