"""Networks compiled to C in the emulated firmware: arena, flash, start-up and instructions, plain and with fused rows.

    python benchmarks/compiled.py [--board mps2_an500] FILE.tflite ...

Each golden output must equal that of TFLM's interpreter. Needs compiler and emulator, and no library.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tinytrain import tables
from tinytrain.deploy import boards, make, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled import c_graph
from tinytrain.deploy.compiled.fused import Group
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.compiled.plan import Plan, plan
from tinytrain.deploy.targets import makefile
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip

PLAIN = 2**40  # bytes of an arena that keep the planner from fusing anything


def write(folder: Path, board: boards.Board, compiled: Plan, name: str) -> Path:
    """Writes the firmware of a compiled network and returns its folder; the golden case is noise."""
    model = compiled.network.model
    image = np.random.default_rng(0).integers(-128, 128, model.inputs[0].shape).astype(np.int8)
    golden = [output[0] for output in ReferenceInterpreter(model.content).run(image)]
    contents = Contents(model, name, compiled.arena_bytes, [], image, golden)
    sources = makefile.write(folder, board, contents)
    (sources / "model" / "model_graph.c").write_text(c_graph.source(compiled), "utf-8")
    return sources


def measure(compiled: Plan, board: boards.Board, name: str) -> dict[str, Any]:
    """Returns the row of a network."""
    with tempfile.TemporaryDirectory() as folder:
        sources = write(Path(folder), board, compiled, name)
        sizes = make.run(sources, board, None, "size", ENGINE="compiled", INFERENCES="1")
        printed = self_test.parse(make.run(sources, board, None, "emulate", ENGINE="compiled", INFERENCES="1"))
    flash = {section: int(size) for section, size in (line.split() for line in sizes.splitlines())}
    return {
        "network": name,
        "board": board.name,
        "equal": printed["golden_equal"],
        "arena": compiled.arena_bytes,
        "peak at step": f"{compiled.peak} of {len(compiled.steps)}",
        "groups": sum(isinstance(step, Group) for step in compiled.steps),
        "model": flash[".model"],
        "flash beside it": sum(flash.get(f".{name}", 0) for name in ("vectors", "text", "rodata", "exidx", "data")),
        "start": printed["init"],
        "instructions": printed["inference"]["median"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", action="append")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    rows = []
    for path in options.files:
        compiled = network(strip(Model.parse(path.read_bytes(), str(path))))
        for limit in (PLAIN, 0):
            for board in options.board or ["mps2_an500"]:
                rows.append(measure(plan(compiled, limit), boards.load(board), path.stem))
                print(rows[-1], flush=True)
    cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    print("\n".join(tables.aligned(cells, ["<"] * len(rows[0]), "  ")))


if __name__ == "__main__":
    main()
