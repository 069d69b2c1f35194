"""What the kernels of firmware/kernels cost beside TFLM's: by layer shape and for whole networks, on an emulated core.

Layer shapes (a model of many independent operators, operator_models.py), the networks of cost.py and each .tflite named
on the command line run in the firmware with CMSIS-NN's kernels and with ours; with TFLM_REFERENCE_DIR, a library built
without OPTIMIZED_KERNEL_DIR, also with TFLM's reference kernels. Outputs must equal those of TFLM's interpreter on this
machine. Of a network it prints instructions of an inference, the arena, flash without the model and start-up, then
what LIMITS asks for and every layer that costs more than with CMSIS-NN. `--tinyengine` adds the kernels of a checkout
of mit-han-lab/tinyengine (tinyengine.py).

    TFLM_DIR=... python benchmarks/kernels.py [--board mps2_an500] [--only TEXT] [--small] [--images N] [--layers]
                                              [--tinyengine FOLDER] [--json] [FILE.tflite ...]
"""

import argparse
import json
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain.quiet import import_tensorflow

import_tensorflow()

import tinyengine
from cost import NETWORKS, images, network
from embedded_model import embed
from kernel_cases import cases, small_maps
from kernel_tables import COLUMNS, KEYS, is_slower, markdown, print_layers, print_network
from operator_models import Case, joined_model
from single_operators import groups

from tinytrain import tables
from tinytrain.benching.serial import emulator, ports
from tinytrain.deploy import boards, c_source, make, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.kernels.prepare import prepare
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.quantize import convert, tf_keras_clone
from tinytrain.tflite.macs import macs
from tinytrain.tflite.model import Model, Operator
from tinytrain.tflite.strip import strip

ARENA_BYTES = 1_500_000
SMALL = ("mobilenet_v2", {"width": 0.35, "resolution": 32})  # whose start-up has a limit
LIMITS = [  # issue 18, on mps2_an500
    ("resnet8 1 at 32", "instructions", 16_000_000),
    ("mobilenet_v1 0.25 at 96", "instructions", 11_500_000),
    ("mobilenet_v2 0.35 at 96", "instructions", 23_000_000),
    ("mcunet 1 at 96", "instructions", 60_000_000),
    ("mobilenet_v3_small 0.35 at 96", "instructions", 9_000_000),
    ("mobilenet_v2 0.35 at 96", "arena", 140_000),
    ("mobilenet_v1 0.25 at 96", "arena", 75_000),
    ("mobilenet_v2 0.35 at 96", "runtime", 44_024),
    ("mobilenet_v2 0.35 at 32", "start", 1_000_000),
]


@dataclass(frozen=True)
class Engine:
    """Whose kernels run: TFLM's library, whether ours are taken, and whether others are registered as TFLM does."""

    name: str
    tflm: Path
    own_kernels: bool = False
    stock: bool = False


def engines() -> list[Engine]:
    """Returns the engines that this machine has libraries for."""
    tflm, reference = make.tflm_dir(), os.environ.get("TFLM_REFERENCE_DIR")
    if tflm is None:
        raise AssertionError("make.lacking was not asked")
    found = [Engine("CMSIS-NN", tflm), Engine("ours", tflm, own_kernels=True)]
    return [Engine("reference", Path(reference).absolute(), stock=True), *found] if reference else found


@dataclass(frozen=True)
class Run:
    """A model on the board: instructions by operator, the figures of KEYS, and how many images have other outputs."""

    instructions: list[float]
    figures: dict[str, int]
    different: int


