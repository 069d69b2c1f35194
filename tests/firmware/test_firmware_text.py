"""The text protocol on the emulated board: commands, answers and errors as MLPerf Tiny's reference has them."""

import re
import subprocess

import numpy as np
import pytest
from firmware_helpers import EMULATED, FULL_ARENA_BYTES, emit, needs_emulator, run_make, stub_output
from int8_models import FILTERS

from tinytrain.deploy import boards, c_source
from tinytrain.tflite.model import Tensor

PIXELS = np.arange(48, dtype=np.uint8) * 5
LOAD = "db load 48%db " + PIXELS[:31].tobytes().hex() + "%db " + PIXELS[31:].tobytes().hex().upper() + "%"


def talk(folder, text, *variables, engine="stub"):
    """Builds the firmware and sends `text`; returns the lines of the boot and those of each command."""
    done = run_make(folder, f"BOARD={EMULATED}", f"ENGINE={engine}", *variables)
    assert done.returncode == 0, done.stderr
    elf = folder / "build" / f"{EMULATED}-{engine}" / "firmware.elf"
    emulator = boards.load(EMULATED).emulator.split()
    command = ["qemu-system-arm", *emulator, "-display", "none", "-monitor", "none", "-serial", "stdio", "-kernel", elf]
    done = subprocess.run(command, input=(text + "exit%").encode(), capture_output=True, timeout=60, check=False)
    output = done.stdout.decode()
    assert "\n" not in output.replace("\r\n", "")
    return [part.split("\r\n")[:-1] for part in output.split("m-ready\r\n")][:-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return emit(tmp_path_factory.mktemp("text"))


@needs_emulator
def test_it_boots_as_the_runner_expects(folder):
    (boot,) = talk(folder, "")
    assert boot[0] == "m-timestamp-mode-performance"
    assert re.fullmatch(r"m-lap-us-\d+", boot[1])
    assert boot[2:] == ["m-init-done"]


@needs_emulator
def test_name_profile_and_timestamp(folder):
    _, name, profile, first, second = talk(folder, "name%profile%timestamp%timestamp%")
    assert re.match(r"^m-name-dut-\[([^]]+)]$", *name)  # the runner's own expression
    assert profile == ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[conv]"]
    before, after = (int(re.fullmatch(r"m-lap-us-(\d+)", *lines)[1]) for lines in (first, second))
    assert 0 < after - before < 10_000_000  # asleep, the emulator's clock is the host's


@needs_emulator
def test_an_image_goes_in_by_hex_and_comes_back(folder):
    _, expecting, first, last, printed = talk(folder, LOAD + "db print%")
    assert expecting == ["m-[Expecting 48 bytes]"]
    assert first == []
    assert last == ["m-load-done"]
    rows = ["m-buffer-" + "-".join(f"{byte:02x}" for byte in PIXELS[i : i + 8]) for i in range(0, 48, 8)]
    assert printed == rows


@needs_emulator
def test_infer_answers_in_the_order_of_the_reference(folder):
    answers = talk(folder, LOAD + "infer 3 2%infer%results%")
    lines, default, results = answers[-3:]
    expected = ["m-warmup-start-2", "m-warmup-done", "m-infer-start-3", None, None, "m-infer-done", None]
    assert [line if want else want for line, want in zip(lines, expected, strict=True)] == expected
    start, stop = (int(re.fullmatch(r"m-lap-us-(\d+)", line)[1]) for line in lines[3:5])
    assert stop > start
    assert default[0] == "m-warmup-start-10"  # the code's default; the help says 0
    assert default[2] == "m-infer-start-1"
    assert lines[-1] == default[-1] == results[0]


@needs_emulator
def test_results_are_the_softmax_of_the_output(folder):
    """The pixels become int8 by the model's table; the stub's output, and with it a softmax, is known."""
    *_, results = talk(folder, LOAD + "infer 1 0%results%")
    header = (folder / "model" / "model_data.h").read_text()
    pixels = c_source.read_array(folder / "model" / "model_data.cc", "PixelToInput")
    output = stub_output(pixels[PIXELS], 16 * FILTERS).astype(np.float64)
    scale = float(re.search(r"\{0, 80, (.*?)f,", header)[1])
    share = np.exp((output - output.max()) * scale)
    values = re.fullmatch(r"m-results-\[([^]]+)\]", *results)[1].split(",")  # the runner's own expression
    assert all(re.fullmatch(r"[01]\.\d{3}", value) for value in values)
    np.testing.assert_allclose([float(value) for value in values], share / share.sum(), atol=0.00051)


@needs_emulator
def test_pixels_reach_a_model_of_bgr_channels_with_means(tmp_path):
    """R, G, B on the line; the model's input is B, G, R by a table of each of its channels: worked here by hand."""
    means = np.array([110, 117, 124])  # of B, G, R
    tables = np.array([np.clip(np.arange(256) - mean, -128, 127) for mean in means]).astype(np.int8)
    folder = emit(tmp_path, pixels=tables, bgr=True)
    answers = talk(folder, LOAD + "db print%infer 1 0%results%")
    shown = "".join(line.removeprefix("m-buffer-") + "-" for line in answers[-3]).replace("-", "")
    assert bytes.fromhex(shown) == PIXELS.tobytes()
    taken = np.clip(PIXELS.reshape(-1, 3)[:, ::-1].astype(int) - means, -128, 127).astype(np.int8)
    output = stub_output(taken, 16 * FILTERS).astype(np.float64)
    scale = float(re.search(r"\{0, 80, (.*?)f,", (folder / "model" / "model_data.h").read_text())[1])
    share = np.exp((output - output.max()) * scale)
    values = re.fullmatch(r"m-results-\[([^]]+)\]", *answers[-1])[1].split(",")
    np.testing.assert_allclose([float(value) for value in values], share / share.sum(), atol=0.00051)
    *_, printed, _, results = talk(folder, LOAD + "db print%infer 1 0%results%", "KEEP_IMAGE=0")
    assert printed == ["e-[The input is not kept: this board has no room for it]"]
    assert results == answers[-1]


@needs_emulator
@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("db%", ["e-[Command 'db' requires a subcommand]"]),
        ("db load%", ["e-[Command 'db load' requires the # of bytes]"]),
        ("db load 0%", ["e-[Command 'db load' must be >0 bytes]"]),
        ("db load x%", ["e-[Command 'db load' must be >0 bytes]"]),
        ("db load 49%", ["Supplied buffer size 49 exceeds maximum of 48"]),
        ("db 123%", ["e-[Insufficent number of hex digits]"]),
        ("infer 0%", ["e-[Inference iterations must be >0]"]),
        ("infer -3%", ["e-[Inference iterations must be >0]"]),
        ("infer 1 -1%", ["e-[Inference warmup must be >=0]"]),
        ("infer 1 0%", ["e-[The input has 0 bytes, expected 48: db load it]"]),
        ("names%", ["e-[Unknown command: names]"]),
        ("\nname%", ["e-[Unknown command: ", "name]"]),  # a stray newline is part of the command
        ("%", ["e-[Unknown command: ]"]),
        ("x" * 200 + "%", [f"e-[Unknown command: {'x' * 80}]"]),
    ],
)
def test_errors(folder, command, lines):
    _, answer, name = talk(folder, command + "name%")
    assert answer == lines
    assert name == ["m-name-dut-[tinytrain]"]


