"""Instructions of the kernels of firmware/kernels beside those of CMSIS-NN, on an emulated core, by layer shape.

A model of many independent operators (operator_models.py), or each .tflite named on the command line, runs twice in the
firmware: with TFLM's kernels, and with ours. Outputs must equal those of TFLM's reference kernels.

    TFLM_DIR=... python benchmarks/kernels.py [--board mps2_an500] [--only TEXT] [--layers] [--json] [FILE.tflite ...]
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain.quiet import import_tensorflow

import_tensorflow()

from operator_models import Case, joined_model
from single_operators import groups

from tinytrain import tables
from tinytrain.benching.serial import emulator, ports
from tinytrain.deploy import boards, make, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.kernels.prepare import prepare
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.deploy.targets import makefile
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.macs import macs
from tinytrain.tflite.model import Model, Operator

ARENA_BYTES = 1_500_000


@dataclass(frozen=True)
class Run:
    """A model on the board: instructions by operator, the self test, bytes of sections, and whether outputs equal."""

    instructions: list[float]
    printed: dict[str, Any]
    flash: dict[str, int]
    equal: bool


def cases() -> Iterator[Case]:
    """Yields layer shapes as networks have them."""
    for side, first, second, stride in [(16, 3, 16, 1), (24, 3, 8, 2), (24, 3, 16, 2)]:
        yield Case("CONV_2D", (side, side, first), (3, 3), second, stride)
    for side, first, second, stride in [(8, 16, 16, 1), (8, 16, 32, 2), (8, 32, 32, 1), (4, 64, 64, 1), (5, 13, 7, 1)]:
        yield Case("CONV_2D", (side, side, first), (3, 3), second, stride)
    pairs = [(12, 8, 16), (12, 8, 48), (12, 16, 8), (12, 16, 16), (12, 16, 96), (12, 48, 8), (6, 32, 32), (6, 64, 64)]
    pairs += [
        (6, 144, 24),
        (6, 24, 144),
        (3, 128, 128),
        (3, 256, 128),
        (3, 112, 320),
        (1, 64, 16),
        (1, 16, 64),
        (7, 13, 9),
    ]
    for side, first, second in pairs:
        yield Case("CONV_2D", (side, side, first), filters=second)
    yield Case("CONV_2D", (16, 16, 16), filters=32, stride=2)
    for tap in (3, 5, 7):
        for side, channels in [(24, 4), (12, 16), (6, 32), (3, 64), (1, 64)]:
            for stride in (1, 2):
                yield Case("DEPTHWISE_CONV_2D", (side, side, channels), (tap, tap), channels, stride)
    yield from (
        Case("FULLY_CONNECTED", (count,), filters=filters)
        for count, filters in [(64, 10), (256, 2), (1280, 10), (1280, 100)]
    )
    yield from (Case("ADD", shape) for shape in [(24, 24, 8), (12, 12, 16), (6, 6, 24), (32, 32, 16)])
    yield from (Case("AVERAGE_POOL_2D", shape, shape[:2]) for shape in [(3, 3, 256), (8, 8, 64), (3, 3, 1280)])


def run(model: Model, board: boards.Board, own: bool, build: Path) -> Run:
    """Runs the model on an emulated board."""
    image = np.random.default_rng(0).integers(-128, 128, model.inputs[0].shape, np.int8)
    golden = [output[0] for output in ReferenceInterpreter(model.content).run(image)]
    contents = Contents(
        model=model,
        name="kernels",
        arena_bytes=ARENA_BYTES,
        labels=[],
        golden_input=image,
        golden_outputs=golden,
        own_kernels=own,
    )
    with tempfile.TemporaryDirectory() as folder:
        sources = makefile.write(Path(folder), board, contents)
        sizes = make.run(sources, board, make.tflm_dir(), "size", BUILD=str(build), INFERENCES="1")
        printed = self_test.parse(
            make.run(sources, board, make.tflm_dir(), "emulate", BUILD=str(build), INFERENCES="1")
        )
        program = build / f"{board.name}-tflm" / "firmware.elf"
        with emulator.running(program, board) as device:
            link, hello = ports.connect(device)
            counts = [hello.in_unit(ticks) for ticks in link.profile(image.tobytes(), len(model.operators))]
    flash = {name: int(size) for name, size in (line.split() for line in sizes.splitlines())}
    return Run(counts, printed, flash, printed["golden_equal"])


def both(model: Model, board: boards.Board, build: Path) -> tuple[Run, Run]:
    """Returns what TFLM's kernels and ours do."""
    return run(model, board, False, build), run(model, board, True, build)


def layer_row(title: str, operator: Operator, count: int, before: float, after: float) -> dict[str, Any]:
    """Returns the row of a layer; without multiply-accumulates the figures are by output."""
    divisor = count or math.prod(operator.outputs[0].shape)
    return {"layer": title, "macs": count, "cmsis_nn": round(before / divisor, 3), "ours": round(after / divisor, 3)}


