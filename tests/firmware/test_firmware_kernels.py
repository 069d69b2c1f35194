"""The kernels in the firmware, with TensorFlow Lite Micro, on the emulated cores: whole outputs of random operators."""

import numpy as np
import pytest
from firmware_helpers import ALL_EMULATED, needs_tflm
from operator_files import OperatorFile
from random_operators import add_conv, add_dense, add_depthwise, add_pool, add_sum

from tinytrain.deploy import boards, make, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.kernels.derive import derive
from tinytrain.deploy.targets import makefile
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError
from tinytrain.tflite.model import Model

EACH = 20  # random operators of each kind


def drawn_model():
    random, file = np.random.default_rng(3), OperatorFile()
    for add in (add_conv, add_depthwise, add_dense, add_sum, add_pool):
        for _ in range(EACH):
            add(file, random)
    return Model.parse(file.content())


@needs_tflm
@pytest.mark.parametrize("name", ALL_EMULATED)
def test_random_operators_equal_the_reference(tmp_path, name):
    board, model = boards.load(name), drawn_model()
    try:
        make.check_library(board)
    except UserError as error:
        pytest.skip(str(error))
    image = np.zeros(model.inputs[0].shape, np.int8)
    golden = [output[0] for output in ReferenceInterpreter(model.content).run(image)]
    contents = Contents(model, "kernels", 300_000, [], image, golden, own_kernels=True)
    sources = makefile.write(tmp_path, board, contents)
    printed = self_test.emulate(sources, board, make.tflm_dir())
    ours = [kernel for kernel in derive(model).kernels if not isinstance(kernel, Exception)]
    assert len(ours) > 0.9 * len(model.operators)
    assert printed["golden_equal"], printed["text"]
    assert printed["done"], printed["failed"]
