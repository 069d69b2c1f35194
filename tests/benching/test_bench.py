"""`tinytrain bench`: the emulated firmware through both protocols, over a bad line, hung and crashed; mistakes."""

import json
import re
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from bench_helpers import IMAGES, OUTPUTS, exported
from faulty_line import FaultyLine
from firmware_helpers import EMULATED, FULL_ARENA_BYTES, needs_emulator, run_make
from simulated_board import SimulatedBoard, open_device

from tinytrain.benching import binary_runner
from tinytrain.benching.serial import emulator
from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.messages import Kind
from tinytrain.benching.serial.mlperf import Mlperf
from tinytrain.benching.serial.requests import BoardRefused, BoardRestarted
from tinytrain.benching.text import failure, summary
from tinytrain.commands.bench import bench
from tinytrain.deploy import boards, firmware, make
from tinytrain.deploy.exported import GOLDEN_FILE, Exported
from tinytrain.deploy.exported_model import COMPACT_FILE
from tinytrain.errors import TinytrainError, UserError

BOARD = boards.load(EMULATED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("bench") / "export")


@pytest.fixture(scope="module")
def program(folder):
    return make.build(folder / "firmware", BOARD, None, folder / "build")


@pytest.fixture
def device(program):
    with emulator.running(program, BOARD) as found:
        yield found


def crashing(folder, tmp_path, statement):
    """Returns the program whose engine executes `statement` in each inference."""
    copy = exported(tmp_path / "crash") / "firmware"
    engine = (copy / "app/engine_stub.cc").read_text()
    body = engine.replace("  uint32_t hash = 2166136261u;", f"  {statement}\n  uint32_t hash = 2166136261u;")
    assert body != engine
    (copy / "app/engine_crash.cc").write_text(body)
    done = run_make(copy, f"BOARD={EMULATED}", "ENGINE=crash")
    assert done.returncode == 0, done.stderr
    return copy / "build" / f"{EMULATED}-crash" / "firmware.elf"


# The emulated firmware


@needs_emulator
def test_all_answers_are_the_hosts(folder, device, tmp_path):
    result, target = bench(folder, device, out=tmp_path / "out")
    assert json.loads((target / "bench.json").read_text()) == result
    assert (result["board"], result["engine"], result["emulated"]) == (EMULATED, "stub", True)
    assert (result["images"], result["different"], result["differences"]) == (IMAGES, 0, [])
    assert result["accuracy"] == {"board": 1.0, "host": 1.0}
    latency = result["latency"]
    assert latency["unit"] == "instructions"
    assert latency["max"] - latency["min"] <= 1  # a tick is 3.2 instructions
    assert 500 < latency["median"] < 2000
    (operator,) = result["profile"]["operators"]
    assert (operator["name"], operator["macs"], operator["share"]) == ("CONV_2D", 16 * 5 * 3, 1.0)
    assert 0.8 * latency["median"] < operator["counts"] < latency["median"]
    memory = result["memory"]
    assert (memory["arena_used_bytes"], memory["arena_bytes"]) == (128, 8192)
    assert 40 < memory["stack_used_bytes"] < memory["stack_bytes"] == firmware.STACK_BYTES
    assert (target / "operators.png").read_bytes().startswith(b"\x89PNG")
    assert failure(result) == ""
    text = summary(result, target)
    assert f"{IMAGES}, 0 outputs differ from the host's (expected: 0)" in text
    assert "128 of 8,192 bytes used" in text


@needs_emulator
def test_both_protocols_give_the_same_answers(folder, device, tmp_path):
    binary, _ = bench(folder, device, out=tmp_path / "binary")
    result, target = bench(folder, device, protocol="mlperf", out=tmp_path / "mlperf", window_s=1.0)
    for key in ("board", "images", "different", "accuracy"):
        assert result[key] == binary[key]
    assert len(result["latency"]["windows"]) == 5
    assert len({row["image"] for row in result["latency"]["windows"]}) == 5
    assert all(row["seconds"] >= 1.0 for row in result["latency"]["windows"])
    per_instruction_us = 0.128  # of the emulator's clock
    assert result["latency"]["milliseconds"] * 1e3 == pytest.approx(
        binary["latency"]["median"] * per_instruction_us, rel=0.2
    )
    assert not (target / "operators.png").exists()
    assert failure(result) == ""


