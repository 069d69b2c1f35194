"""The firmware in QEMU with the stub engine: startup, serial port, timer, faults and every line it prints."""

import re
import subprocess
import threading

import pytest
from firmware_helpers import (
    ALL_EMULATED,
    EMULATED,
    INPUT,
    emit,
    emulate,
    full_stack,
    needs_emulator,
    run_make,
    stub_output,
)
from int8_models import FILTERS, conv_model

from tinytrain.deploy import boards, firmware, self_test


@needs_emulator
@pytest.mark.parametrize("board", ALL_EMULATED)
def test_the_firmware_runs_and_says_so(tmp_path, board):
    done = emulate(emit(tmp_path), "INFERENCES=5", board=board)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = self_test.parse(done.stdout)
    assert printed["board"] == board
    assert printed["clock"] == f"{boards.load(board).clock_hz} Hz"
    assert printed["engine"] == "stub"
    assert printed["model"] == f"conv ({len(conv_model())} bytes)"
    assert (printed["arena_used_bytes"], printed["arena_bytes"]) == (48 + 80, 8192)
    assert printed["golden"] == "equal (80 bytes)"
    assert printed["golden_equal"] is True
    assert printed["inference"]["unit"] == "instructions"
    assert printed["inference"]["count"] == 5
    # 48 turns of the hash and 80 of the generator, a few instructions each; the same in every run
    assert (
        128 * 3
        < printed["inference"]["min"]
        <= printed["inference"]["median"]
        <= printed["inference"]["max"]
        < 128 * 12
    )
    assert printed["inference"]["max"] - printed["inference"]["min"] <= 1  # a tick is 3.2 instructions
    assert 40 < printed["stack_used_bytes"] < printed["stack_bytes"] == firmware.STACK_BYTES
    assert printed["done"]
    assert printed["failed"] == ""
    assert "\n" not in done.stdout.replace("\r\n", "")  # terminals want both


@needs_emulator
def test_a_different_golden_output_is_counted_and_fails(tmp_path):
    golden = stub_output(INPUT, 16 * FILTERS)
    golden[[7, 31]] += 1
    folder = emit(tmp_path, golden_outputs=[golden])
    done = emulate(folder)
    assert done.returncode != 0
    assert "golden: different (2 of 80 bytes, first at 7)" in done.stdout
    assert "failed: the output is not the golden output" in done.stdout
    printed = self_test.emulate(folder, boards.load(EMULATED), None)
    assert (printed["golden_equal"], printed["different_bytes"], printed["done"]) == (False, 2, False)


@needs_emulator
def test_another_golden_input_is_seen(tmp_path):
    other = INPUT.copy()
    other[0, 0, 0, 0] ^= 1
    assert emulate(emit(tmp_path, golden_input=other)).returncode != 0


@needs_emulator
def test_too_small_an_arena_fails_with_a_line(tmp_path):
    done = emulate(emit(tmp_path, arena_bytes=112))
    assert done.returncode != 0
    assert "failed: init: the arena is too small (arena: 112 bytes)" in done.stdout
    assert "golden" not in done.stdout
    assert emulate(emit(tmp_path / "exact", arena_bytes=128)).returncode == 0


@needs_emulator
@pytest.mark.parametrize("size", ["return kInputBytes", "output.bytes"])
def test_a_model_of_another_size_than_its_description_fails(tmp_path, size):
    folder = emit(tmp_path)
    engine = folder / "app/engine_stub.cc"
    assert engine.read_text().count(size) == 1
    engine.write_text(engine.read_text().replace(size, f"{size} + 1"))
    done = emulate(folder)
    assert done.returncode != 0
    assert "does not describe this model" in done.stdout


def crash(folder, statement, board=EMULATED):
    """Runs a stub engine that executes `statement` in its first inference."""
    engine = (folder / "app/engine_stub.cc").read_text()
    body = engine.replace("  uint32_t hash = 2166136261u;", f"  {statement}\n  uint32_t hash = 2166136261u;")
    assert body != engine
    declarations = 'extern "C" [[noreturn]] void abort(void);\n' + OVERFLOW
    (folder / "app/engine_crash.cc").write_text(declarations + body)
    return run_make(folder, "emulate", f"BOARD={board}", "ENGINE=crash", "TIMEOUT_S=30")


OVERFLOW = """
__attribute__((noinline)) static unsigned Deep(volatile unsigned depth) {
  volatile unsigned room[64] = {};
  room[depth % 64] = depth;
  if (depth == 0) return room[0];
  return Deep(depth - 1) + room[depth % 64];
}
static volatile unsigned depth_wanted = 4;
unsigned UseDeep() { return Deep(depth_wanted); }
"""


@needs_emulator
@pytest.mark.parametrize("board", ALL_EMULATED)
def test_a_fault_prints_its_place_and_cause(tmp_path, board):
    folder = emit(tmp_path)
    done = crash(folder, '__asm volatile("udf #0");', board)
    assert done.returncode != 0
    place = re.search(r"failed: fault at 0x([0-9a-f]{8}), lr 0x[0-9a-f]{8}, CFSR 0x00010000", done.stdout)
    assert place, done.stdout  # CFSR: undefined instruction (ARMv7-M B3.2.15)
    elf = folder / "build" / f"{board}-crash" / "firmware.elf"
    command = ["arm-none-eabi-addr2line", "-f", "-e", elf, place[1]]
    assert "engine_invoke" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@needs_emulator
