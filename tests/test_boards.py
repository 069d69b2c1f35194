"""Board headers: what Python reads in them is what C reads, and the numbers hang together."""

import subprocess
import sys

import pytest
from conftest import needs_tool

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
    assert bool(board.debugger) != board.emulated  # a board is flashed or emulated
    assert board.counter == ("instructions" if board.emulated else "cycles")
    assert (boards.folder().parent / "ports" / f"{board.values['PORT']}.c").is_file()


def test_the_stm32f746_has_the_datasheets_numbers():
    board = boards.load("stm32f746g_disco")
    assert board.ram_bytes == (64 + 240 + 16) * 1024 == 327_680
    assert board.flash_bytes == 1_048_576
    assert board.clock_hz == 216_000_000
    assert board.uart_baud == 115_200


@pytest.mark.parametrize("name", [name for name in boards.names() if "PLL_N" in boards.load(name).values])
def test_the_clock_follows_from_the_pll(name):
    """RM0385 5.3.2 and the datasheet's general operating conditions."""
    board = boards.load(name)
    value = {key: int(number) for key, number in board.values.items() if isinstance(number, int)}
    vco_hz = value["HSE_HZ"] / value["PLL_M"] * value["PLL_N"]
    assert 1e6 <= value["HSE_HZ"] / value["PLL_M"] <= 2e6
    assert 100e6 <= vco_hz <= 432e6
    assert vco_hz / value["PLL_P"] == board.clock_hz
    assert board.clock_hz / value["APB1_DIVIDER"] <= 54e6
    assert board.clock_hz / value["APB2_DIVIDER"] <= 108e6
    assert value["FLASH_WAIT_STATES"] + 1 >= board.clock_hz / 30e6
    uart_hz = board.clock_hz / value["APB2_DIVIDER" if value["UART"] in (1, 6) else "APB1_DIVIDER"]
    assert abs(uart_hz / round(uart_hz / board.uart_baud) / board.uart_baud - 1) < 0.01


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


def test_an_mcu_means_its_usual_board(tmp_path, monkeypatch):
    assert boards.load("stm32f746").name == "stm32f746g_disco"
    text = boards.load("stm32f746").path.read_text()
    (tmp_path / "a_first.h").write_text(text.replace("BOARD_USUAL 1", "BOARD_USUAL 0"))
    (tmp_path / "b_usual.h").write_text(text)
    monkeypatch.setattr(boards, "folder", lambda: tmp_path)
    assert boards.names() == ["a_first", "b_usual"]
    assert boards.load("stm32f746").name == "b_usual"


def test_an_unknown_board_names_the_nearest_and_all():
    with pytest.raises(UserError) as error:
        boards.load("stm32f764")
    message = str(error.value)
    assert "'stm32f764'" in message
    assert "did you mean 'stm32f746'" in message
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