@needs_emulator
def test_a_wrong_digit_is_named(folder):
    answers = talk(folder, "db load 4%db 0g%db 00010203%db print%")
    assert answers[2:] == [["e-[Invalid hex digit '0g']"], ["m-load-done"], ["m-buffer-00-01-02-03"]]


@needs_emulator
def test_commands_pasted_at_wire_speed_are_all_answered(folder):
    answers = talk(folder, "name%" * 500)
    assert answers[1:] == [["m-name-dut-[tinytrain]"]] * 500


@needs_emulator
def test_build_options(folder):
    boot, profile, stamp = talk(folder, "profile%timestamp%", "ENERGY=1", "MODEL_ID=vww01")
    assert boot == ["m-timestamp-mode-energy", "m-init-done"]
    assert profile[1] == "m-model-[vww01]"
    assert stamp == []  # an edge on a pin


@needs_emulator
def test_without_room_for_the_image_an_inference_uses_it_up(folder):
    """The first output counts, however often it runs; the board says that the input has to be loaded again."""
    *_, kept = talk(folder, LOAD + "infer 3 2%")
    *_, lines, again = talk(folder, LOAD + "infer 3 2%infer 1 0%", "KEEP_IMAGE=0")
    assert lines[-1] == kept[-1]
    assert again == ["e-[The input was used up by the inference before: db load it again]"]