@needs_emulator
def test_a_board_without_room_to_keep_the_input_answers_alike(tmp_path):
    """Both protocols: the input is sent for each inference or window, and the first output of a window counts."""
    full = exported(tmp_path / "full", arena_bytes=FULL_ARENA_BYTES)
    program = make.build(full / "firmware", BOARD, None, tmp_path / "build")
    with emulator.running(program, BOARD) as device, open_device(device) as port:
        link, image = BoardLink(port), Exported.open(full).input_of(0)
        link.hello()
        link.infer(image)
        with pytest.raises(BoardRefused, match="the input is not the one"):
            link.ask(Kind.INFER, struct.pack("<II", zlib.crc32(image), 1), bytes)
    with emulator.running(program, BOARD) as device:
        binary, _ = bench(full, device, out=tmp_path / "binary")
        mlperf, _ = bench(full, device, protocol="mlperf", out=tmp_path / "mlperf", window_s=0.2)
    for result in (binary, mlperf):
        assert (result["images"], result["different"]) == (IMAGES, 0)
        assert failure(result) == ""
    assert binary["latency"]["different"] == 0


@needs_emulator
@pytest.mark.parametrize(
    ("seed", "faults"),
    [
        pytest.param(1, {"lose": 0.002}, marks=pytest.mark.long),
        pytest.param(2, {"double": 0.002}, marks=pytest.mark.long),
        pytest.param(3, {"damage": 0.002}, marks=pytest.mark.long),
        pytest.param(4, {"endless": 0.001}, marks=pytest.mark.long),
        (5, {"lose": 0.001, "double": 0.001, "damage": 0.001, "endless": 0.0005}),
    ],
    ids=["lost", "doubled", "damaged", "endless", "all"],
)
def test_a_bad_line_costs_time_and_no_answer(folder, device, seed, faults):
    export = Exported.open(folder)
    with FaultyLine(device, seed, **faults) as line, open_device(line.device) as port:
        link = BoardLink(port, patience_s=0.1, tries=20)
        link.hello()
        before = link.status()
        for image in [*range(IMAGES)] * 2:
            outputs = link.infer(export.input_of(image), output_bytes=OUTPUTS).outputs
            assert np.frombuffer(outputs, np.int8).tolist() == export.outputs_of(image)[0].tolist()
        assert len(link.profile(export.input_of(0), 1)) == 1
        after = link.status()
        for (_, kind), count in line.counts.items():
            assert (count > 0) == (kind in faults)  # each of them, both ways
    assert after.uptime_us > before.uptime_us  # never reset
    assert link.traffic.repeated_requests + link.traffic.repeated_inputs > 0
    assert after.damaged_frames > before.damaged_frames


@needs_emulator
def test_the_text_protocol_recovers_from_garbage(folder, device):
    pixels = Exported.open(folder).pixels_of(3)
    with FaultyLine(device, 1, endless=1.0, burst=3000) as line, open_device(line.device) as port:
        port.write(b"db lo")
        line.calm = True
        tested = Mlperf(port)
        tested.synchronize()
        tested.load(pixels)
        assert tested.loaded() == pixels
        assert len(tested.infer(1).results) == OUTPUTS
        with pytest.raises(TinytrainError, match=r"'fly' with e-\[Unknown command: fly\]"):
            tested.command("fly")
        assert tested.name() == "tinytrain"


@needs_emulator
def test_a_hang_is_caught_and_reported_after_the_restart(folder, tmp_path):
    program = crashing(folder, tmp_path, "if (input[0] == 7) for (;;) {}")
    export = Exported.open(folder)
    with emulator.running(program, BOARD) as device, open_device(device) as port:
        link = BoardLink(port, patience_s=1.0)
        link.hello()
        link.doing = "image 3"
        with pytest.raises(BoardRestarted, match="during image 3: watchdog: it hung in operator 0"):
            link.infer(b"\x07" + export.input_of(0)[1:])
        assert link.hello().restarted == "watchdog: it hung in operator 0"
        image = next(i for i in range(IMAGES) if export.inputs[i].flat[0] != 7)
        (expected,) = export.outputs_of(image)
        assert link.infer(export.input_of(image), output_bytes=OUTPUTS).outputs == expected.tobytes()


