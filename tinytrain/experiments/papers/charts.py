"""The charts beside a paper's table, as PNG: the curves of each arm, MixUp, and the classes of the data.

The table's file names its figures; each is a function in FIGURES. Curves are means over the finished seeds.
"""

import functools
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tinytrain.data import splits
from tinytrain.data.load import load_dataset
from tinytrain.data.source import class_counts
from tinytrain.experiments import macs_chart
from tinytrain.experiments.papers import bars_chart, mixup_chart
from tinytrain.experiments.papers import columns as table_columns
from tinytrain.experiments.papers.tables import Table
from tinytrain.experiments.runs import Planned
from tinytrain.files import make_folder, write_atomically
from tinytrain.run import Run
from tinytrain.train import figures as task_figures

MOST_CURVES = 20  # in one figure, as there are no more colors


def write(table: Table, finished: list[Planned], folder: Path) -> list[Path]:
    """Draws the figures of a table into FOLDER/NAME.png and returns their paths."""
    make_folder(folder)
    paths = []
    for name in table.figures:
        path = folder / f"{name}.png"
        with mpl.rc_context({"text.parse_math": False}):  # the name of a class or folder may be $x$
            figure = FIGURES[name](table, finished)
            write_atomically(path, functools.partial(figure.savefig, format="png", dpi=120))
        paths.append(path)
    return paths


def _curves(finished: list[Planned], key: str) -> dict[str, np.ndarray]:
    """Returns {label: curve (epochs,)}: the means over the seeds of each arm on each dataset.

    If these are more than MOST_CURVES, they are the means over the datasets too.
    """
    by_dataset = len({planned.data for planned in finished}) > 1
    by_dataset = by_dataset and len({(planned.name, planned.data) for planned in finished}) <= MOST_CURVES
    curves: dict[str, list[list[float]]] = {}
    for planned in finished:
        rows = Run(planned.folder).history()
        label = f"{planned.name}, {planned.data}" if by_dataset else planned.name
        curves.setdefault(label, []).append([float(row[key]) for row in rows])
    return {label: _mean(runs) for label, runs in curves.items()}


def _mean(runs: list[list[float]]) -> np.ndarray:
    """Returns the mean of curves up to the end of the shortest one, as some trainings end early."""
    shortest = min(map(len, runs))
    return np.mean([run[:shortest] for run in runs], axis=0)


def _draw(axes: Any, curves: dict[str, np.ndarray], style: str = "-", suffix: str = "") -> None:
    for number, (label, values) in enumerate(curves.items()):
        color = f"C{number % 10}" if len(curves) <= 10 else mpl.colormaps["tab20"](number % 20)
        marker = "o" if len(values) < 3 else None  # one epoch makes no line
        epochs = np.arange(1, len(values) + 1)
        axes.plot(epochs, values, style, color=color, marker=marker, linewidth=1.4, label=f"{label}{suffix}")


def accuracy(table: Table, finished: list[Planned]) -> Figure:
    """Draws the main figure after each epoch: on val, beside it in training, if that is measured; a row for each task.

    The training images are augmented, and the network still changes while they are counted.
    """
    of_task = _by_task(finished)
    figure = Figure(figsize=(13, 5 * len(of_task)), layout="constrained")
    grid = figure.subplots(len(of_task), 2, squeeze=False, sharey="row")
    for (axes, beside), (task, runs) in zip(grid, of_task.items(), strict=True):
        main = task_figures.of(task).main
        _draw(axes, _in_percent(_curves(runs, f"val_{main.key}")))
        axes.set(xlabel="epoch", ylabel=f"{main.label} / %", title=f"{_title(table, runs)}, on val")
        if _is_measured(runs, main.key):
            _draw(beside, _in_percent(_curves(runs, main.key)))
            beside.set(xlabel="epoch", title="in training")
            beside.grid(alpha=0.3)
        else:
            beside.set_axis_off()
        _finish(figure, axes, inside=len(of_task) > 1)
    return figure