def run(model: Model, board: boards.Board, engine: Engine, build: Path, count: int) -> Run:
    """Runs the model on `count` images on an emulated board."""
    images = noise(count, model.inputs[0].shape)
    expected = ReferenceInterpreter(model.content).run(images)
    image, golden = images[:1], [output[0] for output in expected]
    contents = Contents(
        model=model,
        name="kernels",
        arena_bytes=ARENA_BYTES,
        labels=[],
        golden_input=image,
        golden_outputs=golden,
        own_kernels=engine.own_kernels,
    )
    with tempfile.TemporaryDirectory() as folder:
        sources, output = bare_metal.write(Path(folder), board, contents), build / engine.name
        embed(sources)
        be_patient(sources / "platform" / "boards" / f"{board.name}.h")
        if engine.stock:
            header = c_source.ops_header(dict.fromkeys(model.counts, "general"))
            (sources / "model" / "model_ops.h").write_text(header)
        settings = {"BUILD": str(output), "INFERENCES": "1", "TIMEOUT_S": "1100"}  # of the reference kernels
        printed = self_test.parse(make.run(sources, board, engine.tflm, "emulate", **settings))
        program = output / f"{board.name}-tflm" / "firmware.elf"
        with emulator.running(program, board) as device:
            link, hello = ports.connect(device)
            counts = [hello.in_unit(ticks) for ticks in link.profile(image.tobytes(), len(model.operators))]
            different = 0
            for number, each in enumerate(images):
                outputs = b"".join(output[number].tobytes() for output in expected)
                different += link.infer(each.tobytes(), output_bytes=len(outputs)).outputs != outputs
    figures = {
        "instructions": printed["inference"]["median"],
        "arena": printed["arena_used_bytes"],
        "runtime": runtime_bytes(program.with_name("firmware.map")),
        "model": printed["model_bytes"],
        "start": int(printed["init"].split()[0]),
        "stack": printed["stack_used_bytes"],
    }
    return Run(counts, figures, different + (not printed["golden_equal"]))


def be_patient(header: Path) -> None:
    """Lets a board's watchdog wait a minute: an operator of TFLM's reference kernels may take 10 s of its clock."""
    text = header.read_text()
    patient = re.sub(r"(#define BOARD_WATCHDOG_MS) \d+", r"\1 60000", text)
    if patient == text:
        raise ValueError(f"{header} has no BOARD_WATCHDOG_MS: the benchmark would be restarted in the middle")
    header.write_text(patient)


