"""Which operators get kernels of ours, why others do not, and the flatbuffer that the firmware holds."""

import dataclasses
import struct
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from int8_models import converted_model
from operator_files import OperatorFile
from random_operators import add_conv, add_dense, add_depthwise, add_pool, add_sum

from tinytrain.deploy import boards, c_source
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.kernels import choice
from tinytrain.deploy.kernels.derive import derive
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.prepare import prepare
from tinytrain.deploy.kernels.scales import Scale
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import TinytrainError
from tinytrain.exporting import kernel_parity, text
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip


def conv(shape=(1, 4, 4, 4), filters=2, scale=0.001, bias=0, weight=1, zero=0, **options):
    """Returns a model of one CONV_2D 3x3 with SAME padding; weights and biases are all `weight` and `bias`."""
    file = OperatorFile()
    channels = options.pop("channels", shape[3])
    source = file.tensor(shape, np.zeros(shape, np.int8), [1.0], 0)
    weights = file.tensor((filters, 3, 3, channels), np.full((filters, 3, 3, channels), weight, np.int8), [scale], zero)
    start = file.tensor((filters,), np.full(filters, bias, np.int32))
    target = file.tensor((*shape[:3], filters), None, [1.0], 0)
    settings = {"strideH": 1, "strideW": 1, "padding": 0, "dilationHFactor": 1, "dilationWFactor": 1, **options}
    file.operator("CONV_2D", [source, weights, start], target, "Conv2DOptions", **settings)
    return Model.parse(file.content())


def prepared(model):
    return prepare(model, model.operators[0])


def test_an_ordinary_convolution_is_ours():
    assert prepared(conv()).name == "conv"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dilationHFactor": 2, "dilationWFactor": 2}, "it has dilation"),
        ({"channels": 2}, "it has groups"),
        ({"zero": 1}, "its weights have a zero point"),
        ({"shape": (2, 4, 4, 4)}, "it takes more than one image"),
        ({"fusedActivationFunction": 4}, "its activation is none of relu, relu6 and relu_n1_to_1"),
        ({"scale": 0.0}, "a scale is not above 0"),
        ({"scale": 2.0**31}, "a scale is out of the range of int32"),
        ({"strideH": 0}, "its strides or window are out of range"),
        ({"padding": 1}, "its output has another shape than its window gives"),
        ({"bias": 2**31 - 1}, "an accumulator could exceed 32 bits"),
    ],
)
def test_what_is_not_ours_says_why(changes, reason):
    assert str(prepared(conv(**changes))) == reason


@pytest.mark.parametrize(("scale", "is_ours"), [(2.0, True), (2.0**14, True), (2.0**19, False)])
def test_a_shift_to_the_left_is_proven(scale, is_ours):
    """36 products of at most 128: 13 bits with the sign, so that shifts by 17 and more are refused."""
    assert isinstance(prepared(conv(scale=scale)), Kernel) == is_ours


@pytest.mark.parametrize("real", [2.0**-31, 0.25, 0.5, 0.999999999999, 1.0, 3.7, 2.0**20])
def test_a_scale_is_the_nearest(real):
    scale = Scale.of(real)
    assert 2**30 <= scale.multiplier < 2**31
    assert not (scale.left and scale.right)
    assert scale.multiplier * 2.0 ** (scale.left - scale.right - 31) == pytest.approx(real, rel=2**-30)
    assert -(2**31) <= scale.stored < 2**31


def test_the_firmwares_model_has_our_operators_and_none_of_their_weights():
    model = strip(Model.parse(converted_model()))
    derived = derive(model)
    names = [operator.name for operator in derived.model.operators]
    assert len(names) == len(model.operators)
    for before, after, kernel in zip(model.operators, derived.model.operators, derived.kernels, strict=True):
        assert [output.shape for output in after.outputs] == [output.shape for output in before.outputs]
        if isinstance(kernel, Kernel):
            assert after.name == f"tinytrain.{kernel.name}"
            assert derived.model.constant(after.inputs[-1]).tobytes() == kernel.block
        else:
            assert after.name == before.name, str(kernel)
    assert {"tinytrain.conv", "tinytrain.depthwise", "tinytrain.conv_1x1", "tinytrain.fully_connected"} <= set(names)
    assert "CONV_2D" not in names
    weights = {tensor.shape for operator in derived.model.operators for tensor in operator.inputs if tensor.constant}
    assert not any(len(shape) == 4 for shape in weights)
    assert Model.parse(derived.model.content).inputs == derived.model.inputs


@pytest.mark.parametrize("own_kernels", [True, False])
def test_the_firmware_registers_what_its_model_has(tmp_path, own_kernels):
    model = strip(Model.parse(converted_model()))
    image, output = np.zeros(model.inputs[0].shape, np.int8), np.zeros(model.outputs[0].shape, np.int8)
    c_source.write(tmp_path, Contents(model, "model", 1 << 16, [], image, [output], own_kernels=own_kernels))
    header = (tmp_path / "model_ops.h").read_text()
    stored = Model.parse(c_source.read_model_data(tmp_path / "model_data.cc"))
    assert ('AddCustom("tinytrain.conv_1x1", &registration)' in header) == own_kernels
    assert ("AddConv2D" in header) == (not own_kernels)
    assert ("tinytrain.conv_1x1" in stored.counts) == own_kernels
    assert stored.content == (derive(model).model if own_kernels else model).content


