"""The tables of kernels.py: of layers and of networks as they are counted, and of the networks for docs/kernels.md."""

import sys
from collections.abc import Sequence
from typing import Any

from tinytrain import tables

KEYS = ("instructions", "arena", "runtime", "model", "start", "stack")
COLUMNS = ("<30", "<10", *[">13"] * (len(KEYS) + 1))


def is_slower(row: dict[str, Any]) -> bool:
    """Returns whether a kernel of ours needs more than CMSIS-NN's for a layer."""
    return row["ours"] > row["CMSIS-NN"] and not row["refused"]


def print_layers(rows: Sequence[dict[str, Any]]) -> None:
    """Prints a table of layers; a row that costs more than with CMSIS-NN is marked."""
    names = [name for name in rows[0] if name not in ("layer", "macs", "refused")] if rows else []
    cells = [("layer", "MACs", *names, "")]
    for row in rows:
        numbers = ["" if row[name] is None else f"{row[name]:.3f}" for name in names]
        cells.append((row["layer"], f"{row['macs']:,}", *numbers, "  SLOWER" if is_slower(row) else ""))
    print("\n".join(tables.aligned(cells, ("<56", ">12", *[">11"] * len(names), "<8"))), flush=True)


def print_network(row: dict[str, Any], with_layers: bool) -> None:
    """Prints a network."""
    if with_layers:
        print_layers(row["layers"])
    for number, (name, figures) in enumerate(row["engines"].items()):
        cells = ("" if number else row["network"], name, *(f"{figures[key]:,}" for key in (*KEYS, "different")))
        print(tables.line(cells, COLUMNS))
    if row["refused"]:
        print("  TFLM's kernels: " + "; ".join(row["refused"]))
    sys.stdout.flush()


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the table of the networks in Markdown; TFLM's reference kernels are empty where they did not run."""
    heads = ("network", "instructions, TFLM's reference", "CMSIS-NN", "ours", "to CMSIS-NN", "arena, CMSIS-NN", "ours")
    cells = [(*heads, "runtime, CMSIS-NN", "ours", "start-up")]
    for row in rows:
        ran = row["engines"]
        ours, other = ran["ours"], ran["CMSIS-NN"]
        reference = f"{ran['reference']['instructions']:,}" if "reference" in ran else ""
        share = f"{ours['instructions'] / other['instructions']:.2f}"
        pairs = [f"{figures[key]:,}" for key in ("arena", "runtime") for figures in (other, ours)]
        counted = [f"{figures['instructions']:,}" for figures in (other, ours)]
        cells.append((row["network"], reference, *counted, share, *pairs, f"{ours['start']:,}"))
    return tables.markdown(cells, "<" + ">" * 9)
