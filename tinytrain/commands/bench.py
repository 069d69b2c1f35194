"""`tinytrain bench`: what an export answers on a board, in the emulator or on this CPU, and how long it takes.

Nothing is flashed. benching/binary_runner.py measures through the binary protocol, whose answers are right or an error,
benching/mlperf_runner.py through MLPerf's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinytrain import files, locks
from tinytrain.benching import binary_runner, box_sheet, connection, mlperf_runner, plot
from tinytrain.benching.cpu import runner, timing
from tinytrain.deploy.cpu import exported as cpu_exported
from tinytrain.deploy.cpu import runtimes
from tinytrain.deploy.cpu.exported import CpuExport
from tinytrain.deploy.exported import BENCH_FILE, BOXES_FILE, PICTURE_FILE, Exported
from tinytrain.errors import UserError, unknown
from tinytrain.files import make_folder, write_atomically, write_json

PROTOCOLS = {"binary": binary_runner.measure, "mlperf": mlperf_runner.measure}
WINDOW_S = 10.0
RESULT_BYTES = 1_000_000  # of bench.json, operators.png and boxes.png


def bench(
    folder: Path | str,
    port: str | None = None,
    images: int | None = None,
    protocol: str = "binary",
    out: Path | str | None = None,
    window_s: float | None = None,
) -> tuple[dict[str, Any], Path]:
    """Measures an export; returns (bench.json, the folder written).

    Args:
        folder: what `tinytrain export` wrote. One for a CPU is measured here, by its runtime; `port`, `images` and
            `protocol` apply only to boards.
        port: the serial port of a board that holds the firmware, or "auto"; None runs it in the emulator.
        images: how many of the test images; by default all, in the emulator as many as take about a minute.
        protocol: "binary", or "mlperf" for the text protocol of MLPerf Tiny's runner.
        out: where to write bench.json, operators.png and, of a detector, boxes.png, by default `folder`.
        window_s: the shortest window that a board's latency is measured in, by default 10 s; on a CPU 1 s.

    Raises:
        UserError: no export, no board, or a board with another model; a folder that cannot be written.
        TinytrainError: the board restarted, or no longer answers.
    """
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS)
    if cpu_exported.is_there(Path(folder)):
        return _bench_cpu(Path(folder), port, images, protocol, out, window_s)
    exported = Exported.open(Path(folder))
    if images is not None and not 1 <= images <= len(exported.inputs):
        raise UserError(f"--images {images}: expected 1 to {len(exported.inputs)}, the images of '{exported.folder}'")
    target = Path(out) if out else exported.folder
    with _writing(target):
        with connection.board(exported, port) as (link, hello):
            window_s = WINDOW_S if window_s is None else window_s
            result = PROTOCOLS[protocol](link, hello, exported, images, window_s)
        write_json(target / BENCH_FILE, result)
        if "profile" in result:
            write_atomically(target / PICTURE_FILE, lambda file: plot.draw(result, file))
        if "boxes" in result:
            rows, classes = box_sheet.rows(result, exported), exported.report.get("classes", [])
            write_atomically(target / BOXES_FILE, lambda file: box_sheet.draw(rows, classes, file))
    return result, target


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Makes the folder of the result, and keeps other processes out of its bench.json inside the block."""
    make_folder(target)
    files.require_space(target, RESULT_BYTES, "the result", "name another folder with --out")
    with locks.held(target / f".{BENCH_FILE}.lock", f"'{target / BENCH_FILE}'"):
        yield


def _bench_cpu(
    folder: Path, port: str | None, images: int | None, protocol: str, out: Path | str | None, window_s: float | None
) -> tuple[dict[str, Any], Path]:
    """Measures an export for a CPU; the arguments are those of `bench`."""
    given = {"--port": port, "--images": images, "--protocol": protocol if protocol != "binary" else None}
    if refused := [flag for flag, value in given.items() if value is not None]:
        raise UserError(
            f"{', '.join(refused)} applies only to a board; '{folder}' is an export for a CPU, which is measured here"
        )
    exported = CpuExport.open(folder)
    runtimes.require(exported.runtime)
    target = Path(out) if out else folder
    with _writing(target):
        result = runner.measure(exported, timing.WINDOW_S if window_s is None else window_s)
        write_json(target / BENCH_FILE, result)
    return result, target
