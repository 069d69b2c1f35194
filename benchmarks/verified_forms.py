"""Finds the operators and forms whose outputs on the emulated Cortex-M7 equal those of TFLM's reference kernels.

A few models hold some cases of each form of single_operators.py, and of forms that only imported models have. The
output of a model consists of the outputs of all its operators. `--write` writes the table that
deploy/tflm/verified_forms.py reads.

    TFLM_DIR=... python benchmarks/verified_forms.py [--write] [--json]
"""

import argparse
import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tinytrain.quiet import import_tensorflow

import_tensorflow()

from operator_models import Case, joined_model
from single_operators import convolutions, depthwise, groups, others, stock

from tinytrain.benching.serial import emulator, ports
from tinytrain.deploy import boards, c_source, make
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.kernels.derive import derive
from tinytrain.deploy.kernels.prepare import PREPARE
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm import operators, verified_forms
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import TinytrainError
from tinytrain.tflite.model import Model

BOARD, ARENA_BYTES = "mps2_an500", 2_000_000
CASES_PER_FORM = 2
MOST_BYTES = 6_000  # of the constants of a case: larger ones take longer and show nothing new
LIBRARY, OPERATORS, KERNELS = "library", "operators", "kernels"  # what the firmware uses
COMMAND = "TFLM_DIR=... python benchmarks/verified_forms.py --write"


def imported() -> Iterator[Case]:
    """Yields forms that only imported models have, not the networks of tinytrain."""
    for channels in (8, 5):
        shape = (6, 6, channels)
        yield from (Case("CONV_2D", shape, (tap, tap), 2 * channels, 2, False) for tap in (1, 3, 5))
        yield from (Case("DEPTHWISE_CONV_2D", shape, (tap, tap), channels, 2, False) for tap in (3, 5))
        yield from (Case("CONV_2D", shape, window, channels) for window in ((1, 3), (3, 1), (1, 7), (7, 1)))
        yield from (
            Case("CONV_2D", (9, 9, channels), (3, 3), channels, same=same, dilation=2) for same in (True, False)
        )
        yield Case("DEPTHWISE_CONV_2D", (9, 9, channels), (3, 3), channels, dilation=2)
        for name in ("ADD", "MUL", "SUB"):
            for first, second in [
                (shape, (1, 1, channels)),
                (shape, (6, 6, 1)),
                (shape, (1, 1, 1)),
                ((6, 1, channels), (1, 6, channels)),
                ((1, 6, channels), (6, 1, channels)),
            ]:
                yield Case(name, first, second=second)
            yield Case(name, (6, 6, 1), second=(1, 1, 1))
        yield from (Case("TRANSPOSE", shape, second=order) for order in ((3, 1, 2), (2, 3, 1), (2, 1, 3), (1, 3, 2)))
        yield from (Case("MAX_POOL_2D", shape, (tap, tap), stride=stride) for tap, stride in ((3, 2), (2, 1), (3, 1)))
        yield from (Case("AVERAGE_POOL_2D", shape, window) for window in ((6, 1), (1, 6), (2, 2)))
        yield Case("AVERAGE_POOL_2D", shape, (3, 3), stride=2)
        yield Case("FULLY_CONNECTED", (channels,), filters=3)
        yield Case("MUL", shape)
        yield from (Case(name, (channels,)) for name in ("ADD", "MUL", "LOGISTIC", "HARD_SWISH", "TANH"))


def doubtful() -> Iterator[Case]:
    """Yields cases of a form in which TFLM is known to give some wrong outputs."""
    for tap, stride in ((2, 2), (3, 1), (3, 2), (4, 2), (5, 2), (4, 1)):
        yield from (Case("TRANSPOSE_CONV", (6, 6, channels), (tap, tap), 6, stride) for channels in (8, 5))


def sample(cases: Iterator[Case]) -> list[Case]:
    """Returns at most CASES_PER_FORM cases of each form, at even distances."""
    by_form: dict[tuple[object, ...], list[Case]] = defaultdict(list)
    for case in cases:
        is_global = case.window == case.shape[:2]
        key = (case.name, "global" if is_global else case.window, case.stride, case.same, case.pad, len(case.shape))
        if case.constant_bytes <= MOST_BYTES:
            by_form[(*key, case.filters > case.shape[-1], tuple(side == 1 for side in case.second))].append(case)
    samples = [np.unique(np.linspace(0, len(group) - 1, CASES_PER_FORM).astype(int)) for group in by_form.values()]
    return [group[i] for group, indices in zip(by_form.values(), samples, strict=True) for i in indices]