@needs_emulator
def test_a_fault_tells_its_registers(folder, tmp_path):
    program = crashing(folder, tmp_path, '__asm volatile("udf #0");')

    def ask():
        with emulator.running(program, BOARD) as device, open_device(device) as port:
            link = BoardLink(port, patience_s=1.0)
            link.hello()
            link.doing = "image 3"
            link.infer(bytes(48))

    with pytest.raises(BoardRestarted, match=r"image 3: fault at 0x[0-9a-f]{8}, lr 0x[0-9a-f]{8}, CFSR 0x00010000"):
        ask()


@needs_emulator
def test_firmware_that_does_not_start_says_why(tmp_path):
    program = tmp_path / "none.elf"
    for expected in ("the emulator does not start: .*none.elf", "the emulat.* does not start"):
        with pytest.raises(TinytrainError, match=expected), emulator.running(program, BOARD):
            pass
        program.write_bytes(b"none")


# What only a board shows, on a board of Python


ASKED = [*binary_runner.drawn(SimpleNamespace(emulated=False, board="sim"), None, IMAGES)]  # the order of the images


def simulated(folder, **behavior):
    return SimulatedBoard((folder / COMPACT_FILE).read_bytes(), 48, OUTPUTS, **behavior)


def test_a_boards_latency_is_the_median_of_five_windows(folder, tmp_path):
    with simulated(folder, cycles=2_000_000, rates=(115200, 921600)) as board:
        result, target = bench(folder, board.device, images=6, out=tmp_path, window_s=0.2)
        assert board.baud == 115200  # for whoever comes next
    assert (result["emulated"], result["baud"], result["images"]) == (False, 921600, 6)
    latency = result["latency"]
    assert (latency["unit"], latency["median"], latency["milliseconds"]) == ("cycles", 2_000_000, 10.0)
    assert [row["image"] for row in latency["windows"]] == ASKED[:5]
    assert all(row["seconds"] >= 0.2 for row in latency["windows"])
    assert "10.00 ms, 2,000,000 cycles an inference (median of 5 windows of at least 0.2 s" in summary(result, target)


def test_a_clock_that_runs_at_another_rate_is_seen(folder, tmp_path):
    with simulated(folder, cycles=2_000_000, slow=2.0) as board:
        result, target = bench(folder, board.device, images=1, out=tmp_path, window_s=0.3)
    assert result["latency"]["clock"] == pytest.approx(2.0, rel=0.3)
    assert "its clock is not as its header says" in summary(result, target)


def test_outputs_that_differ_are_listed_and_fail(folder, command_line, tmp_path):
    def change(output, infers):
        return bytes([output[0] ^ 1]) + output[1:] if infers > 1 else output

    with simulated(folder, change=change) as board, pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinytrain.commands.bench.WINDOW_S", 0.1)
        status, printed, said = command_line("bench", folder, "--port", board.device, "--out", tmp_path, "--json")
    assert status == 1
    assert f"{IMAGES - 1} of {IMAGES} outputs of sim differ from the host's" in said
    result = json.loads(printed.splitlines()[-1])
    assert result == json.loads((tmp_path / "bench.json").read_text())
    assert len(result["differences"]) == result["different"] == IMAGES - 1
    first = result["differences"][0]
    assert (first["host"][1:], first["host"][0] ^ 1) == (first["board"][1:], first["board"][0])
    assert [row["image"] for row in result["differences"]] == sorted(ASKED[1:])  # the first answer was left whole
    with np.load(folder / GOLDEN_FILE) as golden:
        assert all(row["host"] == golden["outputs"][row["image"]].ravel().tolist() for row in result["differences"])
    assert "outputs that differ; all 11 are in bench.json:" in printed
    assert printed.count("board ") > 10


