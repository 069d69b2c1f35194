"""What `tinytrain export --cpu` prints: the report as a table to read."""

from pathlib import Path
from typing import Any

from tinytrain import tables
from tinytrain.data.source import counted
from tinytrain.deploy.cpu import compare
from tinytrain.deploy.cpu.exported import FLOAT, INT8, KINDS
from tinytrain.train import figures

COMPARED = {FLOAT: "Keras", INT8: "the int8 reference"}


def summary(report: dict[str, Any], folder: Path) -> str:
    """Returns the report as a table to read."""
    label, proof = figures.of(report["task"]).main.label, report["proof"]
    rows = [
        ("runtime", f"{report['runtime']} {report['runtime_version']} on {report['processor']}"),
        ("network", f"{report['model']['params']:,} parameters, {report['model']['macs']:,} MACs"),
        *[("files", _files(report["model"][kind])) for kind in KINDS],
        ("accuracy", _accuracy(report["accuracy"], label)),
        (FLOAT, compare.in_words(FLOAT, proof[FLOAT], COMPARED[FLOAT])),
        (INT8, f"{compare.in_words(INT8, proof[INT8], COMPARED[INT8])}; {_figures(proof[INT8], label)}"),
        ("proven", "yes" if report["proven"] else f"NO: {'; '.join(report['unproven'])}"),
    ]
    lines = tables.aligned([("", *row) for row in rows], ("<1", "<9", ""), between=" ")
    return "\n".join([str(folder), *lines])


def _files(entries: list[dict[str, Any]]) -> str:
    return ", ".join(f"{entry['file']} ({entry['bytes']:,} bytes)" for entry in entries)


def _accuracy(accuracy: dict[str, Any], label: str) -> str:
    names = {"keras": "Keras", FLOAT: "float", INT8: "int8"}
    shares = [f"{name} {100 * accuracy[key]:.2f} %" for key, name in names.items()]
    return f"{', '.join(shares)} {label} on {counted(accuracy['images'], 'image')}"


def _figures(row: dict[str, Any], label: str) -> str:
    return f"{label} there {100 * row['figure']:.2f} %, of the reference {100 * row['reference_figure']:.2f} %"