@pytest.mark.parametrize("board", ALL_EMULATED)
def test_a_stack_overflow_is_no_silent_corruption(tmp_path, board):
    done = crash(emit(tmp_path), "depth_wanted = 1000; UseDeep();", board)
    assert done.returncode != 0
    assert f"failed: stack overflow at {full_stack(board)}" in done.stdout


# From Secure state to code that the SAU (DDI0553, D1.2: CTRL, TYPE, RNR, RBAR, RLAR) makes Non-secure, without the
# instruction that is for it.
TO_NON_SECURE = """
  volatile unsigned* sau = (volatile unsigned*)0xE000EDD0;
  sau[2] = 0; sau[3] = 0x00400000; sau[4] = 0x0040FFE1; sau[0] = 1;
  __asm volatile("dsb\\n isb");
  ((void (*)())0x00400001)();
"""


@needs_emulator
def test_a_secure_fault_prints_its_status(tmp_path):
    done = crash(emit(tmp_path), TO_NON_SECURE, "mps2_an505")
    assert done.returncode != 0
    assert re.search(r"failed: fault at 0x0040000\d.*, SFSR 0x00000010,", done.stdout), done.stdout  # INVTRAN


@needs_emulator
def test_the_deepest_stack_is_reported(tmp_path):
    folder = emit(tmp_path)
    shallow = self_test.parse(crash(folder, "depth_wanted = 1; UseDeep();").stdout)["stack_used_bytes"]
    deep = self_test.parse(crash(folder, "depth_wanted = 9; UseDeep();").stdout)["stack_used_bytes"]
    assert 8 * 256 <= deep - shallow <= 8 * (256 + 32)


@needs_emulator
def test_abort_is_a_line_and_a_status(tmp_path):
    done = crash(emit(tmp_path), "abort();")
    assert done.returncode != 0
    assert "failed: abort" in done.stdout


@needs_emulator
def test_static_objects_are_constructed_and_data_is_initialized(tmp_path):
    folder = emit(tmp_path)
    check = """
    static volatile unsigned initialized = 0x1234;
    struct Once { Once() { value = initialized + 1; } ~Once() { value = 0; } volatile unsigned value; };
    static Once once;
    static volatile unsigned zero;
    static volatile float half = 0.5f;
    """
    engine = folder / "app/engine_stub.cc"
    text = engine.read_text().replace("namespace {", check + "namespace {", 1)
    engine.write_text(
        text.replace(
            "  used_bytes = ",
            "  if (once.value != 0x1235 || zero != 0 || half * 4 != 2) {\n"
            '    error = "data is not initialized";\n    return false;\n  }\n'
            "  used_bytes = ",
        )
    )
    done = emulate(folder)
    assert done.returncode == 0, done.stdout


@needs_emulator
def test_a_board_without_its_clock_talks_all_the_same(tmp_path):
    """The STM32F4's firmware on QEMU's netduinoplus2, an STM32F405 with core, memory and USART2, but no RCC."""
    folder = emit(tmp_path)
    assert run_make(folder, "BOARD=nucleo_f401re", "ENGINE=stub").returncode == 0
    elf = folder / "build" / "nucleo_f401re-stub" / "firmware.elf"
    command = ["qemu-system-arm", "-M", "netduinoplus2", "-display", "none", "-monitor", "none", "-kernel", elf]
    with subprocess.Popen(
        [*command, "-serial", "null", "-serial", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as board:
        alarm = threading.Timer(60, board.kill)
        alarm.start()
        boot = until_ready(board)
        board.stdin.write(b"name%")  # what arrives before the port is started is lost
        board.stdin.flush()
        name = until_ready(board)
        alarm.cancel()
        board.kill()
    assert "e-[clock: the HSE oscillator does not start]" in boot
    assert name == ["m-name-dut-[tinytrain]", "m-ready"]


def until_ready(board):
    """Returns the lines up to and with "m-ready"."""
    lines = []
    while not lines or lines[-1] != "m-ready":
        line = board.stdout.readline().decode()
        assert line, lines
        lines.append(line.strip())
    return lines


# Reading what the firmware prints


def test_a_boards_lines_are_parsed():
    text = (
        "\r\ntinytrain: firmware\r\nboard: stm32f746g_disco\r\nmodel: digits (239112 bytes)\r\n"
        "arena: 100 of 128 bytes\r\n"
        "golden: equal (10 bytes)\r\ninference: 24012345 cycles (median of 10, min 24012340, max 24012399)\r\n"
        "latency: 111168 us (median of 10, min 111167, max 111169)\r\nstack: 948 of 4096 bytes\r\ndone\r\n"
    )
    printed = self_test.parse(text)
    assert printed["model_bytes"] == 239_112
    assert printed["inference"] == {"unit": "cycles", "median": 24012345, "count": 10, "min": 24012340, "max": 24012399}
    assert printed["latency"]["median"] == 111_168
    assert printed["done"]


def test_an_output_that_stops_short_has_failed():
    printed = self_test.parse("\r\ntinytrain: firmware\r\nboard: mps2_an500\r\n")
    assert not printed["done"]
    assert printed["failed"] == "the firmware stopped before its last line"
