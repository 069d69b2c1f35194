"""Instructions of single operators: counts on an emulated core beside the predictions of deploy/tflm/instructions.py.

A few models hold about a hundred operators each (operator_models.py), and the firmware's profile counts each of them:
with TFLM's kernels. Those of firmware/kernels run alone (alone.py) and need no TFLM.
`--fit` prints the coefficients that fit the counts, in the form of
deploy/tflm/instructions.py and deploy/kernels/counts.py.

    TFLM_DIR=... python benchmarks/single_operators.py [--board mps2_an500] [--kernels own] [--quick] [--fit] [--json]
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain.quiet import import_tensorflow

import_tensorflow()

import alone
from embedded_model import embed
from operator_models import Case, model
from scipy.optimize import nnls

from tinytrain import tables
from tinytrain.benching.serial import emulator, ports
from tinytrain.deploy import boards, c_source, make
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.kernels import counts
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.prepare import PREPARE, prepare
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm import cmsis_nn_counts, instructions, operators
from tinytrain.tflite.model import Model

ARENA_BYTES = 1_000_000
MODEL_BYTES, MODEL_CASES = 2_000_000, 110  # at most in one program: each memory of the emulated board has 4 MB
QUICK = 13  # every 13th operator
SHAPES = [(1, 1, 8), (1, 1, 240), (3, 3, 96), (7, 7, 40), (12, 12, 24), (20, 20, 16), (32, 32, 16)]
KERNELS = ("tflm", "stock", "own")  # TFLM's, with the firmware's own code for OWN and without, and firmware/kernels
OWN = ("ADD", "MUL", "AVERAGE_POOL_2D", "HARD_SWISH", "LOGISTIC", "TANH")  # of the firmware; TFLM's are counted too


@dataclass(frozen=True)
class Counted:
    """An operator: its counted and predicted instructions (None: no coefficients), which code ran it, and the counts.

    The counts are what the coefficients of its route multiply.
    """

    case: Case
    route: str
    counts: tuple[float, ...]
    instructions: float
    predicted: float | None


def convolutions() -> Iterator[Case]:
    """Yields 1x1 convolutions, then larger windows."""
    pairs = [(8, 8), (8, 48), (16, 32), (24, 144), (30, 17), (32, 32), (40, 240), (48, 16), (96, 24), (160, 64)]
    for side in (1, 3, 5, 6, 7, 9, 12):
        yield from (Case("CONV_2D", (side, side, first), filters=second) for first, second in pairs)
    for side in (8, 9, 14):
        yield from (Case("CONV_2D", (side, side, c), filters=2 * c, stride=2) for c in (16, 24, 32))
    pairs = [(1, 8), (3, 8), (3, 32), (4, 5), (8, 8), (16, 16), (16, 32), (13, 20), (24, 10)]
    for tap in (2, 3, 5, 7):
        for side, stride, same in [(6, 1, True), (9, 1, True), (9, 2, True), (9, 1, False), (16, 1, True)]:
            for first, second in pairs:
                yield Case("CONV_2D", (side, side, first), (tap, tap), second, stride, same)


def depthwise() -> Iterator[Case]:
    """Yields depthwise convolutions, the last ones with several filters for each channel."""
    for tap in (3, 4, 5, 7):
        for side in (1, 2, 3, 4, 6, 7, 10, 20):
            for channels in (3, 8, 24, 30, 96) if side < 20 else (8, 24):
                for stride, same in ((1, True), (2, True), (1, False)):
                    if (same or side >= tap) and (stride == 1 or side > 1):
                        yield Case("DEPTHWISE_CONV_2D", (side, side, channels), (tap, tap), channels, stride, same)
    for side in (6, 12):
        for first, second in ((1, 8), (1, 64), (3, 6), (3, 24), (2, 16)):
            yield from (Case("DEPTHWISE_CONV_2D", (side, side, first), (tap, tap), second) for tap in (3, 5))


def others() -> Iterator[Case]:
    """Yields the other operators, with the firmware's own code for those that have one."""
    for values in (8, 16, 64, 130, 256, 640, 1280):
        yield from (Case("FULLY_CONNECTED", (values,), filters=count) for count in (2, 5, 10, 32, 101, 200))
    names = ["ADD", "SUB", "MEAN", "CONCATENATION", "RESHAPE", "RELU", "RELU6", "QUANTIZE"]
    for name in (*names, "HARD_SWISH", "LOGISTIC", "TANH"):
        yield from (Case(name, shape) for shape in SHAPES)
    for shape in SHAPES:
        yield Case("AVERAGE_POOL_2D", shape, shape[:2])
        yield from (Case("PAD", shape, pad=pad) for pad in (1, 3))
        yield Case("RESIZE_NEAREST_NEIGHBOR", shape, stride=2)
        if shape[0] > 1:
            yield Case("MUL", shape, second=(1, 1, shape[2]))
            yield Case("MAX_POOL_2D", shape, (2, 2), stride=2)
    yield from (Case("SOFTMAX", (count,)) for count in (2, 10, 100, 1000))


