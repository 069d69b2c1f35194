"""A .tflite made elsewhere: what is refused and why, inputs and outputs of other types, its pixels, a whole export."""

import copy
import json

import keras
import numpy as np
import pytest
from firmware_helpers import needs_tflm
from int8_models import changed, conv_model, converted_model, of_eight_pixels
from tensorflow.lite.python import schema_py_generated as schema

from tinytrain.commands import evaluate
from tinytrain.config.schema import Export
from tinytrain.deploy import c_source, make, memory, self_test
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import DoesNotFit, UserError
from tinytrain.tflite import pixels, tflite_interpreter
from tinytrain.tflite.int8_io import with_int8_io
from tinytrain.tflite.model import Model, Tensor


def batch_of_two(_, graph):
    for tensor in (graph.tensors[0], graph.tensors[3]):
        tensor.shape = [2, *tensor.shape[1:]]


def without_a_scale(_, graph):
    graph.tensors[0].quantization = None


def of_any_size(_, graph):
    graph.tensors[0].shapeSignature = [-1, -1, -1, 3]


def twice_as_many_subgraphs(model, graph):
    model.subgraphs = [graph, graph]


def of_type(name):
    """All activations, and so the convolution, of another type than int8."""

    def change(_, graph):
        for number in (0, 3):
            graph.tensors[number].type = getattr(schema.TensorType, name)

    return change


def float_in_the_middle(operator):
    """int8 convolution, DEQUANTIZE, the operator in float, QUANTIZE: what the converter makes of ELU."""

    def change(model, graph):
        def tensor(kind):
            made = copy.deepcopy(graph.tensors[3])
            made.type = getattr(schema.TensorType, kind)
            graph.tensors.append(made)
            return len(graph.tensors) - 1

        last = 3
        for name, kind in (("DEQUANTIZE", "FLOAT32"), (operator, "FLOAT32"), ("QUANTIZE", "INT8")):
            code = copy.deepcopy(model.operatorCodes[0])
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            model.operatorCodes.append(code)
            node = schema.OperatorT()
            node.opcodeIndex, node.inputs, node.outputs = len(model.operatorCodes) - 1, [last], [tensor(kind)]
            graph.operators.append(node)
            last = node.outputs[0]
        graph.outputs = [last]

    return change


