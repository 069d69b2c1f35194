"""The generated C++: what the compiler sees is the model, and exactly its operators are registered."""

import ast
import os
import re
import subprocess
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from conftest import needs_tool
from int8_models import FILTERS, INPUT_SHAPE, conv_model, shaped
from tensorflow.lite.python import schema_py_generated as schema

from tinytrain.deploy import c_source, c_text
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.tflm import operators, supported
from tinytrain.errors import UserError
from tinytrain.tflite import int8_values
from tinytrain.tflite.model import Model, Operator, Tensor

INPUT = np.random.default_rng(1).integers(-128, 128, INPUT_SHAPE).astype(np.int8)
OUTPUT = np.random.default_rng(2).integers(-128, 128, (1, 4, 4, FILTERS)).astype(np.int8)
TFLM_HEADERS = Path(os.environ.get("TFLM_DIR", "/nonexistent")) / "include" / "tensorflow/lite/micro"
needs_tflm = pytest.mark.skipif(not TFLM_HEADERS.is_dir(), reason="TFLM_DIR is not set")


def write(folder, model=None, **changes):
    arguments = {
        "name": "conv",
        "arena_bytes": 4096,
        "labels": ["cat", "dog"],
        "golden_input": INPUT,
        "golden_outputs": [OUTPUT],
    }
    arguments["model"] = Model.parse(conv_model() if model is None else model)
    c_source.write(folder, Contents(**arguments | changes))


def tensor(dtype):
    return Tensor("", (1,), dtype, (1.0,), (0,), False)


def use(name, *dtypes, out="int8"):
    return Operator(name, tuple(tensor(dtype) for dtype in dtypes), (tensor(out),))


def test_the_arrays_read_back_equal(tmp_path):
    write(tmp_path)
    path = tmp_path / "model_data.cc"
    assert c_source.read_model_data(path) == conv_model()
    assert np.array_equal(c_source.read_array(path, "GoldenInput"), INPUT.ravel())
    assert np.array_equal(c_source.read_array(path, "GoldenOutputs"), OUTPUT.ravel())


def test_an_array_that_is_missing_is_named(tmp_path):
    write(tmp_path)
    with pytest.raises(UserError, match="kNothing"):
        c_source.read_array(tmp_path / "model_data.cc", "Nothing")


@needs_tool("arm-none-eabi-gcc")
def test_the_compiler_sees_the_same_bytes_aligned(tmp_path):
    (tmp_path / "model").mkdir()
    write(tmp_path / "model")
    compile_ = "arm-none-eabi-g++ -std=c++17 -mcpu=cortex-m7 -Wall -Wextra -Werror -fdata-sections -I. -c -o data.o"
    subprocess.run([*compile_.split(), "model/model_data.cc"], cwd=tmp_path, check=True)
    copy = "arm-none-eabi-objcopy -O binary -j .rodata.model data.o model.bin"
    subprocess.run(copy.split(), cwd=tmp_path, check=True)
    assert (tmp_path / "model.bin").read_bytes() == conv_model()
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-h", "data.o"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert re.search(r"\.rodata\.model .* 2\*\*4\n", listing)


def test_the_header_describes_the_model(tmp_path):
    write(tmp_path)
    text = (tmp_path / "model_data.h").read_text()
    assert f"kModelBytes = {len(conv_model())};" in text
    assert "kArenaBytes = 4096;" in text
    assert "kInputBytes = 48;" in text
    assert "kOutputBytes = 80;" in text
    assert "kInputShape[] = {1, 4, 4, 3};" in text
    assert "kInputScale = 0.0078125f;" in text
    assert "kOutputCount = 1;" in text
    assert "    {0, 80, 0.03125f, 0, 4, {1, 4, 4, 5}},  // output" in text
    assert "kLabelCount = 2;" in text


@pytest.mark.parametrize("label", ["plain", 'a "b" \\', "äöü – 猫", "??/ trigraph", "line\nbreak", "\x01" + "7", ""])
def test_a_label_survives_c(label):
    literal = c_text.c_string(label)
    assert literal.isascii()
    assert "??" not in literal
    assert "\n" not in literal
    # Python's bytes literals know the same escapes as C.
    assert ast.literal_eval("b" + literal).decode("utf-8") == label


def test_pixels_map_as_the_network_was_trained():
    signed = int8_values.pixel_values(Tensor("", (), "int8", (1 / 128,), (0,), False))
    assert np.array_equal(signed, np.arange(256) - 128)
    raw = int8_values.pixel_values(Tensor("", (), "int8", (1.0,), (-128,), False), scale=1, offset=0)
    assert np.array_equal(raw, np.arange(256) - 128)
    narrow = int8_values.pixel_values(Tensor("", (), "int8", (1 / 256,), (0,), False))
    assert (narrow[0], narrow[64], narrow[128], narrow[255]) == (-128, -128, 0, 127)  # clipped, not wrapped


