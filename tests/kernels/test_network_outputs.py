"""Whole networks: on the values that every operator of ours reads there, our kernels give TFLM's outputs."""

import numpy as np
import pytest
from conftest import architectures, needs_tool
from host_kernels import HostKernels

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.prepare import prepare
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model

IMAGES = 3
OTHERS = {"HARD_SWISH", "LOGISTIC", "MUL", "PAD", "MAX_POOL_2D", "RESHAPE"}  # what TFLM's kernels run


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return HostKernels(tmp_path_factory.mktemp("kernels"))


def observed(model):
    """Returns the model with what each operator writes as an output, and the numbers of these tensors."""
    tree, numbers = model.copy_tree(), [operator.outputs[0].index for operator in model.operators]
    tree.subgraphs[0].outputs = numbers
    return Model.pack(tree), numbers


@needs_tool("gcc")
@pytest.mark.parametrize("name", architectures(["resnet8", "mobilenet_v2", "mobilenet_v3_small"]))
def test_every_operator_of_a_network_equals_the_reference(kernels, converted, name):
    model = converted(name)
    images = np.random.default_rng(6).integers(-128, 128, (IMAGES, *model.inputs[0].shape[1:])).astype(np.int8)
    every, numbers = observed(model)
    values = dict(zip(numbers, ReferenceInterpreter(every.content).run(images), strict=True))
    values[model.inputs[0].index] = images
    ours = 0
    for operator in model.operators:
        kernel = prepare(model, operator)
        if not isinstance(kernel, Kernel):
            assert operator.name in OTHERS, f"{operator.name}: {kernel}"
            continue
        sources = [tensor for tensor in operator.inputs if tensor is not None and not tensor.constant]
        for image in range(IMAGES):
            found = kernels.run(kernel, [values[tensor.index][image] for tensor in sources], operator.outputs[0].shape)
            expected = values[operator.outputs[0].index][image]
            assert (found.reshape(-1) == expected.reshape(-1)).all(), f"{operator.outputs[0].name}, image {image}"
        ours += 1
    assert ours > 0.4 * len(model.operators)  # the gates of EfficientNet are TFLM's