@needs_emulator
def test_the_emulated_board_keeps_the_image_only_if_the_boards_ram_would(tmp_path):
    """An arena beside which an STM32F746 has no room for the input; the emulated board has 4 MB."""
    *_, again = talk(emit(tmp_path, arena_bytes=FULL_ARENA_BYTES), LOAD + "infer 3 2%infer 1 0%")
    assert again == ["e-[The input was used up by the inference before: db load it again]"]


@needs_emulator
def test_inferences_longer_than_the_watchdog_waits_are_no_hang(folder):
    *_, lines = talk(folder, LOAD + "infer 60000 0%")
    start, stop = (int(line.removeprefix("m-lap-us-")) for line in lines if line.startswith("m-lap-us-"))
    assert stop - start > 1000 * int(boards.load(EMULATED).values["WATCHDOG_MS"])
    assert lines[-1].startswith("m-results-[")


@needs_emulator
@pytest.mark.parametrize("board", [EMULATED, "mps2_an505"])
def test_a_hang_is_caught_and_told_after_the_restart(tmp_path, board):
    folder = emit(tmp_path)
    engine = (folder / "app/engine_stub.cc").read_text()
    start = "  uint32_t hash = 2166136261u;"
    assert start in engine
    (folder / "app/engine_hang.cc").write_text(engine.replace(start, f"  for (volatile int i = 1; i;) {{}}\n{start}"))
    run_make(folder, f"BOARD={board}", "ENGINE=hang")
    elf = folder / "build" / f"{board}-hang" / "firmware.elf"
    emulator = boards.load(board).emulator.split()
    command = ["qemu-system-arm", *emulator, "-display", "none", "-monitor", "none", "-serial", "stdio", "-kernel", elf]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as emulated:
        emulated.stdin.write(b"selftest%")
        emulated.stdin.flush()
        lines = []
        for line in emulated.stdout:  # nothing more is sent: the second m-ready is that of the restart
            lines.append(line.decode().strip())
            if lines.count("m-ready") == 2:
                break
        emulated.kill()
    assert lines.count("m-timestamp-mode-performance") == 2
    assert lines[-3:] == ["e-[watchdog: it hung in operator 0]", "m-init-done", "m-ready"]


@pytest.mark.parametrize(
    ("shape", "classes", "expected"),
    [
        ((1, 32, 32, 3), 10, "ic01"),
        ((1, 96, 96, 3), 2, "vww01"),
        ((1, 96, 96, 3), 10, "mine"),
        ((1, 32, 32, 1), 10, "mine"),
    ],
)
def test_the_model_has_the_id_of_its_benchmark(shape, classes, expected):
    tensors = [Tensor("t", size, "int8", (1.0,), (0,), constant=False) for size in (shape, (1, classes))]
    assert c_source.mlperf_id("mine", *tensors) == expected