def test_an_output_that_changes_from_time_to_time_fails(folder, tmp_path):
    with simulated(folder, change=lambda output, infers: output if infers <= 4 else bytes(80)) as board:
        result, _ = bench(folder, board.device, images=2, out=tmp_path, window_s=0.01)
    assert result["different"] == 0
    assert re.match(r"the output changed in \d of 5 repetitions", failure(result))


def test_a_restart_names_the_operator_and_writes_nothing(folder, tmp_path):
    expected = rf"during image {ASKED[2]}: watchdog: it hung in operator 0 \(CONV_2D\)"
    with (
        simulated(folder, crash_at=3, reason="watchdog: it hung in operator 0") as board,
        pytest.raises(BoardRestarted, match=expected),
    ):
        bench(folder, board.device, out=tmp_path, window_s=0.01)
    assert not list(tmp_path.iterdir())


def test_another_model_is_refused_with_what_to_flash(folder, tmp_path):
    with simulated(folder) as board:
        board.model = b"another"
        with pytest.raises(UserError, match=r"holds another model, 'conv' of 7 bytes .*expected 744 bytes.*flash"):
            bench(folder, board.device, out=tmp_path)


# Mistakes


def test_an_export_without_labels_has_no_accuracy(tmp_path):
    folder = exported(tmp_path / "export", labels=False)
    with simulated(folder) as board:
        result, _ = bench(folder, board.device, images=1, window_s=0.01)
    assert result["accuracy"] is None
    assert "unknown: the export has no labels" in summary(result, folder)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "bench needs the DIR of one export, received nothing"),
        (["none"], "'none' does not exist: give the folder that `tinytrain export` wrote"),
        (["DIR", "--images", "0"], "--images 0 is out of range: expected a whole number from 1"),
        (["DIR", "--images", "13"], "--images 13: expected 1 to 12"),
        (["DIR", "--images", "many"], "--images many is not a number"),
        (["DIR", "--protocol", "binery"], "unknown protocol 'binery'; did you mean 'binary'?"),
        (["DIR", "--port", "/dev/none"], "cannot open the port '/dev/none'"),
        (["DIR", "--out", "/proc/none"], "cannot make the folder '/proc/none'"),
    ],
)
def test_mistakes_are_one_sentence(folder, command_line, words, sentence):
    status, _, said = command_line("bench", *[folder if word == "DIR" else word for word in words])
    assert status == 2
    assert sentence in said
    assert said.count("\n") == 1


def test_what_is_no_whole_export_is_refused(folder, command_line, tmp_path):
    copy = exported(tmp_path / "export")
    (copy / "firmware" / "PROTOCOL.md").unlink()
    assert "is older than the binary protocol: export again" in command_line("bench", copy)[2]
    (copy / GOLDEN_FILE).write_bytes(b"PK")
    (copy / "firmware" / "PROTOCOL.md").touch()
    assert "is damaged" in command_line("bench", copy)[2]
    (copy / COMPACT_FILE).unlink()
    assert f"lacks {COMPACT_FILE}" in command_line("bench", copy)[2]


def drawn(monkeypatch, emulated, images, total=9, most=None):
    """Returns the images that are asked for when each takes 25 seconds."""
    clock = [0.0]
    monkeypatch.setattr(binary_runner.time, "monotonic", lambda: clock[0])
    found = []
    for image in binary_runner.drawn(SimpleNamespace(emulated=emulated, board="board"), images, total, most):
        found.append(image)
        clock[0] += 25
    return found


def test_in_the_emulator_as_many_images_run_as_take_a_minute(monkeypatch):
    assert len(drawn(monkeypatch, emulated=True, images=None)) == 3
    assert len(drawn(monkeypatch, emulated=True, images=5)) == 5
    assert sorted(drawn(monkeypatch, emulated=False, images=None)) == [*range(9)]
    assert len(drawn(monkeypatch, emulated=False, images=None, most=4)) == 4


def test_some_of_the_images_are_of_all_classes(monkeypatch):
    """They stand class by class: the first hundred of a thousand would be of one of ten."""
    some = drawn(monkeypatch, emulated=False, images=100, total=1000)
    assert len(set(some)) == 100
    assert {image // 100 for image in some} == set(range(10))
    assert some[:30] == drawn(monkeypatch, emulated=False, images=30, total=1000)  # the same each time
