"""`tinytrain bench`: what an export's firmware answers on a board, or in the emulator, and how long it takes.

Nothing is flashed. bench_binary.py measures through the binary protocol, whose answers are right or an error,
bench_mlperf.py through MLPerf's.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinytrain import files, locks
from tinytrain.benching import binary, mlperf_runner, plot
from tinytrain.benching.serial import emulator, ports
from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.messages import Hello
from tinytrain.benching.serial.requests import BoardRestarted
from tinytrain.deploy import boards, firmware
from tinytrain.deploy.exported import BENCH_FILE, PICTURE_FILE, Exported
from tinytrain.errors import UserError, unknown
from tinytrain.files import make_folder, write_atomically, write_json

PROTOCOLS = ("binary", "mlperf")
WINDOW_S = 10.0
RESULT_BYTES = 200_000  # of bench.json and operators.png
_EMULATOR_PATIENCE_S = 5.0  # nothing is lost there, but other programs may slow it down


def bench(
    folder: Path | str,
    port: str | None = None,
    images: int | None = None,
    protocol: str = "binary",
    out: Path | str | None = None,
    window_s: float | None = None,
) -> tuple[dict[str, Any], Path]:
    """Measures the firmware of an export; returns (bench.json, the folder written).

    Args:
        folder: what `tinytrain export` wrote.
        port: the serial port of a board that holds the firmware, or "auto"; None runs it in the emulator.
        images: how many of the test images; by default all, in the emulator as many as take about a minute.
        protocol: "binary", or "mlperf" for the text protocol of MLPerf Tiny's runner.
        out: where to write bench.json and operators.png, by default `folder`.
        window_s: the shortest window that a board's latency is measured in, by default 10 s.

    Raises:
        UserError: no export, no board, or one that holds something else; a folder that cannot be written.
        TinytrainError: the board restarted, or does not answer any more.
    """
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS)
    exported = Exported.open(Path(folder))
    target = Path(out) if out else exported.folder
    make_folder(target)
    files.require_space(target, RESULT_BYTES, "the result", "name another folder with --out")
    _refuse_count(images, exported)
    names = [operator.name for operator in exported.summary.operators]
    with locks.held(target / f".{BENCH_FILE}.lock", f"'{target / BENCH_FILE}'"):
        with _board(exported, port) as (link, hello), _operator_named(names):
            refuse_another_model(hello, exported, link.port.port)
            measure = mlperf_runner.measure if protocol == "mlperf" else binary.measure
            result = measure(link, hello, exported, images, WINDOW_S if window_s is None else window_s)
        write_json(target / BENCH_FILE, result)
        if "profile" in result:
            write_atomically(target / PICTURE_FILE, lambda file: plot.draw(result, file))
    return result, target


def refuse_another_model(hello: Hello, exported: Exported, device: str) -> None:
    """Raises UserError unless the board holds exactly the model of the export."""
    size_of_input, size_of_output = exported.inputs[0].size, exported.outputs[0].size
    expected = (exported.model_crc, len(exported.model), size_of_input, size_of_output)
    if (hello.model_crc, hello.model_bytes, hello.input_bytes, hello.output_bytes) != expected:
        raise UserError(
            f"the board on {device} ({hello.board}) holds another model, '{hello.model}' of {hello.model_bytes:,} "
            f"bytes with CRC-32 {hello.model_crc:08x}, expected {len(exported.model):,} bytes with "
            f"{exported.model_crc:08x}: make -C {shlex.quote(str(exported.sources))} TFLM_DIR=… flash"
        )


def _refuse_count(images: int | None, exported: Exported) -> None:
    if images is not None and not 1 <= images <= len(exported.inputs):
        raise UserError(f"--images {images}: expected 1 to {len(exported.inputs)}, the images of '{exported.folder}'")


@contextmanager
def _board(exported: Exported, port: str | None) -> Iterator[tuple[BoardLink, Hello]]:
    """Gives the board on `port`, or the emulated one without; leaves it at the rate of its start."""
    if port is not None:
        with _linked(port) as found:
            yield found
        return
    if why := firmware.lacking(emulator=True):
        raise UserError(f"the firmware cannot be emulated here: {why}; or name a board's port with --port")
    board = boards.load(exported.report["board"])
    twin = boards.emulated_board(board)
    if twin is None:
        raise UserError(
            f"no emulated board has the {board.core} of {board.name}: name the port of a real one with --port"
        )
    with (
        emulator.emulated(exported.sources, twin, firmware.tflm_dir()) as device,
        _linked(device, _EMULATOR_PATIENCE_S) as found,
    ):
        yield found


@contextmanager
def _linked(port: str, patience_s: float = 0.3) -> Iterator[tuple[BoardLink, Hello]]:
    link, hello = ports.connect(port, patience_s)
    try:
        yield link, hello
    finally:
        link.restore_baud()
        link.port.close()


@contextmanager
def _operator_named(names: list[str]) -> Iterator[None]:
    """Adds to "it hung in operator 12" which one that is."""
    try:
        yield
    except BoardRestarted as error:
        number = re.search(r"hung in operator (\d+)", str(error))
        if not number or int(number[1]) >= len(names):
            raise
        named = str(error).replace(number[0], f"{number[0]} ({names[int(number[1])]})", 1)
        raise BoardRestarted(named) from None
