"""The firmware of an export beside the same int8 model in TensorFlow Lite Micro's stock setup, on the emulated M7.

Stock is the converter's unchanged file with error strings and all operators that `MicroMutableOpResolver` offers
(`tflm`), or with just the operators of the model, as a careful user registers them by hand (`few`). Ours is what
`tinytrain export` writes. All have the same weights and run in the same program. `runtime` is the flash of TFLM,
CMSIS-NN and libc, linked for the emulated board, because with all operators not every network fits an STM32F746.
`arena` is what TFLM used of it, and `instructions` are those of one inference in QEMU.

    TFLM_DIR=... TFLM_STOCK_DIR=... python benchmarks/stock_tflm.py [--quick] [--json]

TFLM_DIR is a library without error strings (BUILD_TYPE=release), TFLM_STOCK_DIR one with them
(BUILD_TYPE=release_with_logs). Exit status 1 if our runtime is not 40 % smaller than both, if ours needs more
instructions or a larger arena for any network, or if an output is not that of the interpreter.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from cost import BOARD, NETWORKS, QUICK, images, network

from tinytrain import tables
from tinytrain.deploy import boards, c_source, firmware, make, memory, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm import operators as tflm_ops
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import TinytrainError
from tinytrain.quantize import convert, tf_keras_clone
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip

MOST_RUNTIME_SHARE = 0.6
STOCK = ("tflm", "few")
KEYS = ("runtime_bytes", "flash_bytes", "arena_bytes", "instructions")


def emitted(folder: Path, model: Model, operators: dict[str, str] | None) -> Path:
    """Returns the firmware folder of the .tflite; `operators` overrides the registrations that the export chooses."""
    image = np.random.default_rng(2).integers(-128, 128, model.inputs[0].shape, np.int8)
    sources = bare_metal.write(
        folder,
        boards.load(BOARD),
        Contents(
            model=model,
            name="stock",
            arena_bytes=memory.target_arena_bytes(model),
            labels=[],
            golden_input=image,
            golden_outputs=ReferenceInterpreter(model.content).run(image),
        ),
    )
    if operators is not None:
        (sources / "model" / "model_ops.h").write_text(c_source.ops_header(operators))
    return sources


def measured(model: Model, tflm: Path, operators: dict[str, str] | None) -> dict[str, Any]:
    """Returns the figures of KEYS, and whether the output is that of the interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        sources = emitted(Path(folder), model, operators)
        sizes = firmware.link(sources, boards.load(BOARD), tflm)
        printed = self_test.emulate(sources, boards.load(BOARD), tflm)
    if "inference" not in printed:
        raise TinytrainError(printed["failed"])
    return {
        "runtime_bytes": sizes.runtime_bytes,
        "flash_bytes": sizes.flash_bytes,
        "arena_bytes": printed["arena_used_bytes"],
        "instructions": printed["inference"]["median"],
        "equal": printed["golden_equal"],
    }


def stock(model: Model, tflm: Path) -> dict[str, Any]:
    """Returns the figures with all operators of the resolver, without the signal library's if TFLM lacks them."""
    every = dict.fromkeys(tflm_ops.OPS, "general")
    try:
        return measured(model, tflm, every)
    except TinytrainError:
        return measured(model, tflm, {name: kind for name, kind in every.items() if not name.startswith("Signal")})


def compare(name: str, options: dict[str, Any], ours_dir: Path, stock_dir: Path) -> dict[str, Any]:
    """Returns {"model", "ours", "tflm", "few"}."""
    keras_model = network(name, options)
    model = convert.convert_post_training(tf_keras_clone.rebuild(keras_model), images(keras_model))
    return {
        "model": f"{name} {options['width']:g} at {options['resolution']}",
        "ours": measured(strip(model), ours_dir, None),
        "tflm": stock(model, stock_dir),
        "few": measured(model, stock_dir, dict.fromkeys(model.counts, "general")),
    }


COLUMNS = ("<30", "<6", *[">16"] * len(KEYS), "<2", "")


def lines(row: dict[str, Any]) -> list[str]:
    """Returns the lines of a model in the table."""
    table = []
    for kind in (*STOCK, "ours"):
        numbers = [f"{row[kind][key]:,}" for key in KEYS]
        equal = "equal" if row[kind]["equal"] else "DIFFERENT"
        table.append(tables.line((row["model"] if kind == "tflm" else "", kind, *numbers, "", equal), COLUMNS))
    for kind in STOCK:
        shares = [f"{100 * (share(row, kind, key) - 1):+.1f} %" for key in KEYS]
        table.append(tables.line((f"ours to {kind}", *shares), (">36", *COLUMNS[2 : 2 + len(KEYS)])))
    return table


def share(row: dict[str, Any], kind: str, key: str) -> float:
    """Returns our figure over that of a stock setup."""
    return float(row["ours"][key] / row[kind][key])


def is_good(row: dict[str, Any]) -> bool:
    """Returns whether a row meets the conditions of exit status 0, see the module's docstring."""
    return all(row[kind]["equal"] for kind in (*STOCK, "ours")) and all(
        share(row, kind, "runtime_bytes") <= MOST_RUNTIME_SHARE
        and share(row, kind, "arena_bytes") <= 1
        and share(row, kind, "instructions") <= 1
        for kind in STOCK
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"only {' and '.join(QUICK)}")
    parser.add_argument("--json", action="store_true", help="print the rows as one JSON line at the end")
    arguments = parser.parse_args()
    ours_dir, stock_dir = make.tflm_dir(), os.environ.get("TFLM_STOCK_DIR")
    if reason := make.lacking(emulator=True):
        print(reason, file=sys.stderr)
        return 2
    if ours_dir is None or not stock_dir:
        print("TFLM_STOCK_DIR is not set; set it to a TFLM built with its error strings", file=sys.stderr)
        return 2
    print(tables.line(("model", "", *(key.removesuffix("_bytes") for key in KEYS), "", "output"), COLUMNS))
    rows = []
    for name, options in NETWORKS:
        if not arguments.quick or name in QUICK:
            rows.append(compare(name, options, ours_dir, Path(stock_dir).absolute()))
            print("\n".join(lines(rows[-1])), flush=True)
    if arguments.json:
        print(json.dumps({"rows": rows}))
    return 0 if all(is_good(row) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