def stock() -> Iterator[Case]:
    """Yields operators for TFLM's code: those that the firmware has its own code for, and those that only TFLM has."""
    for shape in SHAPES:
        yield from (Case(name, shape) for name in OWN if name != "AVERAGE_POOL_2D")
        yield Case("AVERAGE_POOL_2D", shape, shape[:2])
        if shape[0] > 3:
            yield from (Case("AVERAGE_POOL_2D", shape, (tap, tap), stride=stride) for tap, stride in ((2, 2), (3, 1)))
        if shape[0] > 1:
            yield from (Case(name, shape, second=(1, 1, shape[2])) for name in ("ADD", "MUL"))


def cases_of(kernels: str) -> list[Case]:
    """Returns the operators that are counted with one of KERNELS."""
    if kernels == "own":
        return own()
    return list(stock()) if kernels == "stock" else [*convolutions(), *depthwise(), *others()]


def own() -> list[Case]:
    """Returns operators for the kernels of firmware/kernels, each with one of their three roundings."""
    cases = [*convolutions(), *(case for case in depthwise() if case.window[0] % 2 and case.filters == case.shape[2])]
    cases += [case for case in others() if case.name in PREPARE]
    for side, channels in ((33, 8), (48, 16), (80, 4), (96, 9)):  # several bands
        for tap, stride in ((3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (7, 2)):
            cases.append(Case("DEPTHWISE_CONV_2D", (side, side, channels), (tap, tap), channels, stride))
    shapes = [*SHAPES, (5, 5, 9), (7, 7, 30), (12, 12, 3)]
    cases += [Case("AVERAGE_POOL_2D", shape, (2, 2), stride=2) for shape in shapes if shape[0] > 1]
    cases += [Case("AVERAGE_POOL_2D", shape, shape[:2]) for shape in shapes[len(SHAPES) :]]
    roundings = ({"zero": -128}, {}, {"relu": True})
    drawn = np.random.default_rng(0).integers(len(roundings), size=len(cases)).tolist()
    cases = [replace(case, **roundings[number]) for case, number in zip(cases, drawn, strict=True)]
    return cases + [Case("ADD", shape, **rounding) for shape in SHAPES for rounding in roundings]


def count_own(cases: list[Case], board: boards.Board) -> list[Counted]:
    """Returns the instructions of the cases that kernels of ours run, alone on an emulated board."""
    graph = Model.parse(model(cases))
    kernels = [prepare(graph, operator) for operator in graph.operators]
    pairs = [(case, kernel) for case, kernel in zip(cases, kernels, strict=True) if isinstance(kernel, Kernel)]
    numbers = alone.counted([kernel for _, kernel in pairs], board)
    return [
        Counted(case, counts.route(kernel), counts.counts(kernel), number, counts.alone(kernel))
        for (case, kernel), number in zip(pairs, numbers, strict=True)
    ]


def count(cases: list[Case], board: boards.Board, build: Path, general: bool) -> list[Counted]:
    """Returns the instructions of each case on an emulated board, with `general` by TFLM's code only."""
    graph = Model.parse(model(cases))
    kinds = dict.fromkeys(graph.counts, "general") if general else operators.registrations(graph.operators)
    numbers = profile(graph, board, build, kinds)
    return [
        Counted(
            case,
            cmsis_nn_counts.route(operator, kinds[operator.name]),
            cmsis_nn_counts.counts(operator, kinds[operator.name]),
            number,
            instructions.predict(operator, kinds[operator.name]),
        )
        for case, operator, number in zip(cases, graph.operators, numbers, strict=True)
    ]


def profile(graph: Model, board: boards.Board, build: Path, kinds: dict[str, str]) -> list[float]:
    """Returns the instructions of each operator on an emulated board, registered as `kinds` say."""
    source, target = (np.zeros(tensors[0].shape, np.int8) for tensors in (graph.inputs, graph.outputs))
    with tempfile.TemporaryDirectory() as folder:
        sources = bare_metal.write(
            Path(folder),
            board,
            Contents(
                model=graph,
                name="single operators",
                arena_bytes=ARENA_BYTES,
                labels=[],
                golden_input=source,
                golden_outputs=[target],
            ),
        )
        embed(sources)
        (sources / "model" / "model_ops.h").write_text(c_source.ops_header(kinds))
        with emulator.running(make.build(sources, board, make.tflm_dir(), build), board) as device:
            link, hello = ports.connect(device)
            return [hello.in_unit(ticks) for ticks in link.profile(source.tobytes(), len(graph.operators))]


def groups(cases: list[Case]) -> Iterator[list[Case]]:
    """Yields the cases in groups, each of which fits one program."""
    group: list[Case] = []
    for case in cases:
        is_full = sum(other.constant_bytes for other in group) + case.constant_bytes > MODEL_BYTES
        if group and (is_full or len(group) == MODEL_CASES):
            yield group
            group = []
        group.append(case)
    yield group


def fitted(counted: list[Counted]) -> np.ndarray:
    """Returns the coefficients of one route, none below 0, with the least squares of the relative errors."""
    rows = np.array([(1, *case.counts) for case in counted], float)
    weights = 1 / np.array([case.instructions for case in counted])
    result = np.zeros(rows.shape[1])
    used = rows.any(axis=0)
    result[used] = nnls(rows[:, used] * weights[:, None], np.ones(len(counted)))[0]
    return result


def errors_of(route: str, counted: list[Counted]) -> dict[str, Any]:
    """Returns the row of a route: the errors of the prediction, and the operator with the largest one."""
    errors = np.array([case.predicted / case.instructions - 1 for case in counted])
    worst = counted[int(np.abs(errors).argmax())]
    return {
        "route": route,
        "operators": len(counted),
        "lowest_error_percent": round(100 * float(errors.min()), 1),
        "rms_error_percent": round(100 * float(np.sqrt((errors**2).mean())), 1),
        "highest_error_percent": round(100 * float(errors.max()), 1),
        "worst": str(worst.case),
        "counted_instructions": round(worst.instructions),
        "predicted_instructions": round(worst.predicted),
    }


def main() -> int:
    """Prints a row for each route, with the operator that has the largest error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="mps2_an500", help="an emulated board: mps2_an500, mps2_an386 or mps2_an505")
    parser.add_argument("--kernels", choices=KERNELS, help="only the operators with these kernels")
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK}th operator")
    parser.add_argument("--fit", action="store_true", help="print the coefficients that fit the counts")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    options = parser.parse_args()
    if reason := make.lacking(emulator=True, tflm=options.kernels != "own"):
        print(reason, file=sys.stderr)
        return 2
    board, step = boards.load(options.board), QUICK if options.quick else 1
    counted: list[Counted] = []
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder)
        for kernels in [options.kernels] if options.kernels else KERNELS:
            for group in groups(cases_of(kernels)[::step]):
                if kernels == "own":
                    counted += count_own(group, board)
                else:
                    counted += count(group, board, build, general=kernels == "stock")
    routes: dict[str, list[Counted]] = {}
    for case in counted:
        routes.setdefault(case.route, []).append(case)
    rows = [errors_of(route, of_route) for route, of_route in routes.items()]
    cells = [("route", "operators", "error of the prediction", "", "worst: counted, predicted")]
    for row in rows:
        low, mean, high = (row[f"{key}_error_percent"] for key in ("lowest", "rms", "highest"))
        text = f"{low:+.1f} to {high:+.1f} %, rms {mean:.1f}"
        numbers = f"{row['counted_instructions']:,}, {row['predicted_instructions']:,}"
        cells.append((row["route"], str(row["operators"]), text, "", f"{row['worst']}: {numbers}"))
    print("\n".join(tables.aligned(cells, ("<36", ">10", ">30", "<2", ""))))
    if options.fit:
        for route, of_route in routes.items():
            print(f'    "{route}": ({", ".join(f"{value:.4g}" for value in fitted(of_route))}),')
    if options.json:
        print(json.dumps({"board": board.name, "rows": rows}))
    return 0 if all(math.isfinite(row["rms_error_percent"]) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