def two_inputs(_, graph):
    graph.inputs = [0, 0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: expected a .tflite file"),
        (b"this is no model at all", "is not a TFLite flatbuffer"),
        (conv_model()[:300], "is a damaged TFLite flatbuffer"),
        (conv_model(custom="Erf"), "uses Erf, which TensorFlow Lite Micro does not have"),
        (conv_model("float32"), "computes in float32 (1 CONV_2D): quantize it to int8 throughout"),
        (conv_model("uint8"), "has an input of uint8 without a scale: the firmware needs int8 with a scale"),
        (conv_model(outputs=0), "has no output: the firmware needs at least one, int8"),
        (changed(conv_model(), two_inputs), "has 2 inputs"),
        (changed(conv_model(), without_a_scale), "has an input of int8 without a scale"),
        (
            changed(conv_model(), batch_of_two),
            "takes (2, 4, 4, 3) and gives (2, 4, 4, 5): expected one input at a time",
        ),
        (
            changed(conv_model(), of_any_size),
            "takes an input without a fixed size (?, ?, ?, 3): the firmware needs one; convert it with one, such as "
            "keras.Input((96, 96, 3))",
        ),
        (changed(conv_model(), twice_as_many_subgraphs), "has 2 subgraphs, as IF, WHILE and CALL_ONCE need them"),
        (changed(conv_model(), of_type("INT16")), "computes in int16 (1 CONV_2D), the 16x8 quantization"),
        (changed(conv_model(), of_type("UINT8")), "computes in uint8 (1 CONV_2D), the quantization of TensorFlow 1"),
        (
            changed(conv_model(), float_in_the_middle("ELU")),
            "computes in int8 except for 1 ELU, which the converter left in float32 because TensorFlow Lite has no "
            "int8 kernel for it; converting it again will not help: use ReLU6 or hard-swish instead of ELU",
        ),
        (changed(conv_model(), float_in_the_middle("NEG")), "computes in int8 except for 1 NEG"),
        (conv_model(custom="ethos-u"), "was compiled by Vela for Arm's Ethos-U NPU (operator ethos-u)"),
        (conv_model(custom="FlexErf"), "uses FlexErf of TensorFlow itself (SELECT_TF_OPS)"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "is not a TFLite flatbuffer: it is a Git LFS pointer",
        ),
        (b"PK\x03\x04" + bytes(40), "is not a TFLite flatbuffer: it is a zip file, such as a .keras"),
        (b"<!DOCTYPE html><html>", "is not a TFLite flatbuffer: it is a web page"),
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


def no_channels(model, graph):
    graph.tensors[1].shape, model.buffers[1].data = [0, 1, 1, 3], None


def weights_of_scale(scale):
    def change(_, graph):
        graph.tensors[1].quantization.scale = [scale]

    return change


def bias_of_two_values(model, graph):
    graph.tensors[2].shape, model.buffers[2].data = [2], model.buffers[2].data[:8]


@pytest.mark.parametrize(
    "change",
    [no_channels, weights_of_scale(0.0), weights_of_scale(float("nan")), bias_of_two_values],
    ids=["no channels", "scale 0", "scale NaN", "bias"],
)
def test_a_damaged_operator_gets_the_same_sentence_with_kernels_of_ours_and_of_tflm(tmp_path, command_line, change):
    (tmp_path / "theirs.tflite").write_bytes(changed(conv_model(), change))
    results = []
    for kernels in ("tinytrain", "tflm"):
        words = ["export", "theirs.tflite", "--mcu", "stm32f746", "--out", kernels, f"export.kernels={kernels}"]
        status, _, error = command_line(*words)
        assert "Traceback" not in error
        results.append((status, error.replace(f"'{kernels}'", "'OUT'")))
    assert results[0] == results[1]


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_inputs_and_outputs_of_another_type_become_int8(kind):
    """What is left is the network that the converter makes with int8 input and output: same results, same arena."""
    whole, wanted = Model.parse(converted_model(kind)), Model.parse(converted_model())
    found, made_int8 = with_int8_io(whole)
    assert made_int8 == [f"{kind} input", f"{kind} output"]
    graph = Model.parse(found.content)
    assert graph.counts == wanted.counts
    assert [t.dtype for t in (*graph.inputs, *graph.outputs)] == ["int8", "int8"]
    images = np.random.default_rng(0).integers(-128, 128, (20, 16, 16, 3), np.int8)
    np.testing.assert_array_equal(
        ReferenceInterpreter(found.content).run(images)[0], ReferenceInterpreter(wanted.content).run(images)[0]
    )
    assert memory.target_arena_bytes(found) == memory.target_arena_bytes(wanted)


def test_int8_input_and_output_are_left_as_they_are():
    model = Model.parse(conv_model())
    assert with_int8_io(model) == (model, [])


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
    found = pixels.of(image(scale, zero), Export())
    assert (found.low, found.high, not found.hint) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "keys"),
    [
        (-123.68, 151.06, "export.channel_order=bgr export.mean=[103.939,116.779,123.68]"),  # keras' ResNet50, VGG
        (-123.9, 150.8, "export.channel_order=bgr export.mean=[103.939,116.779,123.68]"),
        (-2.118, 2.640, "export.input_range=0..1 export.mean=[0.485,0.456,0.406] export.std=[0.229,0.224,0.225]"),
        (-3, 7, "the range is taken as it is"),
    ],
)
def test_an_unusual_range_is_hinted_at_with_the_keys_that_are_likely(low, high, keys):
    """The ranges of the three channels together, by hand from the published means and deviations."""
    scale = (high - low) / 255
    found = pixels.of(image(scale, round(-128 - low / scale)), Export())
    assert found.hint.endswith(keys)
    assert "is not a usual one for pixels" in found.hint


def test_the_pixel_range_can_be_given():
    for words, low, high in (("-0.5..0.5", -0.5, 0.5), ("1..0", 1, 0)):  # the second an inverted image
        found = pixels.of(image(1.0, -128), Export(input_range=words))
        assert (found.low, found.high, found.hint) == (low, high, "")
    for words in ("0", "0..", "a..b", "0..1..2", "1..1", "nan..1", "0..inf"):
        with pytest.raises(UserError, match=r"export\.input_range is"):
            pixels.of(image(1.0, -128), Export(input_range=words))


@pytest.mark.parametrize(
    ("mode", "export", "scale", "zero"),
    [
        ("caffe", Export(channel_order="bgr", mean=[103.939, 116.779, 123.68]), 1.0774, -13),
        ("torch", Export(input_range="0..1", mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]), 0.01866, -15),
        ("tf", Export(mean=127.5, std=127.5), 0.0079, -1),
    ],
)
def test_channel_order_means_and_deviations_are_those_of_keras_applications(mode, export, scale, zero):
    shown = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    prepared = keras.applications.imagenet_utils.preprocess_input(shown.astype("float64"), mode=mode)
    expected = np.clip(np.floor(prepared / scale + 0.5) + zero, -128, 127)
    found = pixels.of(image(scale, zero), export)
    assert not found.hint
    assert (found.to_input(shown, image(scale, zero)) != expected).mean() < 0.01  # halves, in another precision