def test_given_pixels_are_written(tmp_path):
    pixels = np.arange(256).astype(np.int8)
    write(tmp_path, pixels=pixels)
    assert np.array_equal(c_source.read_array(tmp_path / "model_data.cc", "PixelToInput"), pixels)
    with pytest.raises(UserError, match="pixels"):
        write(tmp_path, pixels=np.arange(255).astype(np.int8))
    each = np.arange(3 * 256).astype(np.int8).reshape(3, 256)  # a table for each channel
    write(tmp_path, pixels=each, bgr=True)
    assert np.array_equal(c_source.read_array(tmp_path / "model_data.cc", "PixelToInput").reshape(3, 256), each)
    header = (tmp_path / "model_data.h").read_text()
    assert "kPixelTables = 3;" in header
    assert "kPixelsAreBgr = true;" in header
    with pytest.raises(UserError, match="pixels"):
        write(tmp_path, pixels=each[:2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"golden_input": INPUT[:, :2]}, "golden input should be 48"),
        ({"golden_outputs": [OUTPUT.astype(np.int16)]}, "golden output .* received int16"),
        ({"model": conv_model("float32")}, "int8 input; received float32"),
        ({"model": conv_model(outputs=2)}, "the model has 2 outputs; received 1 golden outputs"),
        ({"model": conv_model(outputs=0)}, "int8 outputs; received none"),
        ({"model": conv_model(custom="FlexErf")}, "FlexErf"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path, **changes)


def test_exactly_the_models_operators_are_registered(tmp_path):
    write(tmp_path)
    text = (tmp_path / "model_ops.h").read_text()
    assert "kOperatorKinds = 1;" in text
    assert re.findall(r"resolver->(\S+)\);", text) == ["AddConv2D(tflite::Register_CONV_2D_INT8())"]
    includes = re.findall(r'#include "(\S+)"', text)
    # The resolver's first: kernels/transpose.h does not compile by itself.
    assert includes == [f"tensorflow/lite/micro/{name}.h" for name in ("micro_mutable_op_resolver", "kernels/conv")]


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ([use("CONV_2D", "int8", "int8", "int32")], {"CONV_2D": "int8"}),
        ([use("CONV_2D", "int8", "int4", "int32")], {"CONV_2D": "general"}),
        ([use("CONV_2D", "float32", "float32", "float32", out="float32")], {"CONV_2D": "general"}),
        ([use("ADD", "int8", "int8"), use("ADD", "int16", "int16", out="int16")], {"ADD": "general"}),
        ([use("MEAN", "int8", "int32")], {"MEAN": "general"}),  # TFLM has no MEAN for int8 only
        ([use("PAD", "int8", "int32")], {"PAD": "int8"}),
        ([use("TRANSPOSE_CONV", "int32", "int8", "int8", "int32")], {"TRANSPOSE_CONV": "int8"}),
        ([use("SOFTMAX", "int8", out="int16")], {"SOFTMAX": "general"}),
        (
            [use("MUL", "int8", "int8"), use("MEAN", "int8"), use("MUL", "int8", "int8")],
            {"MUL": "own", "MEAN": "general"},
        ),
        ([use("HARD_SWISH", "int8")], {"HARD_SWISH": "own"}),
        ([use("HARD_SWISH", "int8"), use("HARD_SWISH", "int16", out="int16")], {"HARD_SWISH": "general"}),
        ([use("LOGISTIC", "int8", out="int16")], {"LOGISTIC": "general"}),
    ],
)
def test_the_special_registrations_only_where_every_use_allows_them(uses, expected):
    assert operators.registrations(uses) == expected
    assert list(operators.registrations(uses)) == list(expected)


MAP, VECTOR = (1, 6, 5, 8), (1, 1, 1, 8)


