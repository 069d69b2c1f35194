"""`tinytrain bench`: what an export's firmware answers on a board, or in the emulator, and how long it takes.

Nothing is flashed. benching/binary_runner.py measures through the binary protocol, whose answers are right or an error,
benching/mlperf_runner.py through MLPerf's.
"""

from pathlib import Path
from typing import Any

from tinytrain import files, locks
from tinytrain.benching import binary_runner, box_sheet, connection, mlperf_runner, plot
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
    """Measures the firmware of an export; returns (bench.json, the folder written).

    Args:
        folder: what `tinytrain export` wrote.
        port: the serial port of a board that holds the firmware, or "auto"; None runs it in the emulator.
        images: how many of the test images; by default all, in the emulator as many as take about a minute.
        protocol: "binary", or "mlperf" for the text protocol of MLPerf Tiny's runner.
        out: where to write bench.json, operators.png and, of a detector, boxes.png, by default `folder`.
        window_s: the shortest window that a board's latency is measured in, by default 10 s.

    Raises:
        UserError: no export, no board, or one that holds something else; a folder that cannot be written.
        TinytrainError: the board restarted, or does not answer any more.
    """
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS)
    exported = Exported.open(Path(folder))
    if images is not None and not 1 <= images <= len(exported.inputs):
        raise UserError(f"--images {images}: expected 1 to {len(exported.inputs)}, the images of '{exported.folder}'")
    target = Path(out) if out else exported.folder
    make_folder(target)
    files.require_space(target, RESULT_BYTES, "the result", "name another folder with --out")
    with locks.held(target / f".{BENCH_FILE}.lock", f"'{target / BENCH_FILE}'"):
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