@pytest.mark.parametrize(
    ("export", "sentence"),
    [
        (
            Export(mean=[1.0, 2.0]),
            r"export\.mean is \[1\.0, 2\.0\]: expected one finite number, or one for each of the 3",
        ),
        (Export(std=[float("nan")]), r"export\.std is \[nan\]"),
    ],
)
def test_means_for_another_number_of_channels_are_refused(export, sentence):
    with pytest.raises(UserError, match=sentence):
        pixels.of(image(1.0, -128), export)
    with pytest.raises(UserError, match="has 1 channels, not 3"):
        pixels.of(Tensor("", (1, 4, 4, 1), "int8", (1.0,), (-128,), False), Export(channel_order="bgr"))


@pytest.mark.parametrize(("scale", "zero"), [(1.0, -128), (1 / 255, -128), (2 / 255, -1), (1 / 128, 0)])
def test_a_pixel_of_the_usual_ranges_is_itself_minus_128(scale, zero):
    table = pixels.of(image(scale, zero), Export()).tables(image(scale, zero))[0]
    assert np.abs(table.astype(int) - (np.arange(256) - 128)).max() <= (scale == 2 / 255)  # 2/255 rounds at one place


def export(command_line, tmp_path, content, *words):
    (tmp_path / "theirs.tflite").write_bytes(content)
    status, out, error = command_line("export", "theirs.tflite", "--mcu", "stm32f746", "--out", "e", "--json", *words)
    assert status == 0, error
    return json.loads(out.splitlines()[-1]), out


@pytest.mark.long
def test_a_file_of_float_input_and_output_is_exported_and_says_what_it_feeds(tmp_path, command_line):
    report, out = export(command_line, tmp_path, converted_model("float32"))
    assert report["model"]["ops"] == Model.parse(converted_model()).counts
    assert report["input"]["shape"] == [1, 16, 16, 3]
    assert (report["input"]["pixel_0"], report["input"]["pixel_255"]) == (-1.0, 1.0)
    assert report["input"]["notes"][:2] == [
        f"float32 {end} left out: int8 goes in and out" for end in ("input", "output")
    ]
    assert "pixels 0 to 255 as -1 to 1" in out
    assert "unknown: proven on noise; --data SPEC measures it on images" in out
    assert report["parity"]["different"] == 0
    assert report["latency_range_ms"][0] < report["latency_ms"] < report["latency_range_ms"][1]
    assert Model.parse((tmp_path / "e/model.tflite").read_bytes()).inputs[0].dtype == "int8"


@pytest.mark.long
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
    np.testing.assert_array_equal(outputs, ReferenceInterpreter(content).run(inputs)[0].reshape(len(inputs), -1))
    table = c_source.read_array(tmp_path / "e/firmware/model/model_data.cc", "PixelToInput")
    np.testing.assert_array_equal(table, np.arange(256) - 128)
    measured = evaluate.evaluate(tmp_path / "theirs.tflite", data=f"folder:{folder}")
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


def test_what_is_no_square_image_is_proven_on_noise_only(tmp_path, command_line, image_folder):
    content = changed(conv_model(), not_an_image)
    report, _ = export(command_line, tmp_path, content)
    assert report["parity"] == {"images": 16, "different": 0, "of": "compiled network"}
    words = ["--mcu", "stm32f746", "--out", "f", "--data", f"folder:{image_folder()}"]
    status, out, error = command_line("export", "theirs.tflite", *words)
    assert (status, out) == (2, "")
    assert "takes images of 1x16: only square ones can be read" in error


def test_a_file_too_large_for_the_board_is_told_with_numbers(tmp_path, command_line):
    content = changed(conv_model(), lambda model, _: model.buffers.append(_noise(2_000_000)))
    (tmp_path / "theirs.tflite").write_bytes(changed(content, _used))
    words = ["--mcu", "stm32f746", "--out", "e", "export.kernels=tflm"]  # ours leave out what no operator reads
    status, out, error = command_line("export", "theirs.tflite", *words)
    assert status == 3
    assert "NO" in out
    assert "'theirs.tflite' does not fit stm32f746g_disco: it needs" in error
    assert "bytes of flash where there are 1,048,576; use a smaller network or a larger board" in error


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
    assert "RAM       unknown: how much of the arena TRANSPOSE_CONV takes on the chip was never measured" in out
    assert "fits      stm32f746g_disco: unknown" in out