@pytest.mark.parametrize(
    ("operator", "own"),
    [
        (shaped("ADD", MAP, MAP, MAP), True),
        (shaped("ADD", MAP, VECTOR, MAP), False),
        (shaped("MUL", MAP, MAP, MAP), True),
        (shaped("MUL", MAP, VECTOR, MAP), True),
        (shaped("MUL", (1, 8), MAP, MAP), True),
        (shaped("MUL", MAP, (1, 6, 5, 1), MAP), False),  # a factor for each pixel
        (shaped("MUL", MAP, (1, 1, 1, 1), MAP), False),
        (shaped("MUL", MAP, (), MAP), False),  # a scalar
        (shaped("MUL", (1, 6, 5, 1), (), (1, 6, 5, 1)), False),  # of a gray image
        (shaped("MUL", (1, 6, 5, 1), (1,), (1, 6, 5, 1)), True),
        (shaped("MUL", (1, 6, 1, 8), (1, 1, 6, 8), (1, 6, 6, 8)), False),  # an outer product: as many elements
        (shaped("ADD", (1, 6, 1, 8), (1, 1, 6, 8), (1, 6, 6, 8)), False),
        (shaped("ADD", (1, 1, 1, 8), (1, 8), (1, 1, 1, 8)), False),  # as many elements, another shape
        (shaped("MUL", (1, 8), (1, 8), (8, 8)), False),
        (shaped("MUL", MAP, MAP, MAP, MAP), False),  # a file that nobody's converter writes
        (shaped("LOGISTIC", MAP, MAP), True),
        (shaped("AVERAGE_POOL_2D", (2, 6, 5, 4), (2, 1, 1, 4), filterHeight=6, filterWidth=5), False),  # a batch
        (shaped("AVERAGE_POOL_2D", MAP, VECTOR, filterHeight=6, filterWidth=5, fusedActivationFunction=0), True),
        (shaped("AVERAGE_POOL_2D", MAP, VECTOR, filterHeight=6, filterWidth=5, fusedActivationFunction=1), False),
        (shaped("AVERAGE_POOL_2D", MAP, VECTOR, filterHeight=5, filterWidth=5, fusedActivationFunction=0), False),
        (shaped("AVERAGE_POOL_2D", MAP, (1, 2, 1, 8), filterHeight=3, filterWidth=5), False),
    ],
)
def test_what_the_firmwares_own_operators_can_do(operator, own):
    assert operators.is_own(operator) is own


@needs_tflm
def test_the_table_is_that_of_the_resolver():
    text = (TFLM_HEADERS / "micro_mutable_op_resolver.h").read_text()
    methods = set(re.findall(r"TfLiteStatus (Add\w+)\(", text)) - {"AddCustom", "AddBuiltin", "AddEthosU"}
    assert {op.method for op in operators.OPS.values()} == methods
    for body in re.split(r"TfLiteStatus (?=Add\w+\()", text)[1:]:
        name = re.search(r'AddBuiltin\(\s*BuiltinOperator_(\w+)|AddCustom\(\s*"([^"]+)"', body)
        method = re.match(r"\w+", body)[0]
        if method in methods:
            assert operators.OPS[name[1] or name[2]].method == method


@needs_tflm
@pytest.mark.parametrize("op", [op for op in operators.OPS.values() if op.int8_register], ids=lambda op: op.name)
def test_the_int8_registrations_exist(op):
    assert f" {op.int8_register}()" in (TFLM_HEADERS.parents[2] / op.int8_header).read_text()


def test_what_is_parsed_is_what_was_built():
    model = Model.parse(conv_model())
    assert model.counts == {"CONV_2D": 1}
    assert model.inputs == (Tensor("input", INPUT_SHAPE, "int8", (1 / 128,), (0,), False),)
    weights = model.operators[0].inputs[1]
    assert (weights.dtype, weights.shape, weights.constant) == ("int8", (FILTERS, 1, 1, 3), True)


def test_every_truncation_is_a_user_error():
    model = conv_model()
    for length in range(0, len(model) - 1, 7):
        try:
            Model.parse(model[:length], "cut.tflite")
        except UserError as error:
            assert "cut.tflite" in str(error)  # noqa: PT017
    with pytest.raises(UserError, match="damaged"):
        Model.parse(model[: len(model) // 2])


def test_damaged_bytes_are_never_a_traceback():
    random, model, refused = np.random.default_rng(0), conv_model(), 0
    for _ in range(400):
        damaged = bytearray(model)
        for position in random.integers(8, len(model), 4):
            damaged[position] = random.integers(256)
        try:
            Model.parse(bytes(damaged))
        except UserError:
            refused += 1
    assert refused > 50


def _without(operator, **changes):
    def change(graph):
        node = graph.operators[operator]
        if "sides" in changes:
            graph.tensors[node.inputs[1]].shape = changes["sides"]
        for name in {"inputs", "outputs"} & set(changes):
            setattr(node, name, list(getattr(node, name))[: changes[name]])

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(_without(0, inputs=count) for count in (0, 1)),
        _without(0, outputs=0),
        *(_without(0, sides=sides) for sides in ([], [5, 1], [5, 0, 1, 3], [-1, 1, 1, 3])),
    ],
)
def test_an_operator_that_lacks_what_it_computes_with_is_damage(change):
    model = schema.ModelT.InitFromPackedBuf(conv_model(), 0)
    change(model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(UserError, match=r"a\.tflite is a damaged TFLite flatbuffer.* \(ValueError\)"):
        Model.parse(bytes(builder.Output()), "a.tflite")


def test_an_operator_that_tflm_lacks_is_named():
    with pytest.raises(UserError, match=r"'big\.tflite' uses FlexErf") as error:
        supported.parse(conv_model(custom="FlexErf"), "'big.tflite'")
    assert error.value.exit_status == 2
    assert supported.parse(conv_model(custom="SignalWindow"), "the model").counts == {"SignalWindow": 1}
