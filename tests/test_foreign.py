"""A .tflite made elsewhere: what is refused and why, float and uint8 ends, what its pixels mean, a whole export."""

import json

import flatbuffers
import numpy as np
import pytest
from firmware_helpers import needs_tflm
from int8_models import conv_model, converted_model
from tensorflow.lite.python import schema_py_generated as schema

from tinytrain import evaluation
from tinytrain.deploy import carray, ends, flatbuffer, foreign, memory
from tinytrain.deploy.flatbuffer import Tensor
from tinytrain.deploy.oracle import Oracle
from tinytrain.errors import UserError


def changed(content, change):
    """Returns the .tflite `content` after `change(model, graph)` of the schema's objects."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def batch_of_two(_, graph):
    for tensor in (graph.tensors[0], graph.tensors[3]):
        tensor.shape = [2, *tensor.shape[1:]]


def without_a_scale(_, graph):
    graph.tensors[0].quantization = None


def two_inputs(_, graph):
    graph.inputs = [0, 0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: expected a .tflite file"),
        (b"this is no model at all", "is no TFLite flatbuffer"),
        (conv_model()[:300], "is a damaged TFLite flatbuffer"),
        (conv_model(custom="Erf"), "uses Erf, which TensorFlow Lite Micro does not have"),
        (conv_model("float32"), "computes in float32 (1 CONV_2D): quantize it to int8 throughout"),
        (conv_model("uint8"), "has an input of uint8 without a scale: the firmware needs int8 with a scale"),
        (conv_model(outputs=2), "has 2 outputs (int8 (1, 4, 4, 5), int8 (1, 4, 4, 5)): the firmware needs exactly one"),
        (changed(conv_model(), two_inputs), "has 2 inputs"),
        (changed(conv_model(), without_a_scale), "has an input of int8 without a scale"),
        (
            changed(conv_model(), batch_of_two),
            "takes (2, 4, 4, 3) and gives (2, 4, 4, 5): expected one input at a time",
        ),
    ],
)
def test_what_the_firmware_cannot_feed_is_refused(tmp_path, command_line, content, sentence):
    (tmp_path / "theirs.tflite").write_bytes(content)
    for words in (["export", "theirs.tflite", "--mcu", "stm32f746"], ["evaluate", "theirs.tflite", "--data", "digits"]):
        status, out, error = command_line(*words)
        assert (status, out) == (2, "")
        assert f"tinytrain: 'theirs.tflite' {sentence}" in error
        assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.glob("export-*"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_ends_of_another_type_are_left_out(kind):
    """What is left is the network that the converter makes with int8 ends: same results, same arena."""
    whole, plain = converted_model(kind), converted_model()
    found, left_out = ends.int8_ends(whole)
    assert left_out == [f"{kind} input", f"{kind} output"]
    graph, wanted = flatbuffer.read(found), flatbuffer.read(plain)
    assert graph.counts == wanted.counts
    assert [t.dtype for t in (*graph.inputs, *graph.outputs)] == ["int8", "int8"]
    images = np.random.default_rng(0).integers(-128, 128, (20, 16, 16, 3), np.int8)
    np.testing.assert_array_equal(Oracle(found).run(images), Oracle(plain).run(images))
    assert memory.target_arena_bytes(found) == memory.target_arena_bytes(plain)


def test_int8_ends_are_left_as_they_are():
    content = conv_model()
    assert ends.int8_ends(content) == (content, [])


def image(scale, zero):
    return Tensor("", (1, 4, 4, 3), "int8", (scale,), (zero,), False)


@pytest.mark.parametrize(
    ("scale", "zero", "expected"),
    [
        (1.0, -128, (0, 255, True)),  # MLPerf Tiny's ResNet-8
        (1 / 255, -128, (0, 1, True)),  # its MobileNetV1
        (2 / 255, -1, (-1, 1, True)),  # keras.applications
        (1 / 128, 0, (-1, 127 / 128, True)),  # tinytrain's
        (0.00365, -128, (0, 1, True)),  # calibrated on images whose brightest pixel was 0.93
        (0.0187, -14, (-114 * 0.0187, 141 * 0.0187, False)),  # normalized by mean and deviation of ImageNet
    ],
)
def test_the_pixel_range_is_read_off_the_input(scale, zero, expected):
    assert foreign.pixel_range(image(scale, zero)) == pytest.approx(expected)


def test_the_pixel_range_can_be_given():
    assert foreign.pixel_range(image(1.0, -128), "-0.5..0.5") == (-0.5, 0.5, True)
    assert foreign.pixel_range(image(1.0, -128), "1..0") == (1, 0, True)  # an inverted image
    for words in ("0", "0..", "a..b", "0..1..2", "1..1", "nan..1", "0..inf"):
        with pytest.raises(UserError, match=r"export\.input_range is"):
            foreign.pixel_range(image(1.0, -128), words)


@pytest.mark.parametrize(("scale", "zero"), [(1.0, -128), (1 / 255, -128), (2 / 255, -1), (1 / 128, 0)])
def test_a_pixel_of_the_usual_ranges_is_itself_minus_128(scale, zero):
    low, high, _ = foreign.pixel_range(image(scale, zero))
    table = carray.pixel_values(image(scale, zero), (high - low) / 255, low)
    assert np.abs(table.astype(int) - (np.arange(256) - 128)).max() <= (scale == 2 / 255)  # 2/255 rounds at one place


def export(command_line, tmp_path, content, *words):
    (tmp_path / "theirs.tflite").write_bytes(content)
    status, out, error = command_line("export", "theirs.tflite", "--mcu", "stm32f746", "--out", "e", "--json", *words)
    assert status == 0, error
    return json.loads(out.splitlines()[-1]), out


@pytest.mark.slow
def test_a_float_ended_file_is_exported_and_says_what_it_feeds(tmp_path, command_line):
    report, out = export(command_line, tmp_path, converted_model("float32"))
    assert report["model"]["ops"] == flatbuffer.read(converted_model()).counts
    assert report["input"]["shape"] == [1, 16, 16, 3]
    assert (report["input"]["pixel_0"], report["input"]["pixel_255"]) == (-1.0, 1.0)
    assert report["input"]["notes"][:2] == [
        f"float32 {end} left out: int8 goes in and out" for end in ("input", "output")
    ]
    assert "pixels 0 to 255 as -1 to 1" in out
    assert "unknown: proven on noise; --data SPEC measures it on images" in out
    assert report["parity"]["different"] == 0
    assert report["latency_range_ms"][0] < report["latency_ms"] < report["latency_range_ms"][1]
    assert flatbuffer.read((tmp_path / "e/model.tflite").read_bytes()).inputs[0].dtype == "int8"


def of_eight_pixels(_, graph):
    """The network sees the first pixel of an 8x8 image."""
    graph.tensors[0].shape, graph.tensors[3].shape = [1, 8, 8, 3], [1, 1, 1, 5]
    options = graph.operators[0].builtinOptions
    options.strideW = options.strideH = 8


@pytest.mark.slow
def test_pixels_reach_the_network_as_it_was_trained(tmp_path, command_line, image_folder):
    """A network that takes 0 to 255: its outputs on images are those of the pixels themselves, by hand."""
    content = changed(conv_model(scale=1.0, zero=-128), of_eight_pixels)
    folder = image_folder(classes="abcde", count=12, size=(8, 8))  # as many as the model has outputs
    report, _ = export(command_line, tmp_path, content, "--data", f"folder:{folder}")
    assert report["accuracy"]["float"] is None
    assert report["accuracy"]["images"] > 0
    with np.load(tmp_path / "e/golden.npz") as golden:
        inputs, outputs = golden["inputs"], golden["outputs"]
    assert inputs.min() < -120  # dark pixels: not all at one end, as they would be if taken for -1 to 1
    assert inputs.max() > 80
    np.testing.assert_array_equal(outputs, Oracle(content).run(inputs).reshape(len(inputs), -1))
    table = carray.read_array(tmp_path / "e/firmware/model/model_data.cc", "PixelToInput")
    np.testing.assert_array_equal(table, np.arange(256) - 128)
    measured = evaluation.evaluate(tmp_path / "theirs.tflite", data=f"folder:{folder}")
    assert measured["top1"] == pytest.approx(report["accuracy"]["int8"])
    narrow, _ = export_again(command_line, tmp_path, "export.input_range=0..127")
    assert (narrow["input"]["pixel_0"], narrow["input"]["pixel_255"]) == (0, 127)


def export_again(command_line, tmp_path, word):
    status, out, error = command_line("export", "theirs.tflite", "--mcu", "stm32f746", "--out", "again", "--json", word)
    assert status == 0, error
    return json.loads(out.splitlines()[-1]), out


def not_an_image(_, graph):
    """The 1x1 convolution of 16 pixels as a FULLY_CONNECTED of 16 rows: no image goes in."""
    graph.tensors[0].shape, graph.tensors[3].shape = [1, 16, 1, 3], [1, 16, 1, 5]


@pytest.mark.slow
def test_what_is_no_square_image_is_proven_on_noise_only(tmp_path, command_line, image_folder):
    content = changed(conv_model(), not_an_image)
    report, _ = export(command_line, tmp_path, content)
    assert report["parity"] == {"images": 16, "different": 0}
    words = ["--mcu", "stm32f746", "--out", "f", "--data", f"folder:{image_folder()}"]
    status, out, error = command_line("export", "theirs.tflite", *words)
    assert (status, out) == (2, "")
    assert "takes images of 1x16: only square ones can be read" in error


@pytest.mark.slow
def test_a_file_too_large_for_the_board_is_told_with_numbers(tmp_path, command_line):
    content = changed(conv_model(), lambda model, _: model.buffers.append(_noise(2_000_000)))
    (tmp_path / "theirs.tflite").write_bytes(changed(content, _used))
    status, out, error = command_line("export", "theirs.tflite", "--mcu", "stm32f746", "--out", "e")
    assert status == 3
    assert "NO" in out
    assert "'theirs.tflite' does not fit stm32f746g_disco: it needs" in error
    assert "bytes of flash where there are 1,048,576; a smaller network or a larger board would" in error


def _noise(count):
    buffer = schema.BufferT()
    buffer.data = np.random.default_rng(0).integers(0, 256, count).astype(np.uint8)
    return buffer


def _used(model, graph):
    """A constant that no operator reads, so that the file is large and the network the same."""
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer = [2_000_000], schema.TensorType.INT8, len(model.buffers) - 1
    graph.tensors.append(tensor)


@needs_tflm
@pytest.mark.slow
def test_the_emulator_proves_it_and_counts_its_instructions(tmp_path, command_line):
    report, out = export(command_line, tmp_path, converted_model("uint8"))
    assert report["emulated"]["golden"] == "equal"
    assert report["latency_basis"]["how"] == "instructions counted in the emulator"
    assert report["latency_basis"]["instructions"] == report["emulated"]["instructions"]
    assert "instructions counted in the emulator" in out


def transposed(model, graph):
    """A transposed convolution: nothing here knows what CMSIS-NN's kernel of it asks of the arena."""
    (node,), (code,), shape = graph.operators, model.operatorCodes, schema.TensorT()
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.array(graph.tensors[3].shape, "<i4").view(np.uint8)
    shape.shape, shape.type, shape.buffer = [4], schema.TensorType.INT32, len(model.buffers) - 1
    graph.tensors.append(shape)
    node.inputs = [len(graph.tensors) - 1, 1, 0, 2]
    node.builtinOptions, node.builtinOptionsType = (
        schema.TransposeConvOptionsT(),
        schema.BuiltinOptions.TransposeConvOptions,
    )
    node.builtinOptions.strideW = node.builtinOptions.strideH = 1
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE_CONV