@needs_tflm
def test_an_arena_that_nobody_can_compute_is_measured_in_the_emulator(tmp_path, command_line):
    (tmp_path / "theirs.tflite").write_bytes(changed(conv_model(), transposed))
    _, out, _ = command_line("export", "theirs.tflite", "--mcu", "stm32f746", "--out", "e", "--json")
    report = json.loads(out.splitlines()[-1])
    used_bytes = report["emulated"]["arena_used_bytes"]
    assert 0 < used_bytes <= report["memory"]["arena_bytes"] <= used_bytes + 16 + 4096  # it started with this one
    assert report["arena_basis"]["how"] == "measured in the emulator"
    assert report["fits"] is True
    assert "of them the arena, measured in the emulator" in out


def test_a_network_that_is_too_large_for_the_emulated_board_is_exported_all_the_same(
    tmp_path, command_line, emulated, monkeypatch
):
    emulated("")

    def too_large(*_):
        raise DoesNotFit("the firmware does not fit mps2_an500: FLASH has 4194304 bytes, 9 too few")

    monkeypatch.setattr(self_test, "emulate", too_large)
    report, out = export(command_line, tmp_path, changed(conv_model(), transposed))
    assert report["arena_basis"]["how"] == "unknown"
    assert (report["fits"], report["proven"]) == (None, False)
    assert "proven    NO: the firmware does not run on the emulated mps2_an500: the firmware does not fit" in out


def test_an_export_into_the_empty_folder_that_one_stands_in(tmp_path, command_line, monkeypatch):
    (tmp_path / "theirs.tflite").write_bytes(conv_model())
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    status, _, error = command_line("export", "../theirs.tflite", "--mcu", "stm32f746", "--out", ".")
    assert (status, error) == (0, "")
    assert (tmp_path / "new" / "report.json").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["qat.epochs=3"], "export cannot change qat.epochs of 'theirs.tflite'"),
        (["data.resize=pad"], "data.resize=pad: applies only to images; give them with --data SPEC"),
    ],
)
def test_words_that_an_export_of_a_tflite_does_not_read_are_refused(tmp_path, command_line, words, sentence):
    (tmp_path / "theirs.tflite").write_bytes(conv_model())
    status, out, error = command_line("export", "theirs.tflite", "--mcu", "stm32f746", "--out", "e", *words)
    assert (status, out) == (2, "")
    assert sentence in error
    assert not (tmp_path / "e").exists()


def wrong(command_line, tmp_path, content, *words):
    """Returns (report.json, standard error) of an export of status 1; its folder is written all the same."""
    (tmp_path / "theirs.tflite").write_bytes(content)
    status, out, error = command_line("export", "theirs.tflite", "--mcu", "stm32f746", "--out", "e", *words)
    report = json.loads((tmp_path / "e/report.json").read_text())
    assert (status, report["proven"]) == (1, False), error
    assert "proven    NO: " in out
    assert error.count("\n") == 1
    assert "the export of 'theirs.tflite' is wrong, so do not flash it: " in error
    return report, error


@pytest.fixture
def emulated(monkeypatch):
    """Returns a function that sets what the firmware prints in the emulator; nothing is linked."""

    def printing(text):
        monkeypatch.setattr(make, "lacking", lambda **asked: "" if asked.get("emulator") else "no compiler")
        monkeypatch.setattr(self_test, "emulate", lambda *_: self_test.parse(f"\ntinytrain: firmware\n{text}"))

    return printing


def test_a_wrong_golden_output_in_the_emulator_is_status_1(tmp_path, command_line, emulated):
    emulated("golden: different (3 of 80 bytes, first at 2)\nfailed: the output is not the golden output\n")
    report, error = wrong(command_line, tmp_path, conv_model())
    assert report["fits"]
    assert report["emulated"]["golden"] == "different"
    assert report["unproven"] == ["the golden output is different on the emulated mps2_an500 (3 values)"]
    assert report["unproven"][0] in error


def test_the_boards_reason_is_named_where_the_emulated_firmware_does_not_start(tmp_path, command_line, emulated):
    emulated("failed: init: the arena is too small or an operator refused (arena: 6752 bytes)\n")
    report, error = wrong(command_line, tmp_path, conv_model())
    assert report["emulated"]["golden"] == "not reached"
    assert "does not run on the emulated mps2_an500: init: the arena is too small or an operator refused" in error