def run(cases: list[Case], own: str, build: Path) -> dict[str, list[str]]:
    """Returns {form: [verdict of each of its cases]}, from one program.

    Args:
        cases: the operators of the program.
        own: what may be used instead of the library: LIBRARY nothing, OPERATORS the firmware's own operators, KERNELS
            those of firmware/kernels, of which alone the forms are returned then.
        build: a folder for the build.
    """
    graph = Model.parse(joined_model(cases))
    ours = derive(graph).ours if own == KERNELS else set()
    kinds = operators.registrations(graph.operators)
    if own == LIBRARY:
        kinds = {name: _library(name, graph) if kind == "own" else kind for name, kind in kinds.items()}
    image = np.random.default_rng(0).integers(-128, 128, graph.inputs[0].shape, np.int8)
    expected = ReferenceInterpreter(graph.content).run(image)[0][0].reshape(-1)
    try:
        output = _on_board(graph, None if ours else kinds, image, expected, build)
    except TinytrainError as error:
        print(f"  {', '.join(map(str, cases[:3]))} …: {error}", file=sys.stderr)
        output = None
    verdicts: dict[str, list[str]] = defaultdict(list)
    start = 0
    for number, operator in enumerate(graph.operators[: len(cases)]):
        end = start + math.prod(operator.outputs[0].shape)
        equal = output is not None and bool((output[start:end] == expected[start:end]).all())
        verdict = (
            verified_forms.EQUAL if equal else verified_forms.REFUSED if output is None else verified_forms.DIFFERENT
        )
        if number in ours or not ours:
            kind = verified_forms.KERNEL if number in ours else kinds[operator.name]
            verdicts[verified_forms.of(operator, kind)].append(verdict)
        start = end
    return verdicts


def _library(name: str, graph: Model) -> str:
    """Returns the library's kind of an operator: "int8" if all of its uses are int8, else "general"."""
    uses = [operator for operator in graph.operators if operator.name == name]
    return "int8" if all(map(operators.is_int8, uses)) else "general"


def _on_board(
    model: Model, kinds: dict[str, str] | None, image: np.ndarray, expected: np.ndarray, build: Path
) -> np.ndarray:
    """Returns the output (bytes,) int8 of the model on the emulated board; without `kinds`, of kernels of ours."""
    board = boards.load(BOARD)
    with tempfile.TemporaryDirectory() as folder:
        sources = bare_metal.write(
            Path(folder),
            board,
            Contents(
                model=model,
                name="forms",
                arena_bytes=ARENA_BYTES,
                labels=[],
                golden_input=image,
                golden_outputs=[expected],
                own_kernels=kinds is None,
            ),
        )
        if kinds is not None:
            (sources / "model" / "model_ops.h").write_text(c_source.ops_header(kinds))
        program = make.build(sources, board, make.tflm_dir(), build)
        with emulator.running(program, board) as device:
            link, _ = ports.connect(device)
            return np.frombuffer(link.infer(image.tobytes(), output_bytes=expected.size).outputs, np.int8)


def table(verdicts: dict[str, list[str]]) -> str:
    """Returns the text of verified_forms.txt: form, worst verdict, number of cases."""
    rows = []
    for form, of_form in sorted(verdicts.items()):
        worst = next(
            (verdict for verdict in (verified_forms.REFUSED, verified_forms.DIFFERENT) if verdict in of_form),
            verified_forms.EQUAL,
        )
        rows.append(f"{form}\t{worst}\t{len(of_form)}\n")
    head = f"# Written by `{COMMAND}` ({BOARD}, TFLM of August 2026 with CMSIS-NN).\n# form\tverdict\tcases\n"
    return head + "".join(rows)


def main() -> int:
    """Prints the table; exit status 1 if an operator of the firmware itself gives a wrong output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"replace {verified_forms.TABLE.name}")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    options = parser.parse_args()
    if reason := make.lacking(emulator=True):
        print(reason, file=sys.stderr)
        return 2
    common = sample(case for cases in (convolutions(), depthwise(), others(), imported()) for case in cases)
    # The firmware uses its own ADD and MUL only if no use in the model broadcasts, so those that do get other programs.
    plain = [case for case in common if case.name not in ("ADD", "MUL") or not case.second or case.second[:2] == (1, 1)]
    own = [case for case in plain if not (case.name == "ADD" and case.second) and case.second != (1, 1, 1)]
    own = [case for case in own if case.name != "AVERAGE_POOL_2D" or case.window == case.shape[:2]]
    library = [*(case for case in common if case not in own), *sample(stock())]
    programs = [(group, OPERATORS) for group in groups(own)] + [(group, LIBRARY) for group in groups(library)]
    programs += [(group, KERNELS) for group in groups([case for case in common if case.name in PREPARE])]
    verdicts: dict[str, list[str]] = defaultdict(list)
    transpose = Case("TRANSPOSE", (3, 4, 2, 5), second=(1, 4, 2, 3))  # the program stops at it
    programs += [(list(doubtful()), OPERATORS), ([transpose], OPERATORS)]
    with tempfile.TemporaryDirectory() as build:  # shared, so that only what depends on the model is built again
        for number, (cases, kind) in enumerate(programs, 1):
            print(f"program {number} of {len(programs)}: {len(cases)} operators", file=sys.stderr, flush=True)
            for form, of_form in run(cases, kind, Path(build)).items():
                verdicts[form] += of_form
            if options.write:
                verified_forms.TABLE.write_text(table(verdicts), "utf-8")
    print(table(verdicts), end="")
    if options.json:
        print(json.dumps({"board": BOARD, "forms": verdicts}))
    return (
        1
        if any(
            form.split()[1] in ("own", verified_forms.KERNEL) and set(of_form) != {verified_forms.EQUAL}
            for form, of_form in verdicts.items()
        )
        else 0
    )


if __name__ == "__main__":
    sys.exit(main())
