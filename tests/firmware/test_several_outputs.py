"""A model with two outputs, from export to the emulated board: self test, binary protocol and bench see both."""

import json
import re

import numpy as np
import pytest
from bench_helpers import IMAGES, exported
from firmware_helpers import EMULATED, emulate, needs_emulator, needs_tflm
from int8_models import two_output_model
from simulated_board import SimulatedBoard, open_device

from tinytrain.benching.serial import emulator
from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.text import failure, summary
from tinytrain.commands.bench import bench
from tinytrain.deploy import boards, c_source, make
from tinytrain.deploy.exported import GOLDEN_FILE, Exported
from tinytrain.deploy.exported_model import COMPACT_FILE
from tinytrain.errors import UserError
from tinytrain.tflite.model import Model

BOARD = boards.load(EMULATED)
SIZES = 8 * 8 * 8, 10  # of the two outputs; together they take two frames
FULL_ARENA_BYTES = 320 * 1024 - 4096 - 8192 - 16 * 16 * 3 + 16  # leaves an STM32F746 no room to keep the input


@pytest.fixture(scope="module")
def model():
    return two_output_model()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    pixels = np.arange(-128, 128, dtype=np.int8)  # so that any noise comes from pixels
    return exported(tmp_path_factory.mktemp("two") / "export", model=model, pixels=pixels)


@pytest.fixture(scope="module")
def program(folder):
    return make.build(folder / "firmware", BOARD, None, folder / "build")


def test_the_generated_source_describes_each_output(folder, model):
    header = (folder / "firmware/model/model_data.h").read_text()
    rows = re.search(r"kOutputs\[kOutputCount\] = \{\n(.*?)\n\};", header, re.DOTALL)[1].splitlines()
    for row, offset, tensor in zip(rows, (0, SIZES[0]), Model.parse(model).outputs, strict=True):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+(?:e-\d+)?", row.split("//")[0])]
        size = int(np.prod(tensor.shape))
        assert numbers[:2] == [offset, size]
        assert numbers[2] == pytest.approx(tensor.scale[0], rel=1e-7)
        assert numbers[3:] == [tensor.zero_point[0], len(tensor.shape), *tensor.shape]
    assert f"kOutputBytes = {sum(SIZES)};" in header
    golden = c_source.read_array(folder / "firmware/model/model_data.cc", "GoldenOutputs")
    first_image = b"".join(output.tobytes() for output in Exported.open(folder).outputs_of(0))
    assert golden.tobytes() == first_image


def test_whether_results_are_probabilities_is_that_of_the_first_output(folder, model):
    """The first one is the map; a softmax makes the second."""
    assert "SOFTMAX" in Model.parse(model).counts
    assert "kOutputIsProbability = false" in (folder / "firmware/model/model_data.h").read_text()


@needs_emulator
def test_the_self_test_compares_every_output(model, tmp_path):
    good = exported(tmp_path / "good", model=model) / "firmware"
    assert f"golden: equal ({sum(SIZES)} bytes)" in emulate(good).stdout
    golden = Exported.open(tmp_path / "good").outputs_of(0)
    golden[1][3] ^= 1
    golden[1][9] ^= 1
    bad = exported(tmp_path / "bad", model=model, golden_outputs=golden) / "firmware"
    assert f"different (2 of {sum(SIZES)} bytes, first at {SIZES[0] + 3})" in emulate(bad).stdout