def test_an_equal_golden_output_in_the_emulator_is_a_proof(tmp_path, command_line, emulated):
    emulated("golden: equal (80 bytes)\ninference: 9000 instructions (median of 10, min 9000, max 9000)\ndone\n")
    report, out = export(command_line, tmp_path, conv_model())
    assert (report["proven"], report["unproven"]) == (True, [])
    assert "proven    yes: the emulated core gives the golden output" in out


@pytest.mark.parametrize(("share", "parts"), [(0.0, False), (0.2, False), (0.3, True)])
def test_tensorflow_lite_is_the_second_opinion(share, parts):
    """Outputs of TFLM, moved on by noise of a known share of their variance: 0.25 is allowed."""
    content = conv_model()
    images = np.random.default_rng(0).integers(-128, 128, (5, 4, 4, 3), np.int8)
    outputs = ReferenceInterpreter(content).run(images)[0].reshape(5, -1)
    signal = outputs.astype(float).var(axis=0).mean()
    steps = round(np.sqrt(share * signal))
    moved = (outputs + steps * np.where(outputs > 0, -1, 1)).astype(np.int8)  # away from the ends
    found = tflite_interpreter.compare(Model.parse(content), images, [moved], macs=240)
    assert (found["images"], found["largest_steps"], found["parts"]) == (5, steps, parts)
    assert found["noise"] == pytest.approx(steps**2 / signal)


def test_a_step_of_rounding_is_no_difference_where_the_outputs_hardly_vary():
    content = conv_model()
    images = np.zeros((3, 4, 4, 3), np.int8)
    outputs = ReferenceInterpreter(content).run(images)[0].reshape(3, -1)
    beside = outputs + np.where(outputs > 0, -1, 1).astype(np.int8)
    assert not tflite_interpreter.compare(Model.parse(content), images, [beside], macs=240)["parts"]
    assert tflite_interpreter.compare(
        Model.parse(content), images, [outputs + np.where(outputs > 0, -2, 2).astype(np.int8)], macs=240
    )["parts"]


@pytest.mark.parametrize(
    ("images", "macs", "compared"),
    [(60, 0, 50), (60, 100_000_000, 50), (60, 500_000_000, 10), (60, 10**12, 4), (1, 10**12, 1)],
)
def test_of_a_large_model_tensorflow_lite_sees_fewer_images(monkeypatch, images, macs, compared):
    """5·10^9 multiply-accumulates in all, but 4 images at least and 50 at most."""
    monkeypatch.setattr(tflite_interpreter, "_run", lambda _, shown: ([np.zeros((len(shown), 4), np.int8)], {}))
    shown = np.zeros((images, 4, 4, 3), np.int8)
    assert (
        tflite_interpreter.compare(Model.parse(conv_model()), shown, [np.zeros((images, 4), np.int8)], macs)["images"]
        == compared
    )


def test_why_it_could_not_run_is_short(monkeypatch):
    """TFLM's own person_detect.tflite is refused for each of fifteen tensors, without so much as a blank between."""

    def refuse(*_):
        raise RuntimeError(15 * "quantized_dimension must be in range [0, 1). Was 3.Tensor 33 is invalid.")

    monkeypatch.setattr(tflite_interpreter, "_run", refuse)
    shown = np.zeros((2, 4, 4, 1), np.int8)
    found = tflite_interpreter.compare(Model.parse(conv_model()), shown, [np.zeros((2, 4), np.int8)], macs=240)
    assert found["failed"].startswith("quantized_dimension must be in range [0, 1)")
    assert len(found["failed"]) < 250


def dilated_model():
    """A dilated pool converted with an open batch: the file's shapes between its operators are wrong."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32)])
    def network(image):
        apart = tf.space_to_batch(image, [2, 2], [[0, 0], [0, 0]])
        return tf.batch_to_space(tf.nn.avg_pool2d(apart, 3, 1, "SAME"), [2, 2], [[0, 0], [0, 0]])

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    noise = np.random.default_rng(0).uniform(-1, 1, (20, 1, 8, 8, 3)).astype("float32")
    converter.representative_dataset = lambda: ([image] for image in noise)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def test_what_tflm_computes_otherwise_than_tensorflow_lite_is_not_exported_as_right(tmp_path, command_line):
    content = dilated_model()
    assert "SPACE_TO_BATCH_ND" in Model.parse(content).counts
    report, error = wrong(command_line, tmp_path, content)
    assert report["parity"]["different"] == 0  # TFLM agrees with itself
    assert report["tensorflow_lite"]["largest_steps"] > 1
    assert "the output of SPACE_TO_BATCH_ND is (4, " in error
    assert "convert the network with a fixed batch of 1" in error
