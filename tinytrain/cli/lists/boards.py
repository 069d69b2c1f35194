"""The table of `tinytrain list boards`: what the header of each board says."""

from typing import Any

from tinytrain import tables
from tinytrain.deploy import boards
from tinytrain.deploy.boards import Board

HEADINGS = ("board", "MCU", "core", "MHz", "RAM KiB", "flash KiB", "serial port", "flashed or emulated by")
COLUMNS = ("<20", "<11", "<11", "<5", "<18", "<11", "<24", "")


def rows() -> list[dict[str, Any]]:
    """Returns one row for each board, in the order of their names.

    {"name", "mcu", "core", "clock_hz", "ram_bytes", "fast_ram_bytes", "fast_ram_is_apart", "flash_bytes", "uart",
    "uart_pins": [TX, RX], "uart_baud", "flash_tools", "debugger", "emulator"}; flash_tools are what `make flash` can
    call, the usual one first, debugger openocd's files, emulator QEMU's machine, "" for none.
    """
    return [_row(boards.load(name)) for name in boards.names()]


def as_text(table: list[dict[str, Any]]) -> list[str]:
    """Returns the table to read: a line of headings, then a line a row."""
    return tables.aligned([HEADINGS, *map(cells, table)], COLUMNS)


def _row(board: Board) -> dict[str, Any]:
    return {
        "name": board.name,
        "mcu": board.mcu,
        "core": board.core,
        "clock_hz": board.clock_hz,
        "ram_bytes": board.ram_bytes,
        "fast_ram_bytes": board.fast_ram_bytes,
        "fast_ram_is_apart": board.fast_ram_is_apart,
        "flash_bytes": board.flash_bytes,
        "uart": board.uart,
        "uart_pins": list(board.uart_pins),
        "uart_baud": board.uart_baud,
        "flash_tools": list(board.flash_tools),
        "debugger": board.debugger,
        "emulator": board.emulator.partition(" -icount")[0].removeprefix("-M "),
    }


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Returns a row as text, a cell for each of the HEADINGS."""
    ram = f"{row['ram_bytes'] // 1024}"
    if row["fast_ram_bytes"]:
        ram += f" {'+' if row['fast_ram_is_apart'] else 'with'} {row['fast_ram_bytes'] // 1024} fast"
    pins = [f"{signal} {pin}" for signal, pin in zip(("TX", "RX"), row["uart_pins"], strict=False)]
    return (
        row["name"],
        row["mcu"],
        row["core"],
        f"{row['clock_hz'] / 1e6:g}",
        ram,
        f"{row['flash_bytes'] // 1024}",
        " ".join([row["uart"], *pins]),
        ", ".join(row["flash_tools"]) or f"qemu {row['emulator']}",
    )
