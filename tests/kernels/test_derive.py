"""Which operators get kernels of ours, why others do not, and the flatbuffer that the firmware holds."""

import numpy as np
import pytest
from int8_models import converted_model
from operator_files import OperatorFile

from tinytrain.deploy import c_source
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.kernels.derive import derive
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.prepare import prepare
from tinytrain.deploy.kernels.scales import Scale
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
        ({"scale": 2.0**-40}, "a scale is out of the range of int32"),
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


def test_a_model_without_our_operators_keeps_them():
    model = conv(scale=0.0)
    derived = derive(model).model
    assert [operator.name for operator in derived.operators] == ["CONV_2D"]
