"""Boards: what `firmware/platform/boards/<board>.h` says, read without a C compiler.

The header is the only place where a board's numbers stand; C, the linker script and the Makefile read the same lines.
"""

import ast
import operator
import re
from dataclasses import dataclass
from pathlib import Path

from tinytrain.config import plugins
from tinytrain.errors import UserError, unknown

Value = int | str

_DEFINE = re.compile(r"#define\s+BOARD_(\w+)\s+(.+)")
_COMMENT = re.compile(r"""("[^"]*"|'.')|//.*""")  # a quoted text is kept, a comment outside quotes is not
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,  # integer division, as in C
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
}


@dataclass(frozen=True)
class Board:
    """One board: the names, units and limits that Python needs. `values` holds all lines of the header."""

    name: str
    mcu: str
    core: str
    clock_hz: int
    ram_bytes: int
    fast_ram_bytes: int  # RAM without wait states, 0 where none is faster than the rest
    fast_ram_is_apart: bool  # beside `ram_bytes`, else their beginning
    flash_bytes: int
    counter: str  # what the firmware counts: "cycles" or "instructions"
    uart: str  # the serial port's name in the MCU's manual
    uart_pins: tuple[str, ...]  # ("PA9", "PB7") or ("GP0", "GP1"), transmit and receive; () for an emulated one
    uart_baud: int
    flash_tools: tuple[str, ...]  # what `make flash` can call, the usual one first; () for an emulated one
    debugger: str  # openocd's files, "" for none
    emulator: str  # QEMU's options, "" for none
    usual: bool  # the board that its MCU's name means
    path: Path
    values: dict[str, Value]

    @property
    def emulated(self) -> bool:
        """True for a board that QEMU runs."""
        return bool(self.emulator)

    def ram_limit_bytes(self, stack_bytes: int) -> int:
        """Returns how many bytes the linker can place: arena, a stack of `stack_bytes` and variables together.

        Fast RAM apart from the rest takes the stack, and the arena only as a whole: for the largest one it adds no more
        than the stack.
        """
        return self.ram_bytes + (stack_bytes if self.fast_ram_is_apart else 0)


def folder() -> Path:
    """Returns the folder of the board headers."""
    return plugins.data_folder("firmware") / "platform/boards"


def names() -> list[str]:
    """Returns the boards' names, sorted: the file names in firmware/platform/boards."""
    return sorted(path.stem for path in folder().glob("*.h"))


def load(name: str) -> Board:
    """Returns the board called `name`, or the usual board of the microcontroller called so.

    Capital letters do not matter, nor whether words are joined by "_" or, as their makers write them, by "-".

    Raises:
        UserError: no board and no MCU has that name, or its header cannot be read.
    """
    wanted = name.lower().replace("-", "_")
    if wanted in names():
        return read(folder() / f"{wanted}.h")
    boards = [read(folder() / f"{known}.h") for known in names()]
    matches = [board for board in boards if board.mcu == wanted]
    if not matches:
        raise unknown("board", name, {known for board in boards for known in (board.name, board.mcu)})
    return next((board for board in matches if board.usual), matches[0])


def confused_with(board: Board) -> list[str]:
    """Returns the other boards with its microcontroller, if its name means `board`."""
    return [name for name in names() if board.usual and name != board.name and load(name).mcu == board.mcu]


def emulated_board(board: Board) -> Board | None:
    """Returns the emulated board with the core of `board`, itself if it is one; None if there is none."""
    candidates = map(load, [board.name, *names()])
    return next((other for other in candidates if other.emulated and other.core == board.core), None)


def read(path: Path) -> Board:
    """Returns the board that the header at `path` describes; raises UserError where a line is missing or wrong."""
    values = read_values(path)
    try:
        return Board(
            name=path.stem,
            mcu=str(values["MCU"]),
            core=str(values["CPU"]),
            clock_hz=int(values["CLOCK_HZ"]),
            ram_bytes=int(values["RAM_BYTES"]),
            fast_ram_bytes=int(values.get("FAST_RAM_BYTES", 0)),
            fast_ram_is_apart=values.get("FAST_RAM_ORIGIN", values["RAM_ORIGIN"]) != values["RAM_ORIGIN"],
            flash_bytes=int(values["FLASH_BYTES"]),
            counter=str(values["COUNTER"]),
            uart=str(values["UART_NAME"]),
            uart_pins=_uart_pins(values),
            uart_baud=int(values["UART_BAUD"]),
            flash_tools=tuple(str(values["FLASH_TOOLS"]).split()),
            debugger=str(values.get("DEBUGGER", "")),
            emulator=str(values["EMULATOR"]),
            usual=bool(values.get("USUAL", 0)),
            path=path,
            values=values,
        )
    except KeyError as missing:
        raise UserError(f"{path}: no line `#define BOARD_{missing.args[0]}`; a board header needs one") from None


def _uart_pins(values: dict[str, Value]) -> tuple[str, ...]:
    """Returns the names of the two pins as their maker writes them: with the letter of a port, or GP and a number."""
    lines = [line for line in ("TX", "RX") if f"UART_{line}_PIN" in values]
    ports = [f"P{values[f'UART_{line}_PORT']}" if f"UART_{line}_PORT" in values else "GP" for line in lines]
    return tuple(f"{port}{values[f'UART_{line}_PIN']}" for port, line in zip(ports, lines, strict=True))


def read_values(path: Path) -> dict[str, Value]:
    """Returns the header's `#define BOARD_NAME value` lines as {"NAME": value}, integer expressions evaluated."""
    values: dict[str, Value] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if match := _DEFINE.match(line):
            try:
                values[match[1]] = _value(_without_comment(match[2]), values)
            except (ValueError, KeyError, SyntaxError, ZeroDivisionError):
                raise UserError(
                    f"{path}:{number}: BOARD_{match[1]} is {match[2].strip()!r}; "
                    "it should be an integer expression, a 'character' or a \"string\""
                ) from None
    return values


def _without_comment(text: str) -> str:
    return _COMMENT.sub(r"\1", text).strip()


def _value(text: str, values: dict[str, Value]) -> Value:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    without_suffix = re.sub(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", text)
    return _evaluate(ast.parse(without_suffix, mode="eval").body, values)


def _evaluate(node: ast.expr, values: dict[str, Value]) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return int(values[node.id.removeprefix("BOARD_")])
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return int(_OPERATORS[type(node.op)](_evaluate(node.left, values), _evaluate(node.right, values)))
    raise ValueError("no integer expression")