@needs_emulator
@pytest.mark.parametrize("arena_bytes", [8192, FULL_ARENA_BYTES], ids=["input kept", "input used up"])
def test_bench_compares_every_output(model, tmp_path, arena_bytes):
    folder = exported(tmp_path / "export", model=model, arena_bytes=arena_bytes)
    program = make.build(folder / "firmware", BOARD, None, tmp_path / "build")
    with emulator.running(program, BOARD) as device:
        result, _ = bench(folder, device, out=tmp_path / "out")
    assert (result["images"], result["different"], failure(result)) == (IMAGES, 0, "")
    assert result["latency"]["different"] == 0
    with np.load(folder / GOLDEN_FILE) as golden:
        arrays = dict(golden)
    assert {"outputs_0", "outputs_1"} <= set(arrays)
    arrays["outputs_1"][5, 7] ^= 1  # what the host says of one image
    np.savez(folder / GOLDEN_FILE, **arrays)
    with emulator.running(program, BOARD) as device:
        result, target = bench(folder, device, out=tmp_path / "out")
    (row,) = result["differences"]
    assert (row["image"], row["output"], result["different"]) == (5, 1, 1)
    assert [i for i, pair in enumerate(zip(row["host"], row["board"], strict=True)) if pair[0] != pair[1]] == [7]
    assert "image 5, output 1: host" in summary(result, target)


@needs_emulator
def test_the_board_describes_its_outputs(program, model):
    with emulator.running(program, BOARD) as device, open_device(device) as port:
        link = BoardLink(port)
        hello = link.hello()
        assert (hello.outputs, hello.output_bytes) == (2, sum(SIZES))
        for index, tensor in enumerate(Model.parse(model).outputs):
            info = link.output_info(index)
            assert (info.size_bytes, info.shape) == (SIZES[index], tensor.shape)
            assert (info.scale, info.zero_point) == (np.float32(tensor.scale[0]), tensor.zero_point[0])


@needs_emulator
def test_the_text_protocol_tells_the_first_output(folder, program, tmp_path):
    with emulator.running(program, BOARD) as device:
        result, _ = bench(folder, device, images=2, protocol="mlperf", out=tmp_path, window_s=0.1)
    assert (result["images"], result["different"]) == (2, 0)


def test_a_board_with_another_number_of_outputs_holds_another_model(folder, tmp_path):
    content = (folder / COMPACT_FILE).read_bytes()
    with (
        SimulatedBoard(content, 16 * 16 * 3, sum(SIZES)) as board,
        pytest.raises(UserError, match="holds another model"),
    ):
        bench(folder, board.device, out=tmp_path)


# From export to bench


def reference(content, images):
    """Returns TensorFlow Lite's two outputs for each image, from its reference kernels, int8."""
    import tensorflow as tf

    kernels = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    outputs = [], []
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        for rows, details in zip(outputs, interpreter.get_output_details(), strict=True):
            rows.append(interpreter.get_tensor(details["index"])[0].reshape(-1))
    return [np.array(rows).astype(int) for rows in outputs]


@needs_tflm
def test_a_tflite_with_two_outputs_is_exported_proven_and_measured(model, tmp_path, command_line):
    (tmp_path / "two_outputs.tflite").write_bytes(model)
    status, _, errors = command_line("export", "two_outputs.tflite", "--mcu", "stm32f746", "--out", "e")
    assert status == 0, errors
    report = json.loads((tmp_path / "e/report.json").read_text())
    assert (report["proven"], report["parity"]["different"], report["emulated"]["golden"]) == (True, 0, "equal")
    assert report["outputs"] == [
        {"name": tensor.name, "shape": list(tensor.shape), "scale": tensor.scale[0], "zero_point": tensor.zero_point[0]}
        for tensor in Model.parse(model).outputs
    ]
    with np.load(tmp_path / "e/golden.npz") as golden:
        assert set(golden) == {"inputs", "outputs_0", "outputs_1"}
        pairs = zip((golden["outputs_0"], golden["outputs_1"]), reference(model, golden["inputs"]), strict=True)
        for (output, expected), size in zip(pairs, SIZES, strict=True):
            assert output.shape == (len(golden["inputs"]), size)
            assert len(np.unique(output)) > 3  # a constant would show nothing
            assert np.abs(output - expected).max() <= 1  # TFLM's kernels round otherwise in places
    status, printed, errors = command_line("bench", "e", "--images", "3", "--json")
    assert status == 0, errors
    result = json.loads(printed.splitlines()[-1])
    assert (result["images"], result["different"], result["engine"]) == (3, 0, "tflm")
    assert len(result["profile"]["operators"]) == len(Model.parse(model).operators)