def layers(board: boards.Board, only: str, build: Path) -> tuple[list[dict[str, Any]], bool]:
    """Returns the rows of the layer shapes that begin with `only`, and whether all outputs are equal."""
    rows, equal = [], True
    for group in groups([case for case in cases() if str(case).startswith(only)]):
        model = Model.parse(joined_model(group))
        runs = both(model, board, build)
        equal = equal and all(each.equal for each in runs)
        for case, operator, before, after in zip(
            group, model.operators, *(each.instructions for each in runs), strict=False
        ):
            rows.append(layer_row(str(case), operator, macs(operator), before, after))
    return rows, equal


def network(path: Path, board: boards.Board, build: Path) -> dict[str, Any]:
    """Returns the row of a whole network, with those of its layers."""
    model = Model.parse(path.read_bytes(), str(path))
    runs = both(model, board, build)
    rows = [
        layer_row(_title(operator), operator, macs(operator), before, after)
        for operator, before, after in zip(model.operators, *(each.instructions for each in runs), strict=True)
    ]
    kernels = [prepare(model, operator) for operator in model.operators]
    refused = {
        f"{operator.name}: {kernel}"
        for operator, kernel in zip(model.operators, kernels, strict=True)
        if isinstance(kernel, Refusal)
    }
    result: dict[str, Any] = {"network": path.stem, "layers": rows, "refused": sorted(refused)}
    for name, each in zip(("cmsis_nn", "ours"), runs, strict=True):
        result[name] = {
            "instructions": each.printed["inference"]["median"],
            "arena": each.printed["arena_used_bytes"],
            "start": int(each.printed["init"].split()[0]),
            "runtime_flash": sum(
                size for part, size in each.flash.items() if part in (".vectors", ".text", ".rodata", ".exidx", ".data")
            ),
            "model": each.printed["model_bytes"],
            "stack": each.printed["stack_used_bytes"],
            "equal": each.equal,
        }
    return result


def _title(operator: Operator) -> str:
    """Returns a layer as Case prints it."""
    source, target = operator.inputs[0], operator.outputs[0]
    weights = operator.inputs[1] if len(operator.inputs) > 1 else None
    window = "x".join(map(str, weights.shape[1:3])) if weights is not None and len(weights.shape) == 4 else ""
    shape = "x".join(map(str, source.shape[1:])) if source is not None else ""
    return f"{operator.name} {window} {shape} -> {'x'.join(map(str, target.shape[1:]))}"


def print_layers(rows: list[dict[str, Any]]) -> None:
    """Prints a table of layers; a row that costs more than with CMSIS-NN is marked."""
    cells = [("layer", "MACs", "CMSIS-NN", "ours", "")]
    for row in rows:
        slower = "SLOWER" if row["ours"] > row["cmsis_nn"] else ""
        cells.append((row["layer"], f"{row['macs']:,}", f"{row['cmsis_nn']:.3f}", f"{row['ours']:.3f}", slower))
    print("\n".join(tables.aligned(cells, ("<52", ">12", ">10", ">10", "<8"))), flush=True)


def print_network(row: dict[str, Any], with_layers: bool) -> None:
    """Prints a network."""
    if with_layers:
        print_layers(row["layers"])
    for name in ("cmsis_nn", "ours"):
        print(f"{row['network']:<22} {name:<9}" + "  ".join(f"{key} {value:,}" for key, value in row[name].items()))
    print("  " + "; ".join(row["refused"]), flush=True)


def main() -> int:
    """Prints the tables; exit status 1 if an output differs or a layer costs more than with CMSIS-NN."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help=".tflite files; without any, layer shapes")
    parser.add_argument("--board", default="mps2_an500", help="an emulated board: mps2_an500 or mps2_an386")
    parser.add_argument("--only", default="", help="only layer shapes that begin so")
    parser.add_argument("--layers", action="store_true", help="of networks, print each layer as well")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    options = parser.parse_args()
    if reason := make.lacking(emulator=True):
        print(reason, file=sys.stderr)
        return 2
    board = boards.load(options.board)
    networks, rows, equal = [], [], True
    with tempfile.TemporaryDirectory() as build:
        if options.files:
            for path in options.files:
                networks.append(network(path, board, Path(build)))
                print_network(networks[-1], options.layers)
        else:
            rows, equal = layers(board, options.only, Path(build))
            print_layers(rows)
    equal = equal and all(each[name]["equal"] for each in networks for name in ("cmsis_nn", "ours"))
    every = rows + [layer for each in networks for layer in each["layers"]]
    if not equal:
        print("an output differs from that of TFLM's reference kernels", file=sys.stderr)
    if options.json:
        print(json.dumps({"board": board.name, "rows": rows, "networks": networks}))
    return 0 if equal and all(row["ours"] <= row["cmsis_nn"] for row in every) else 1


if __name__ == "__main__":
    sys.exit(main())