def test_a_model_without_our_operators_stays_as_it_is():
    model = conv(scale=0.0)
    assert derive(model).model is model
    assert derive(model).placement is None


def test_equal_blocks_lie_in_flash_once():
    file = OperatorFile()
    for value in (3, 5):
        source = file.tensor((1, 4, 4, 2), np.full((1, 4, 4, 2), value, np.int8), [0.5], 0)
        target = file.tensor((1, 1, 1, 2), None, [0.5], 0)
        window = {"filterHeight": 4, "filterWidth": 4, "strideH": 1, "strideW": 1, "padding": 1}
        file.operator("AVERAGE_POOL_2D", [source], target, "Pool2DOptions", **window)
    first, second = derive(Model.parse(file.content())).model.operators
    assert first.inputs[-1].index == second.inputs[-1].index


@pytest.mark.parametrize(
    ("setting", "core", "reason"),
    [
        ("tinytrain", "cortex-m7", ""),
        ("tinytrain", "cortex-m3", "the cortex-m3 of stm32f746g_disco lacks the DSP extension"),
        ("tflm", "cortex-m7", "export.kernels is tflm"),
    ],
)
def test_the_key_and_the_core_choose_whose_kernels_run(setting, core, reason):
    board = dataclasses.replace(boards.load("stm32f746"), core=core)
    model = conv()
    held = choice.held(model, setting, board)
    section = choice.section(model, held, choice.reason_against(setting, board))
    assert (section["chosen"], section["reason"]) == ("tflm" if reason else "tinytrain", reason)
    assert section["ours"] == len(held.ours) == (0 if reason else 1)
    assert section["others"] == []
    assert (held.model is model) == bool(reason)


def test_the_report_says_which_operators_are_not_ours_and_why():
    model = conv(dilationHFactor=2, dilationWFactor=2)
    section = choice.section(model, derive(model), "")
    assert section["others"] == [{"number": 0, "operator": "CONV_2D", "reason": "it has dilation"}]
    assert text.kernels(section) == "ours for 0 of 1 operators; TFLM's: CONV_2D (it has dilation)"
    assert text.kernels(section | {"reason": "export.kernels is tflm"}) == "TFLM's: export.kernels is tflm"


@pytest.fixture(scope="module")
def network():
    """A stripped model, what is derived of it, images and TFLM's outputs for them."""
    model = strip(Model.parse(converted_model()))
    images = np.random.default_rng(4).integers(-128, 128, (3, *model.inputs[0].shape[1:])).astype(np.int8)
    outputs = [output.reshape(3, -1) for output in ReferenceInterpreter(model.content).run(images)]
    return model, derive(model), images, outputs


def test_a_derived_model_computes_what_the_model_does(network, monkeypatch):
    model, derived, images, outputs = network
    monkeypatch.setattr(kernel_parity, "CHUNK_BYTES", 1)  # an image at a time
    assert kernel_parity.different(model, derived.model, images, outputs) == 0


def test_operators_of_constants_are_compared_too():
    random, file = np.random.default_rng(6), OperatorFile()
    for add in (add_conv, add_depthwise, add_dense, add_sum, add_pool):
        for _ in range(4):
            add(file, random)
    model, image = Model.parse(file.content()), np.zeros((1, 1, 1, 1), np.int8)
    outputs = [output.reshape(1, -1) for output in ReferenceInterpreter(model.content).run(image)]
    derived = derive(model)
    assert len(derived.ours) > 15
    assert kernel_parity.different(model, derived.model, image, outputs) == 0


def test_a_byte_of_a_block_that_was_damaged_makes_outputs_different(network, monkeypatch):
    model, derived, images, outputs = network
    run = cache(lambda content: ReferenceInterpreter(content).run(images))
    monkeypatch.setattr(
        kernel_parity, "ReferenceInterpreter", lambda content: SimpleNamespace(run=lambda _: run(content))
    )
    for number, kernel in enumerate(derived.kernels):
        if not isinstance(kernel, Kernel):
            continue
        tree = derived.model.copy_tree()
        node = tree.subgraphs[0].operators[number]
        buffer = tree.buffers[tree.subgraphs[0].tensors[int(node.inputs[-1])].buffer]
        data = np.array(buffer.data, np.uint8)
        place = {"average_pool": -2, "add": 10}.get(kernel.name) or bias_place(kernel)
        data[place] ^= 0x41
        buffer.data = data
        assert kernel_parity.different(model, Model.pack(tree), images, outputs) > 0, kernel.name


def bias_place(kernel):
    """Returns the place of the third byte of the first bias in a block."""
    return struct.unpack_from("<I", kernel.block, 36 if kernel.name == "depthwise" else 32)[0] + 2


def test_operators_that_were_exchanged_are_noticed(network):
    model, derived, images, outputs = network
    tree = derived.model.copy_tree()
    tree.subgraphs[0].operators[1:3] = tree.subgraphs[0].operators[2:0:-1]
    with pytest.raises(TinytrainError, match="operators in the C array are not those of the model"):
        kernel_parity.different(model, Model.pack(tree), images, outputs)
