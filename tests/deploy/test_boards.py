"""Board headers: what Python reads in them is what C reads, and the numbers hang together."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import needs_tool

from tinytrain.cli.lists import boards as board_table
from tinytrain.deploy import boards
from tinytrain.errors import UserError


def header(tmp_path, *lines):
    path = tmp_path / "board.h"
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.mark.parametrize("name", boards.names())
def test_every_board_has_sane_limits(name):
    board = boards.load(name)
    assert board.name == name
    assert board.ram_bytes >= 16 * 1024
    assert board.flash_bytes >= board.ram_bytes
    assert board.clock_hz > 1_000_000
    assert bool(board.flash_tools) != board.emulated  # a board is flashed or emulated
    assert set(board.flash_tools) <= {"openocd", "st-flash", "probe-rs", "picotool", "uf2"}
    assert ("openocd" in board.flash_tools) == bool(board.debugger)
    assert ("probe-rs" in board.flash_tools) == ("CHIP" in board.values)
    assert ("uf2" in board.flash_tools) == ("UF2_FAMILY" in board.values) == ("UF2_DRIVE" in board.values)
    assert board.counter == ("instructions" if board.emulated else "cycles")
    assert len(board.uart_pins) == (0 if board.emulated else 2)
    assert board.values["UART_IRQ"] < board.values["IRQS"]
    assert (board.core, board.values["CACHES"]) in (("cortex-m7", 1), ("cortex-m4", 0), ("cortex-m33", 0))
    assert (boards.folder().parent / "ports" / f"{board.values['PORT']}.c").is_file()


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("NUCLEO-F401RE", "nucleo_f401re"),
        ("STM32F746G-DISCO", "stm32f746g_disco"),
        ("STM32F746", "stm32f746g_disco"),
        ("nucleo_f746zg", "nucleo_f746zg"),
    ],
)
def test_boards_are_found_by_the_names_of_their_makers(written, name):
    assert boards.load(written).name == name


def test_the_stm32f746_has_the_datasheets_numbers():
    board = boards.load("stm32f746g_disco")
    assert board.ram_bytes == (64 + 240 + 16) * 1024 == 327_680
    assert board.flash_bytes == 1_048_576
    assert board.clock_hz == 216_000_000
    assert board.uart_baud == 115_200


# {port: (PLL input in Hz from and to, output before the last divider from and to, core, APB1 or all, APB2, Hz for each
# flash wait state)}, from the reference manuals and datasheets that the headers name.
LIMITS = {
    "stm32f4": ((1e6, 2e6), (192e6, 432e6), 84e6, 42e6, 84e6, 30e6),
    "stm32f7": ((1e6, 2e6), (100e6, 432e6), 216e6, 54e6, 108e6, 30e6),
    "stm32h7": ((2e6, 4e6), (192e6, 836e6), 400e6, 100e6, 100e6, 70e6),
    "stm32l4": ((2.66e6, 8e6), (64e6, 344e6), 120e6, 120e6, 120e6, 20e6),
    "stm32u5": ((4e6, 8e6), (128e6, 544e6), 160e6, 160e6, 160e6, 32e6),
}
STM32 = [name for name in boards.names() if boards.load(name).values["PORT"] in LIMITS]


@pytest.mark.parametrize("name", STM32)
def test_the_clock_follows_from_the_pll(name):
    board = boards.load(name)
    value = {key: int(number) for key, number in board.values.items() if isinstance(number, int)}
    inputs, outputs, core, apb1, apb2, wait_state = LIMITS[board.values["PORT"]]
    source = value.get("HSE_HZ", value.get("MSI_HZ"))
    reference, vco = source / value["PLL_M"], source / value["PLL_M"] * value["PLL_N"]
    assert inputs[0] <= reference <= inputs[1]
    assert outputs[0] <= vco <= outputs[1]
    assert vco / value.get("PLL_P", value.get("PLL_R")) == board.clock_hz <= core
    bus = board.clock_hz / value.get("AHB_DIVIDER", 1)
    dividers = [value.get(f"APB{number}_DIVIDER", value.get("APB_DIVIDER", 1)) for number in (1, 2)]
    assert bus / dividers[0] <= apb1
    assert bus / dividers[1] <= apb2
    assert value["FLASH_WAIT_STATES"] + 1 >= bus / wait_state
    assert value["UART_CLOCK_HZ"] == bus / dividers[1 if board.uart in ("USART1", "USART6") else 0]


def test_the_clock_of_the_pico_2_follows_from_its_crystal():
    """RP2350 datasheet, PLL: 750 to 1,600 MHz before the two dividers, FBDIV 16 to 320; at most 150 MHz."""
    value = {key: int(number) for key, number in boards.load("rp2350").values.items() if isinstance(number, int)}
    reference = value["XOSC_HZ"] / value["PLL_REFDIV"]
    assert 16 <= value["PLL_FBDIV"] <= 320
    assert 750e6 <= reference * value["PLL_FBDIV"] <= 1600e6
    assert value["PLL_POSTDIV1"] >= value["PLL_POSTDIV2"]
    clock = reference * value["PLL_FBDIV"] / value["PLL_POSTDIV1"] / value["PLL_POSTDIV2"]
    assert clock == value["CLOCK_HZ"] == value["UART_CLOCK_HZ"] == 150e6


@pytest.mark.parametrize("name", STM32)
@pytest.mark.parametrize("baud", [9600, 115_200, 921_600])
def test_the_serial_ports_divider_is_close(name, baud):
    """A USART divides its clock by a whole number, a LPUART by 256ths."""
    board = boards.load(name)
    steps = int(board.values["UART_CLOCK_HZ"]) * (256 if board.uart.startswith("LP") else 1)
    assert abs(steps / round(steps / baud) / baud - 1) < 0.01


@pytest.mark.parametrize("name", STM32)
def test_the_debuggers_files_are_openocds(name):
    scripts = Path("/usr/share/openocd/scripts")
    if not scripts.is_dir():
        pytest.skip("openocd is missing: make firmware-tools")
    files = boards.load(name).debugger.split()
    assert files
    assert all((scripts / file).is_file() for file in files)


def test_fast_ram_is_the_beginning_of_ram_or_apart():
    disco, h743, l4r5 = (boards.load(word) for word in ("stm32f746", "stm32h743", "stm32l4r5"))
    assert (disco.fast_ram_bytes, disco.fast_ram_is_apart) == (65_536, False)
    assert (h743.fast_ram_bytes, h743.fast_ram_is_apart) == (131_072, True)
    assert (l4r5.fast_ram_bytes, l4r5.fast_ram_is_apart) == (0, False)
    assert disco.ram_limit_bytes(4096) == disco.ram_bytes
    assert h743.ram_limit_bytes(4096) == 512 * 1024 + 4096  # the stack is in the other RAM


def test_list_boards_prints_what_the_headers_say(command_line):
    status, out, _ = command_line("list", "boards", "--json")
    assert status == 0
    rows = {row["name"]: row for row in json.loads(out.splitlines()[-1])["boards"]}
    assert list(rows) == boards.names()
    h743 = rows["nucleo_h743zi"]
    assert (h743["mcu"], h743["core"], h743["clock_hz"]) == ("stm32h743", "cortex-m7", 400_000_000)
    assert (h743["ram_bytes"], h743["fast_ram_bytes"], h743["flash_bytes"]) == (524_288, 131_072, 2_097_152)
    assert (h743["uart"], h743["uart_pins"], h743["uart_baud"]) == ("USART3", ["PD8", "PD9"], 115_200)
    assert (h743["debugger"], h743["emulator"]) == ("board/st_nucleo_h743zi.cfg", "")
    assert h743["flash_tools"] == ["openocd", "st-flash", "probe-rs"]
    assert (rows["mps2_an386"]["flash_tools"], rows["mps2_an386"]["emulator"]) == ([], "mps2-an386")
    assert rows["raspberry_pi_pico2"]["uart_pins"] == ["GP0", "GP1"]
    line = next(line for line in out.splitlines() if line.startswith("nucleo_h743zi"))
    assert all(
        word in line for word in ("stm32h743", "400", "512 + 128 fast", "2048", "TX PD8 RX PD9", "openocd, st-flash")
    )


@pytest.mark.parametrize("name", boards.names())
@needs_tool("arm-none-eabi-gcc")
def test_c_reads_the_same_values(name, tmp_path):
    board = boards.load(name)
    checks = []
    for key, value in board.values.items():
        if isinstance(value, int):
            checks.append(f'_Static_assert(BOARD_{key} == {value}, "{key}");')
        elif key.endswith("_PORT"):
            checks.append(f"_Static_assert(BOARD_{key} == '{value}', \"{key}\");")
        else:
            checks.append(f'_Static_assert(sizeof(BOARD_{key}) == {len(value)} + 1, "{key}");')
    source = tmp_path / "check.c"
    source.write_text(f'#include "{board.path}"\n' + "\n".join(checks))
    done = subprocess.run(["arm-none-eabi-gcc", "-fsyntax-only", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(checks) > 10


def test_the_readme_shows_the_list():
    table = "\n".join(board_table.as_text(board_table.rows()))
    assert table in (boards.folder().parents[1] / "README.md").read_text()


def test_an_mcu_means_its_usual_board(tmp_path, monkeypatch):
    assert boards.load("stm32f746").name == "stm32f746g_disco"
    text = boards.load("stm32f746").path.read_text()
    (tmp_path / "a_first.h").write_text(text.replace("BOARD_USUAL 1", "BOARD_USUAL 0"))
    (tmp_path / "b_usual.h").write_text(text)
    monkeypatch.setattr(boards, "folder", lambda: tmp_path)
    assert boards.names() == ["a_first", "b_usual"]
    assert boards.load("stm32f746").name == "b_usual"


def test_a_microcontroller_may_be_meant_to_be_another_board():
    confused = {name: boards.confused_with(boards.load(name)) for name in ("stm32f746", "nucleo_f746zg", "stm32f401")}
    assert confused == {"stm32f746": ["nucleo_f746zg"], "nucleo_f746zg": [], "stm32f401": []}


def test_a_board_is_emulated_by_one_with_its_core():
    emulated = {name: boards.emulated_board(boards.load(name)).name for name in boards.names()}
    assert emulated["nucleo_l4r5zi"] == emulated["nucleo_f401re"] == emulated["mps2_an386"] == "mps2_an386"
    assert emulated["nucleo_h743zi"] == emulated["stm32f746g_disco"] == emulated["mps2_an500"] == "mps2_an500"
    assert emulated["nucleo_u575zi"] == emulated["raspberry_pi_pico2"] == emulated["mps2_an505"] == "mps2_an505"


def test_an_unknown_board_names_the_nearest_and_all():
    with pytest.raises(UserError) as error:
        boards.load("stm32f746g_disc")
    message = str(error.value)
    assert "'stm32f746g_disc'" in message
    assert "did you mean 'stm32f746g_disco'" in message
    assert all(name in message for name in boards.names())
    assert error.value.exit_status == 2


def test_values_are_integer_expressions_characters_and_strings(tmp_path):
    path = header(
        tmp_path,
        "// #define BOARD_COMMENTED 1",
        "#define BOARD_PLAIN 7",
        "#define BOARD_HEX 0x20000000u  // with a suffix",
        "#define BOARD_SUM ((64 + 240 + 16) * 1024)  // (64 + 1)",
        "#define BOARD_HALF (BOARD_PLAIN / 2)",
        "#define BOARD_SHIFT (1UL << 20)",
        "#define BOARD_CHAR 'A'",
        '#define BOARD_TEXT "board/a.cfg"  // "b"',
        '#define BOARD_URL "http://x"',
        '#define BOARD_EMPTY ""',
        "#define OTHER 3",
    )
    assert boards.read_values(path) == {
        "PLAIN": 7,
        "HEX": 0x20000000,
        "SUM": 327_680,
        "HALF": 3,
        "SHIFT": 1 << 20,
        "CHAR": "A",
        "TEXT": "board/a.cfg",
        "URL": "http://x",
        "EMPTY": "",
    }


@pytest.mark.parametrize("value", ["1 +", "1.5", "__import__('os')", "sizeof(int)", "BOARD_UNKNOWN * 2", "1 / 0"])
def test_a_wrong_value_names_file_and_line(tmp_path, value):
    path = header(tmp_path, "// first", f"#define BOARD_RAM_BYTES {value}")
    with pytest.raises(UserError, match=r"board\.h:2: BOARD_RAM_BYTES"):
        boards.read_values(path)


def test_a_missing_line_is_named(tmp_path):
    text = boards.load("mps2_an500").path.read_text()
    path = header(tmp_path, *[line for line in text.splitlines() if "BOARD_RAM_BYTES" not in line])
    with pytest.raises(UserError, match="BOARD_RAM_BYTES"):
        boards.read(path)


def test_reading_boards_imports_no_tensorflow():
    code = (
        "import sys; from tinytrain.deploy import boards; boards.load('stm32f746'); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