def gap(table: Table, finished: list[Planned]) -> Figure:
    """Draws the main figure in training less that on val after each epoch, a line for each arm."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for task, runs in _by_task(finished).items():
        main = task_figures.of(task).main
        if not _is_measured(runs, main.key):
            continue
        training, val = _curves(runs, main.key), _curves(runs, f"val_{main.key}")
        _draw(axes, _in_percent({label: values - val[label] for label, values in training.items()}))
        axes.set(ylabel=f"{main.label} in training less that on val / points")
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set(xlabel="epoch", title=_title(table, finished))
    _finish(figure, axes)
    return figure


def epochs(table: Table, finished: list[Planned]) -> Figure:
    """Draws the first column against the epochs of a training, a curve for each arm that has several lengths."""
    column, arms = table.columns[0], {arm.label: arm for arm in table.arms if arm.curve}
    measured: dict[str, dict[int, list[float]]] = {}
    for planned in (planned for planned in finished if planned.name in arms):
        value = table_columns.value(column, Run(planned.folder), 1.0)
        if value is not None:
            of_curve = measured.setdefault(arms[planned.name].curve, {})
            of_curve.setdefault(planned.config.optim.epochs, []).append(value)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for label, values in measured.items():
        axes.plot(sorted(values), [np.mean(values[length]) for length in sorted(values)], "o-", label=label)
    axes.set(xlabel="epochs of the training", ylabel=column.heading, title=_title(table, finished))
    _finish(figure, axes)
    return figure


def _by_task(finished: list[Planned]) -> dict[str, list[Planned]]:
    of_task: dict[str, list[Planned]] = {}
    for planned in finished:
        of_task.setdefault(Run(planned.folder).config().task, []).append(planned)
    return of_task


def _is_measured(runs: list[Planned], key: str) -> bool:
    """Returns whether history.csv has the figure, of a detector's training for example it has none."""
    return all(key in Run(planned.folder).history()[0] for planned in runs)


def _in_percent(curves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {label: 100 * values for label, values in curves.items()}


def rates(table: Table, finished: list[Planned]) -> Figure:
    """Draws the learning rate of each epoch, and below it the losses: training solid, val dashed."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    rate_axes, loss_axes = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    _draw(rate_axes, _curves(finished, "lr"))
    rate_axes.set(ylabel="rate after the epoch", title=_title(table, finished))
    _draw(loss_axes, _curves(finished, "loss"))
    _draw(loss_axes, _curves(finished, "val_loss"), "--", ", val")
    loss_axes.set(xlabel="epoch", ylabel="loss")
    _finish(figure, loss_axes)
    rate_axes.grid(alpha=0.3)
    return figure


def macs(table: Table, finished: list[Planned]) -> Figure:
    """Draws what each dataset's column shows against MACs, a curve for each arm that has several resolutions."""
    arms = {arm.label: arm for arm in table.arms if arm.curve}
    measured: dict[str, list[tuple[str, int, float]]] = {}
    labels = {}
    for planned in (planned for planned in finished if planned.name in arms):
        arm, run = arms[planned.name], Run(planned.folder)
        column = next(column for column in table.columns if column.data in ("", *arm.datasets))
        value = table_columns.value(column, run, 1.0)
        if value is not None:
            measured.setdefault(planned.data, []).append((arm.curve, run.metrics()["macs"], value))
            labels[planned.data] = column.measure.heading
    panels = {name: (labels[name], macs_chart.curves(points)) for name, points in measured.items()}
    return macs_chart.draw(panels, f"Paper {table.paper}: {table.title}")


def _title(table: Table, finished: list[Planned]) -> str:
    """Returns the title of the paper's table and the datasets that were really trained on."""
    data = ", ".join(dict.fromkeys(planned.data for planned in finished))
    return f"Paper {table.paper}: {table.title}\n(here trained on {data})"


def _finish(figure: Figure, axes: Any, inside: bool = False) -> None:
    """Adds grid and legend, below the figure or inside the axes."""
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    if inside:
        axes.legend(fontsize=7)
        return
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7)


def classes(table: Table, finished: list[Planned]) -> Figure:
    """Draws the share of each class in each split, with a panel for each dataset."""
    names = dict.fromkeys(planned.data for planned in finished)
    datasets = [next(planned for planned in finished if planned.data == name) for name in names]
    columns = min(2, len(datasets))
    rows = math.ceil(len(datasets) / columns)
    size = (9 if columns == 1 else 14, 4.5 if rows == 1 else 3.6 * rows)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, planned in itertools.zip_longest(grid.flat, datasets):
        if planned:
            _class_shares(axes, planned)
        else:
            axes.set_axis_off()
    return figure


def _class_shares(axes: Any, planned: Planned) -> None:
    dataset = load_dataset(planned.config)
    for number, (name, part) in enumerate(
        splits.draw(dataset, planned.config.data, splits.seed(planned.config)).items()
    ):
        counts = class_counts(dataset.image_sets[part.image_set].annotations[part.indices], len(dataset.classes))
        positions = np.arange(len(counts)) + (number - 1) * 0.27
        axes.bar(positions, 100 * counts / counts.sum(), width=0.27, label=f"{name}, {counts.sum():,} images")
    axes.set(ylabel="share of the images / %", title=f"Classes of {planned.data}")
    labels = dataset.classes if len(dataset.classes) <= 30 else []
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.margins(y=0.25)  # room for the legend
    axes.legend(loc="upper center", ncols=3, fontsize=8)


FIGURES: dict[str, Callable[[Table, list[Planned]], Figure]] = {
    "accuracy": accuracy,
    "rates": rates,
    "gap": gap,
    "epochs": epochs,
    "bars": bars_chart.draw,
    "mixup": mixup_chart.draw,
    "classes": classes,
    "macs": macs,
}
