"""The ports of the STM32 families on a model of their registers: what they set, and what each failure leaves."""

import functools
import re
import subprocess

import pytest
from conftest import REPOSITORY, needs_tool
from port_models import Printed, write_core_registers

from tinytrain.deploy import boards

NAMES = [name for name in boards.names() if str(boards.load(name).values["PORT"]).startswith("stm32")]
RCC_F, RCC_H, RCC_L, RCC_U, PWR, PWR_U = 0x40023800, 0x58024400, 0x40021000, 0x46020C00, 0x40007000, 0x46020800
HSE_F, HSE_H = ((rcc, 1 << 16, 1 << 16, rcc, 1 << 17) for rcc in (RCC_F, RCC_H))
PLL_F, PLL_H, PLL_L, PLL_U = ((rcc, 1 << 24, 1 << 24, rcc, 1 << 25) for rcc in (RCC_F, RCC_H, RCC_L, RCC_U))
SWITCH_F = (RCC_F + 8, 3, 2, RCC_F + 8, 2 << 2)
# Of each port: the register block of its USARTs; its hardware as (control, mask, value, status, bits) of stm32_model.c,
# and what the port says where that does not happen.
OLD = {"SR": 0x00, "BRR": 0x08, "CR1": 0x0C, "UE": 1 << 13}
NEW = {"CR1": 0x00, "BRR": 0x0C, "SR": 0x1C, "PRESC": 0x2C, "UE": 1 << 0}
RULES = {
    "stm32f4": {"HSE": HSE_F, "PLL does not lock": PLL_F, "switch to the PLL": SWITCH_F},
    "stm32f7": {
        "HSE": HSE_F,
        "PLL does not lock": PLL_F,
        "over-drive does not start": (PWR, 1 << 16, 1 << 16, PWR + 4, 1 << 16),
        "over-drive does not switch": (PWR, 1 << 17, 1 << 17, PWR + 4, 1 << 17),
        "switch to the PLL": SWITCH_F,
    },
    "stm32h7": {
        "supply": (RCC_H + 0x40C, 7, 2, RCC_H + 0x404, 1 << 13),
        "voltage": (RCC_H + 0x418, 3 << 14, 3 << 14, RCC_H + 0x418, 1 << 13),
        "HSE": HSE_H,
        "PLL does not lock": PLL_H,
        "switch to the PLL": (RCC_H + 0x10, 7, 3, RCC_H + 0x10, 3 << 3),
    },
    "stm32l4": {
        "backup domain": (0, 1, 1, 0, 0),  # LOCK below
        "LSE": (RCC_L + 0x90, 1, 1, RCC_L + 0x90, 2),
        "PLL does not lock": PLL_L,
        "switch to the PLL": (RCC_L + 8, 3, 3, RCC_L + 8, 3 << 2),
    },
    "stm32u5": {
        "voltage range 1": (PWR_U + 0x0C, 3 << 16, 3 << 16, PWR_U + 0x0C, 1 << 15),
        "backup domain": (0, 1, 1, 0, 0),  # LOCK below
        "LSE": (RCC_U + 0xF0, 1, 1, RCC_U + 0xF0, 1 << 1),
        "trims MSIS": (RCC_U + 0xF0, 1 << 7, 1 << 7, RCC_U + 0xF0, 1 << 11),  # LSE, where it has started
        "booster": (PWR_U + 0x0C, 1 << 18, 1 << 18, PWR_U + 0x0C, 1 << 14),
        "PLL does not lock": PLL_U,
        "switch to the PLL": (RCC_U + 0x1C, 3, 3, RCC_U + 0x1C, 3 << 2),
    },
}
# A bit that opens a register, which takes nothing before the bit was read as set: DBP for RCC_BDCR.
LOCK = {"stm32l4": (PWR, 1 << 8, RCC_L + 0x90), "stm32u5": (PWR_U + 0x28, 1, RCC_U + 0xF0)}
USARTS = {"USART1": 0x40011000, "USART2": 0x40004400, "USART3": 0x40004800, "LPUART1": 0x40008000}
USART1_U = 0x40013800
GPIO = {
    "stm32f4": 0x40020000,
    "stm32f7": 0x40020000,
    "stm32h7": 0x58020000,
    "stm32l4": 0x48000000,
    "stm32u5": 0x42020000,
}
IWDG = {port: 0x58004800 if port == "stm32h7" else 0x40003000 for port in RULES}
RESET_UART_HZ = {"stm32f4": 16e6, "stm32f7": 16e6, "stm32h7": 64e6, "stm32l4": 4e6, "stm32u5": 4e6}
CFGR = {"stm32h7": RCC_H + 0x10, "stm32l4": RCC_L + 8, "stm32u5": RCC_U + 0x1C}  # of the others RCC_F + 8
CASES = [(name, what) for name in NAMES for what in RULES[boards.load(name).values["PORT"]]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns a function that runs the port of a board, with the rule that is called `broken` left out."""
    folder = tmp_path_factory.mktemp("model")
    write_core_registers(folder)

    @functools.cache
    def run(name, broken=""):
        board = boards.load(name)
        port, uart = board.values["PORT"], block(board)
        always = (0, 0, 0, usart_of(board) + uart["SR"], 3 << 6)  # TXE and TC
        systick = (0xE000E010, 7, 7, 0xE000E010, 1 << 16)  # runs with its interrupt: it has counted to 0
        rules = [always, systick, *(rule for what, rule in RULES[port].items() if what != broken)]
        defines = {
            "PORT_SOURCE": f'"ports/{port}.c"',
            "BOARD_HEADER": f'"boards/{name}.h"',
            "BAUD": 115200,
            "RULES": ", ".join("{" + ", ".join(map(hex, rule)) + "}" for rule in rules),
        }
        if port in LOCK:
            lock = ", ".join(map(hex, LOCK[port]))
            defines["LOCK"] = f"{{{lock}, {int(broken == 'backup domain')}}}"
        include = [f"-I{folder}", f"-I{REPOSITORY / 'firmware/platform'}"]
        source, program = REPOSITORY / "tests/helpers/stm32_model.c", folder / f"{name}{broken.replace(' ', '')}"
        flags = [*include, *(f"-D{key}={value}" for key, value in defines.items())]
        subprocess.run(["gcc", "-O1", "-Wall", "-Werror", *flags, source, "-o", program], check=True)
        done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=True)
        return Printed(done.stdout)

    return run


def usart_of(board):
    return USART1_U if board.values["PORT"] == "stm32u5" else USARTS[board.uart]


def block(board):
    return OLD if board.values["PORT"] == "stm32f4" else NEW


def steps(board):
    return 256 if board.uart == "LPUART1" else 1


def field(registers, address, position, bits):
    return registers[address] >> position & (1 << bits) - 1


@needs_tool("gcc")
@pytest.mark.parametrize("name", NAMES)
def test_a_port_starts_the_clock_and_the_serial_port(run, name):
    board, printed = boards.load(name), run(name)
    port, registers, usart = board.values["PORT"], printed.registers["init"], usart_of(board)
    assert printed.lines[0] == "error "
    assert registers[usart + block(board)["BRR"]] == round(int(board.values["UART_CLOCK_HZ"]) * steps(board) / 115200)
    assert registers[usart + block(board)["CR1"]] == block(board)["UE"] | 1 << 2 | 1 << 3 | 1 << 5  # RE, TE, RXNEIE
    for way in ("TX", "RX"):
        gpio = GPIO[port] + 0x400 * (ord(board.values[f"UART_{way}_PORT"]) - ord("A"))
        pin = board.values[f"UART_{way}_PIN"]
        assert field(registers, gpio, 2 * pin, 2) == 2  # MODER: alternate function
        assert field(registers, gpio + 0x0C, 2 * pin, 2) == 1  # PUPDR: up
        assert field(registers, gpio + 0x20 + pin // 8 * 4, pin % 8 * 4, 4) == board.values[f"UART_{way}_FUNCTION"]
    irq = board.values["UART_IRQ"]
    assert registers[0xE000E100 + irq // 32 * 4] == 1 << irq % 32
    assert registers[0xE0001000] & 1  # DWT counts


@needs_tool("gcc")
@pytest.mark.parametrize("name", NAMES)
def test_the_registers_of_the_clock_make_the_boards_clock(run, name):
    """The formulas and reset values of the reference manuals' RCC chapters, from the registers' bits alone."""
    board = boards.load(name)
    port, registers = board.values["PORT"], run(name).registers["init"]
    if port in ("stm32f4", "stm32f7"):
        pll, config = registers[RCC_F + 4], registers[RCC_F + 8]
        clock = int(board.values["HSE_HZ"]) / (pll & 63) * (pll >> 6 & 511) / (2 * (pll >> 16 & 3) + 2)
        apb = config >> (13 if board.uart == "USART1" else 10) & 7
        dividers = 2 ** max(apb - 3, 0)
        assert pll >> 22 & 1  # from HSE
        assert registers[0x40023C00] & 15 == board.values["FLASH_WAIT_STATES"]
        assert registers[RCC_F] >> 18 & 1 == board.values["HSE_BYPASS"]
    elif port == "stm32h7":
        divisors = registers[RCC_H + 0x30]
        reference = int(board.values["HSE_HZ"]) / (registers[RCC_H + 0x28] >> 4 & 63)
        clock = reference * ((divisors & 511) + 1) / ((divisors >> 9 & 127) + 1)
        dividers = 2 ** ((registers[RCC_H + 0x18] & 15) - 7) * 2 ** ((registers[RCC_H + 0x1C] >> 4 & 7) - 3)
        assert registers[RCC_H + 0x28] & 3 == 2  # from HSE
        assert registers[RCC_H + 0x2C] == 1 << 16 | 1 << 2  # output P, wide VCO, input of 2 to 4 MHz
        assert registers[0x52002000] == 0x22
        assert registers[0x51008108] == 1  # the model has revision 0, older than V
    elif port == "stm32u5":
        pll, divisors = registers[RCC_U + 0x28], registers[RCC_U + 0x34]
        reference = int(board.values["MSI_HZ"]) / ((pll >> 8 & 15) + 1)
        clock = reference * ((divisors & 511) + 1) / ((divisors >> 24 & 127) + 1)
        dividers = 1
        assert pll & 3 == 1  # from MSIS
        assert pll >> 2 & 3 == 0  # an input of 4 to 8 MHz
        assert pll >> 12 & 15 == 0  # the booster has 4 MHz as well
        assert pll >> 18 & 1  # output R
        assert registers[RCC_U + 0x1C] == 3 | 3 << 2  # the PLL
        assert registers[RCC_U] >> 3 & 1  # trimmed is
        assert registers[RCC_U] >> 6 & 1  # MSIS, not MSIK
        assert registers[0x40022000] == board.values["FLASH_WAIT_STATES"] | 1 << 8
        assert registers[0x40030400] & 1  # ICACHE
    else:
        pll = registers[RCC_L + 0x0C]
        clock = int(board.values["MSI_HZ"]) / ((pll >> 4 & 15) + 1) * (pll >> 8 & 127) / (2 * (pll >> 25 & 3) + 2)
        dividers = 1
        assert pll & 3 == 1  # from MSI
        assert pll >> 24 & 1  # output R
        assert registers[RCC_L + 8] == 3 | 3 << 2  # the PLL, no prescaler left
        assert registers[RCC_L] >> 2 & 1  # MSI is trimmed
        assert registers[PWR + 4] >> 9 & 1  # port G has a supply
        assert not registers[PWR + 0x80] >> 8 & 1  # boost
        assert registers[0x40022000] == board.values["FLASH_WAIT_STATES"] | 7 << 8
    assert clock == board.clock_hz
    assert clock / dividers == board.values["UART_CLOCK_HZ"]


@needs_tool("gcc")
@pytest.mark.parametrize(("name", "broken"), CASES)
def test_a_failed_clock_has_a_reason_and_leaves_a_serial_port(run, name, broken):
    board, printed = boards.load(name), run(name, broken)
    port, registers, usart = board.values["PORT"], printed.registers["init"], usart_of(board)
    assert broken in printed.lines[0]
    assert registers[CFGR.get(port, RCC_F + 8)] == 0  # the clock of a reset
    assert registers[usart + block(board)["BRR"]] == round(RESET_UART_HZ[port] * steps(board) / 115200)
    assert registers[usart + block(board)["CR1"]] & block(board)["UE"]


@needs_tool("gcc")
@pytest.mark.parametrize("name", NAMES)
def test_rates_are_set_where_the_divider_is_close(run, name):
    board, printed = boards.load(name), run(name)
    clock = int(board.values["UART_CLOCK_HZ"]) * steps(board)
    prescaler = {0: 1, 2: 4}[printed.registers["9600"].get(usart_of(board) + NEW["PRESC"], 0)]
    assert prescaler == (4 if board.uart == "LPUART1" else 1)
    for baud, (was_set, divider) in printed.rates().items():
        if baud in (9600, 115200, 921600):
            assert was_set
            found = clock / (prescaler if baud == 9600 else 1) / divider
            assert found == pytest.approx(baud, rel=0.01)
        elif baud in (0, 300, 100_000_000):
            assert not was_set
    dividers = [divider for _, divider in printed.rates().values()]
    assert dividers[0] == dividers[1]  # a refused rate changes nothing
    assert dividers[-1] == dividers[-2]


@needs_tool("gcc")
@pytest.mark.parametrize("name", NAMES)
def test_sleep_is_counted_as_time(run, name):
    """CYCCNT may stand still while the core sleeps: here it does, but for the accesses to registers."""
    (line,) = [line for line in run(name).lines if line.startswith("slept")]
    slept, systick = map(int, re.fullmatch(r"slept (\d+), SysTick (\d)", line).groups())
    assert slept == pytest.approx(boards.load(name).clock_hz // 100, abs=2000)
    assert systick == 0


@needs_tool("gcc")
@pytest.mark.parametrize("name", NAMES)
def test_bytes_and_errors_of_the_line_are_handed_on(run, name):
    lines = run(name).lines
    start = lines.index("received 65")
    assert sorted(lines[start + 1 : start + 4]) == ["line error", "line error", "received 66"]
    assert "received 67" not in lines  # an overrun alone has no byte
    assert lines[-2:] == ["reset by watchdog 1", "reset by watchdog 0"]


@needs_tool("gcc")
@pytest.mark.parametrize("name", NAMES)
def test_the_watchdog_and_the_timestamp_pin(run, name):
    board, registers = boards.load(name), run(name).registers["end"]
    port = board.values["PORT"]
    prescaler, reload = 4 * 2 ** registers[IWDG[port] + 4], registers[IWDG[port] + 8] + 1
    assert prescaler * reload / 32_000 * 1000 == pytest.approx(board.values["WATCHDOG_MS"], rel=0.03)
    assert registers[IWDG[port]] == 0xAAAA
    gpio = GPIO[port] + 0x400 * (ord(board.values["TIMESTAMP_PORT"]) - ord("A"))
    assert field(registers, gpio, 2 * board.values["TIMESTAMP_PIN"], 2) == 1  # MODER: output
    assert registers[gpio + 0x18] == 1 << board.values["TIMESTAMP_PIN"]  # BSRR: high again
