"""The port of the RP2350 on a model of its registers: what it sets, what failures leave, what its boot ROM reads."""

import functools
import struct
import subprocess

import pytest
from conftest import REPOSITORY, needs_tool
from firmware_helpers import emit, needs_compiler, run_make
from port_models import Printed, write_core_registers

from tinytrain.deploy import boards

# Addresses and bits of Raspberry Pi's RP2350 datasheet.
RESETS, CLOCKS, PLL, PADS, PINS = 0x40020000, 0x40010000, 0x40050000, 0x40038000, 0x40028000
UART, WATCHDOG, TICKS, PSM = 0x40070000, 0x400D8000, 0x40108000, 0x40018000
NAME = "raspberry_pi_pico2"
pytestmark = needs_tool("gcc")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns a function that runs the port, with what is called `broken` not happening."""
    folder = tmp_path_factory.mktemp("model")
    write_core_registers(folder)

    @functools.cache
    def run(broken="", reason=1):
        defines = {"BOARD_HEADER": f'"boards/{NAME}.h"', "BAUD": 115200, "BROKEN": f'"{broken}"', "REASON": reason}
        flags = [f"-I{folder}", f"-I{REPOSITORY / 'firmware/platform'}"]
        flags += [f"-D{key}={value}" for key, value in defines.items()]
        source, program = REPOSITORY / "tests/helpers/rp2350_model.c", folder / f"{broken.replace(' ', '')}{reason}"
        subprocess.run(["gcc", "-O1", "-Wall", "-Werror", *flags, source, "-o", program], check=True)
        return Printed(subprocess.run([program], capture_output=True, text=True, timeout=60, check=True).stdout)

    return run


def test_the_registers_of_the_clock_make_the_boards_clock(run):
    printed = run()
    registers = printed.registers["init"]
    assert printed.lines[0] == "error "
    assert registers[CLOCKS + 0x30] == 2  # clk_ref: XOSC
    assert registers[CLOCKS + 0x3C] == 1  # clk_sys: AUX, which is PLL_SYS
    assert registers[CLOCKS + 0x48] == 1 << 11  # clk_peri: clk_sys
    dividers = registers[PLL + 0x0C]
    clock = 12e6 / (registers[PLL] & 63) * registers[PLL + 8] / (dividers >> 16 & 7) / (dividers >> 12 & 7)
    assert clock == boards.load(NAME).clock_hz
    assert registers[PLL + 4] == 1 << 2  # all of it has power but DSM, which is not used
    assert registers[0x4004800C] * 256 / 12e6 == pytest.approx(1e-3, rel=0.01)  # the crystal's delay


def test_the_serial_port_is_connected(run):
    board, registers = boards.load(NAME), run().registers["init"]
    assert not registers[RESETS] & (1 << 6 | 1 << 9 | 1 << 14 | 1 << 26)  # IO_BANK0, PADS_BANK0, PLL_SYS, UART0
    for line in ("TX", "RX"):
        pin = board.values[f"UART_{line}_PIN"]
        assert registers[PINS + 4 + 8 * pin] == 2  # F2: UART
        pad = registers[PADS + 4 + 4 * pin]
        assert (pad >> 8, pad >> 7 & 1, pad >> 6 & 1, pad >> 2 & 3) == (0, 0, 1, 2)  # not isolated, out, in, pulled up
    assert registers[UART + 0x24] * 64 + registers[UART + 0x28] == round(150e6 * 4 / 115200)
    assert registers[UART + 0x2C] == 0x70  # 8 bits, FIFOs
    assert registers[UART + 0x30] == 0x301
    assert registers[UART + 0x38] == 0x50  # bytes received: enough, or some and then none
    assert registers[0xE000E104] == 1 << 33 - 32
    assert registers[0xE0001000] & 1  # DWT counts


@pytest.mark.parametrize(
    ("broken", "said", "clock"),
    [
        ("crystal", "the crystal XOSC does not start", 11e6),
        ("PLL does not lock", "the PLL does not lock", 12e6),
        ("does not switch", "the clock does not switch to the PLL", 12e6),
    ],
)
def test_a_failed_clock_has_a_reason_and_leaves_a_serial_port(run, broken, said, clock):
    printed = run(broken)
    registers = printed.registers["init"]
    assert printed.lines[0] == f"error {said}"
    assert registers[CLOCKS + 0x3C] == 0  # clk_sys: clk_ref
    assert registers[UART + 0x24] * 64 + registers[UART + 0x28] == round(clock * 4 / 115200)
    assert registers[UART + 0x30] & 1


def test_rates_are_set_where_the_divider_is_close(run):
    rates = run().rates()
    assert [baud for baud, (taken, _) in rates.items() if taken] == [9600, 115200, 921600]
    for baud in (9600, 115200, 921600):
        assert 150e6 * 4 / rates[baud][1] == pytest.approx(baud, rel=0.01)
    assert rates[0] == rates[100] == (False, rates[115200][1])  # a refused rate changes nothing


def test_bytes_and_errors_of_the_line_are_handed_on(run):
    """All that wait in the FIFO, with one interrupt; the second has a framing error."""
    lines = run().lines
    first = lines.index("received a")
    assert lines[first : first + 4] == ["received a", "line error", "received e", "received c"]


def test_sleep_is_counted_as_time(run):
    (line,) = [line for line in run().lines if line.startswith("slept")]
    assert int(line.split()[1].strip(",")) == pytest.approx(1_500_000, abs=2000)
    assert line.endswith("SysTick 0")


@pytest.mark.parametrize(("reason", "was"), [(0, 0), (1, 1), (2, 0)])
def test_only_the_watchdogs_time_is_a_hang(run, reason, was):
    """Bit 0 of REASON is its time, bit 1 what a program asks for, as restart() does; both are kept until a reset."""
    assert f"reset by watchdog {was} 0" in run(reason=reason).lines


def test_the_watchdog_and_the_timestamp_pin(run):
    board, printed = boards.load(NAME), run()
    registers = printed.registers["end"]
    assert (registers[TICKS + 0x34], registers[TICKS + 0x30]) == (12, 1)  # clk_ref in MHz: it counts microseconds
    assert registers[WATCHDOG + 4] == 1000 * board.values["WATCHDOG_MS"] < 1 << 24
    assert registers[WATCHDOG] >> 30 == 1
    assert registers[PSM + 8] == 0x01FFFFFF & ~(1 << 2 | 1 << 3)  # all but ROSC and XOSC
    assert f"fed {registers[WATCHDOG + 4]}" in printed.lines
    assert registers[PINS + 4 + 8 * board.values["TIMESTAMP_PIN"]] == 31 | 3 << 12 | 3 << 14  # driven, high again


@needs_compiler
def test_the_boot_rom_finds_its_block_behind_the_vectors(tmp_path):
    """RP2350 datasheet, Minimum Arm IMAGE_DEF: within the first 4 KiB, a loop of one block."""
    folder = emit(tmp_path)
    assert run_make(folder, "bin", f"BOARD={NAME}", "ENGINE=stub").returncode == 0
    program = (folder / f"build/{NAME}-stub/firmware.bin").read_bytes()
    start = program.index(bytes.fromhex("d3deffff"))
    assert start == 4 * (16 + 52)
    assert start % 4 == 0
    marker, item, kind, last, words, following, end = struct.unpack_from("<IHHBHxII", program, start)
    assert (marker, end) == (0xFFFFDED3, 0xAB123579)
    assert item == 0x0142  # IMAGE_TYPE, of one word
    assert kind == 0x1 | 0x2 << 4 | 0x0 << 8 | 0x1 << 12  # executable, Secure, Arm, RP2350
    assert (last, words, following) == (0xFF, 1, 0)
    stack, reset = struct.unpack_from("<II", program)
    assert 0x20000000 < stack <= 0x20082000
    assert 0x10000000 < reset < 0x10400000