def noise(count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Returns `count` inputs of `shape` (1, …), int8: noise around any brightness, of any contrast."""
    random, single = np.random.default_rng(0), (count, *(1 for _ in shape[1:]))
    middles, contrasts = random.uniform(-128, 128, single), random.uniform(1, 128, single)
    values = random.uniform(-1, 1, (count, *shape[1:])) * contrasts + middles
    return np.clip(values, -128, 127).astype(np.int8)


def runtime_bytes(linker_map: Path) -> int:
    """Returns the flash of TFLM, CMSIS-NN, libc and the kernels of ours with their registrations."""
    text = linker_map.read_text().split("Linker script and memory map")[1]
    row = re.compile(r"^ \.(?:text|rodata|data|ARM)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S+)$", re.MULTILINE)
    return sum(int(size, 16) for size, path in row.findall(text) if ".a(" in path or "/kernels" in path)


def layer_row(title: str, model: Model, operator: Operator, counts: dict[str, float | None]) -> dict[str, Any]:
    """Returns the row of a layer: instructions by multiply-accumulate, without any by output."""
    count = macs(operator)
    divisor = count or math.prod(operator.outputs[0].shape)
    refused = isinstance(prepare(model, operator), Refusal)  # then TFLM's code runs with either engine
    return {"layer": title, "macs": count, "refused": refused} | {
        name: None if number is None else round(number / divisor, 3) for name, number in counts.items()
    }


def layers(
    shapes: Sequence[Case], board: boards.Board, used: Sequence[Engine], build: Path, checkout: Path | None
) -> tuple[list[dict[str, Any]], int]:
    """Returns the rows of layer shapes, and how many engines have other outputs."""
    rows, different = [], 0
    for group in groups(shapes) if shapes else []:
        model = Model.parse(joined_model(group))
        runs = {engine.name: run(model, board, engine, build, 1) for engine in used}
        different += sum(each.different > 0 for each in runs.values())
        others = tinyengine.counted(checkout, model.operators[: len(group)], board) if checkout else []
        for number, (case, operator) in enumerate(zip(group, model.operators, strict=False)):
            counts = {name: each.instructions[number] for name, each in runs.items()}
            rows.append(
                layer_row(str(case), model, operator, counts | ({"TinyEngine": others[number]} if others else {}))
            )
    return rows, different


def whole(
    title: str,
    model: Model,
    board: boards.Board,
    used: Sequence[Engine],
    build: Path,
    count: int,
    checkout: Path | None,
) -> dict[str, Any]:
    """Returns the row of a whole network that runs on `count` images, with those of its layers."""
    runs = {engine.name: run(model, board, engine, build, count) for engine in used}
    others = tinyengine.counted(checkout, model.operators, board) if checkout else []
    rows = []
    for number, operator in enumerate(model.operators):
        counts = {name: each.instructions[number] for name, each in runs.items()}
        counts |= {"TinyEngine": others[number]} if others else {}
        rows.append(layer_row(_title(operator), model, operator, counts))
    pairs = [(operator.name, prepare(model, operator)) for operator in model.operators]
    refused = {f"{name}: {kernel}" for name, kernel in pairs if isinstance(kernel, Refusal)}
    figures = {name: each.figures | {"different": each.different} for name, each in runs.items()}
    return {"network": title, "engines": figures, "layers": rows, "refused": sorted(refused)}


def networks(only: str, files: Sequence[Path]) -> Iterator[tuple[str, Model]]:
    """Yields the networks whose title begins with `only`: those of cost.py, converted without training, and `files`."""
    for name, options in [*NETWORKS, SMALL]:
        title = f"{name} {options['width']:g} at {options['resolution']}"
        if title.startswith(only):
            model = network(name, options)
            yield title, strip(convert.convert_post_training(tf_keras_clone.rebuild(model), images(model)))
    for path in files:
        yield path.stem, Model.parse(path.read_bytes(), str(path))


def _title(operator: Operator) -> str:
    """Returns a layer as Case prints it."""
    source, target = operator.inputs[0], operator.outputs[0]
    weights = operator.inputs[1] if len(operator.inputs) > 1 else None
    window = "x".join(map(str, weights.shape[1:3])) if weights is not None and len(weights.shape) == 4 else ""
    shape = "x".join(map(str, source.shape[1:])) if source is not None else ""
    return f"{operator.name} {window} {shape} -> {'x'.join(map(str, target.shape[1:]))}"


def slower(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the layers in which a kernel of ours needs more than CMSIS-NN's, each once."""
    found = {row["layer"]: row for row in rows if is_slower(row)}
    return [f"{layer}: {row['ours']} to {row['CMSIS-NN']}" for layer, row in found.items()]


def limits(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns what LIMITS asks of the networks that ran."""
    found = {row["network"]: row["engines"]["ours"] for row in rows}
    return [
        {
            "network": title,
            "figure": key,
            "ours": found[title][key],
            "limit": most,
            "reached": found[title][key] <= most,
        }
        for title, key, most in LIMITS
        if title in found
    ]


def main() -> int:
    """Prints the tables; exit status 1 if an output differs, a limit is not reached or a layer costs more."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="further .tflite files")
    parser.add_argument("--board", default="mps2_an500", help="an emulated board: mps2_an500, mps2_an386 or mps2_an505")
    parser.add_argument("--only", default="", help="only layer shapes and networks that begin so")
    parser.add_argument("--small", action="store_true", help="other layer shapes, of few pixels, and no networks")
    parser.add_argument("--images", type=int, default=1, help="on how many images networks run")
    parser.add_argument("--layers", action="store_true", help="of networks, print each layer as well")
    parser.add_argument("--tinyengine", type=Path, metavar="FOLDER", help="a checkout of mit-han-lab/tinyengine")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    options = parser.parse_args()
    if reason := make.lacking(emulator=True):
        print(reason, file=sys.stderr)
        return 2
    board, used, checkout = boards.load(options.board), engines(), options.tinyengine
    wholes: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        shapes = [case for case in (small_maps if options.small else cases)() if str(case).startswith(options.only)]
        rows, different = layers(shapes, board, used, Path(folder), checkout)
        print_layers(rows)
        print(tables.line(("network", "", *KEYS, "different"), COLUMNS), flush=True)
        for title, model in networks(options.only, options.files) if not options.small else ():
            wholes.append(whole(title, model, board, used, Path(folder), options.images, checkout))
            print_network(wholes[-1], options.layers)
    different += sum(figures["different"] for row in wholes for figures in row["engines"].values())
    asked = limits(wholes) if board.name == "mps2_an500" else []
    behind = slower([*rows, *(layer for row in wholes for layer in row["layers"])])
    for row in asked:
        cells = (row["network"], row["figure"], f"{row['ours']:,}", f"{row['limit']:,}")
        print(
            tables.line(
                (*cells, "", "reached" if row["reached"] else "NOT REACHED"), ("<30", "<13", ">13", ">13", "<2", "")
            )
        )
    if wholes:
        print("\n" + markdown(wholes))
    print("more instructions than with CMSIS-NN: " + ("; ".join(behind) or "none"))
    if different:
        print("an output differs from that of TFLM's interpreter", file=sys.stderr)
    if options.json:
        print(json.dumps({"board": board.name, "rows": rows, "networks": wholes, "limits": asked, "slower": behind}))
    return 0 if not different and not behind and all(row["reached"] for row in asked) else 1


if __name__ == "__main__":
    sys.exit(main())
