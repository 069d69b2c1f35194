"""A table of what networks cost on a CPU, with OpenVINO: nothing is trained for it, as random weights cost as much.

Each network is built as its arm's config says, for the classes of the table's dataset, none of whose images are needed.
Its float model is measured in turns with the others (benching/cpu/timing.py), so that ratios between networks, which
stand first, hold on a machine that others use too. The machine of the paper is another one.

    GFLOPs      multiply-accumulates, as the papers count them
    parameters  those that are deployed: BatchNorm folded into the convolution before it, which gets a bias
    FPS         images a second with as many at once as OpenVINO likes: its hint THROUGHPUT
    latency     the time of one image alone on all cores, median: its hint LATENCY
"""

import os
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import keras
import numpy as np

from tinytrain import files, machine, progress, provenance, tables
from tinytrain.benching.cpu import timing
from tinytrain.config import dataset_catalog, plugins
from tinytrain.config.schema import Config
from tinytrain.deploy.cpu import runtimes
from tinytrain.deploy.cpu.session import LATENCY, THROUGHPUT, Session
from tinytrain.experiments import results_table
from tinytrain.experiments.papers.columns import Column
from tinytrain.experiments.papers.tables import RUNTIME, Table, every_config
from tinytrain.files import make_folder, write_text
from tinytrain.nn import macs, pretrained
from tinytrain.quantize import convert

Row: TypeAlias = dict[str, Any]


def reproduce(table: Table, out: Path, command: str) -> tuple[dict[str, Any], str]:
    """Measures the networks of a table; returns (result, both tables in Markdown), and writes table.csv and table.md.

    The result is {"table", "out", "rows": as `rows` gives them}. `command` is what was typed.

    Raises UserError if OpenVINO is not installed.
    """
    module = runtimes.load(RUNTIME)
    make_folder(out)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    table_rows = rows(table, measure(table, module))
    notes = [
        f"{RUNTIME} {module.release()}, float32, on {machine.processor()}, {machine.cores()} cores, load {load:.1f} "
        "before. The paper used another machine: compare the ratios.",
        f"Medians over {timing.WINDOWS} windows of {timing.WINDOW_S:g} s for each network, in turns.",
        f"`{command}`, commit {provenance.commit()}",
    ]
    text = as_markdown(table, table_rows, notes)
    results_table.write_csv(out / "table.csv", table_rows)
    write_text(out / "table.md", text + "\n")
    return {"table": table.name, "out": str(out), "rows": table_rows}, text


def measure(table: Table, module: ModuleType) -> dict[str, dict[str, float]]:
    """Returns {arm: {"macs", "params", "fps", "latency_ms"}} of the networks, in the runtime `module`."""
    sessions: dict[tuple[str, str], Session] = {}
    images, sizes = {}, {}
    with files.folder() as folder:
        arms = list(every_config(table))
        for arm, config in progress.counted(arms, "building", len(arms), "network"):
            network = build(config)
            sizes[arm.label] = {"macs": float(macs.count(network)), "params": float(deployed_parameters(network))}
            path = folder / f"{arm.folder}{module.SUFFIX}"
            module.write(convert.convert_float(network), path)
            for mode in (LATENCY, THROUGHPUT):
                sessions[arm.label, mode] = module.load(path, mode)
                images[arm.label, mode] = np.zeros((1, *network.input_shape[1:]), np.float32)
        timings = timing.measure(sessions, images)
    speeds = {
        label: {"fps": timings[label, THROUGHPUT].rate, "latency_ms": timings[label, LATENCY].milliseconds}
        for label in sizes
    }
    return {label: size | speeds[label] for label, size in sizes.items()}


def build(config: Config) -> keras.Model:
    """Returns the network of a config with random weights, for the classes of its dataset, which is not read."""
    module = plugins.load("models", config.model.name)
    options = {key: value for key, value in pretrained.architecture_options(config.model).items() if value != "auto"}
    classes = dataset_catalog.ROWS[config.data.spec].classes
    network: keras.Model = module.build(**{"stem": "imagenet"} | module.DEFAULTS | options | {"classes": classes})
    return network


def deployed_parameters(network: keras.Model) -> int:
    """Returns the parameters of a network once each BatchNorm is a part of the convolution before it: γ is gone."""
    scales = [layer.gamma for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights) - sum(
        int(np.prod(scale.shape)) for scale in scales
    )


def rows(table: Table, measured: dict[str, dict[str, float]]) -> list[Row]:
    """Returns a row for each arm and column.

    {"arm", "column", "heading", "paper", "ours", "paper_ratio", "ours_ratio"}: figures in the unit of the column, and
    their ratios to those of the first arm; None where the paper's is unknown.
    """
    first = table.arms[0]
    table_rows = []
    for arm in table.arms:
        for column in table.columns:
            ours, of_first = (_ours(measured[label], column) for label in (arm.label, first.label))
            paper, paper_first = (one.paper.get(column.name) for one in (arm, first))
            table_rows.append(
                {
                    "arm": arm.label,
                    "column": column.name,
                    "heading": column.heading,
                    "paper": paper,
                    "ours": ours,
                    "paper_ratio": None if paper is None or paper_first is None else paper / paper_first,
                    "ours_ratio": ours / of_first,
                }
            )
    return table_rows


def _ours(measured: dict[str, float], column: Column) -> float:
    return column.measure.scale * measured[column.measure.source.partition(".")[2]]


def as_markdown(table: Table, table_rows: list[Row], notes: list[str]) -> str:
    """Returns the title, the notes, the ratios between the networks and then the figures, in Markdown."""
    digits = {column.name: column.measure.digits for column in table.columns}
    ratios = _table(table, table_rows, lambda row, whose: _number(row[f"{whose}_ratio"], 2))
    figures = _table(table, table_rows, lambda row, whose: _number(row[whose], digits[row["column"]]))
    return "\n\n".join(
        [
            f"**{table.heading}**",
            f"Claim: {table.claim}",
            "\n".join(f"- {line}" for line in notes),
            f"Ratios to {table.arms[0].label}:",
            ratios,
            "Figures:",
            figures,
        ]
    )


def _table(table: Table, table_rows: list[Row], cell: Any) -> str:
    """Returns a line for each network, with the paper's and our `cell` of each column side by side."""
    header = ["network"]
    for column in table.columns:
        header += [f"{column.heading}, paper", "ours"]
    lines = []
    for arm in table.arms:
        of_arm = [row for row in table_rows if row["arm"] == arm.label]
        lines.append([arm.label, *(cell(row, whose) for row in of_arm for whose in ("paper", "ours"))])
    return tables.markdown([header, *lines], "<" + ">" * (len(header) - 1))


def _number(value: float | None, digits: int) -> str:
    return "?" if value is None else f"{value:,.{digits}f}"