def test_an_arena_that_nobody_can_compute_has_no_estimate(tmp_path, command_line, monkeypatch):
    monkeypatch.delenv("TFLM_DIR", raising=False)
    report, out = export(command_line, tmp_path, changed(conv_model(), transposed))
    assert report["fits"] is None
    assert (report["memory"]["arena_bytes"], report["memory"]["ram_bytes"]) == (None, None)
    assert report["arena_basis"] == {"how": "unknown", "unplanned_operators": ["TRANSPOSE_CONV"]}
    assert "bytes, 0 MACs (without those of TRANSPOSE_CONV): 1 TRANSPOSE_CONV" in out
    assert "RAM       unknown: what TRANSPOSE_CONV takes of the arena on the chip was never measured" in out
    assert "fits      stm32f746g_disco: unknown" in out


@needs_tflm
@pytest.mark.slow
def test_an_arena_that_nobody_can_compute_is_measured_in_the_emulator(tmp_path, command_line):
    (tmp_path / "theirs.tflite").write_bytes(changed(conv_model(), transposed))
    _, out, _ = command_line("export", "theirs.tflite", "--mcu", "stm32f746", "--out", "e", "--json")
    report = json.loads(out.splitlines()[-1])
    used_bytes = report["emulated"]["arena_used_bytes"]
    assert 0 < used_bytes <= report["memory"]["arena_bytes"] < used_bytes + 16
    assert report["fits"] is True
    assert "of them the arena, measured in the emulator" in out
