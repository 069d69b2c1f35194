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
import scipy.stats
import tensorflow as tf
from matplotlib.figure import Figure

from tinytrain.config.schema import Augment
from tinytrain.data import splits
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.data.load import load_dataset
from tinytrain.data.source import class_counts
from tinytrain.experiments import macs_chart
from tinytrain.experiments.papers import columns as table_columns
from tinytrain.experiments.papers.tables import Table
from tinytrain.experiments.runs import Planned
from tinytrain.files import make_folder, write_atomically
from tinytrain.run import Run
from tinytrain.train import figures as task_figures
from tinytrain.train.resolve import resolve

SAMPLES = 6  # images of the MixUp figure
DRAWS, SHARES = 64, (0.95, 0.85, 0.7, 0.55)  # of so many draws of MixUp, those with shares nearest to these are shown
MOST_CURVES = 20  # in one figure, as there are no more colors
MOST_DENSITY = 4.0  # end of the axis: the density for a small alpha is infinite at 0 and 1


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
    """Draws the main figure on val after each epoch, with a panel for each task and a line for each arm."""
    of_task: dict[str, list[Planned]] = {}
    for planned in finished:
        of_task.setdefault(Run(planned.folder).config().task, []).append(planned)
    figure = Figure(figsize=(8, 5 * len(of_task)), layout="constrained")
    for axes, (task, runs) in zip(figure.subplots(len(of_task), squeeze=False).flat, of_task.items(), strict=True):
        main = task_figures.of(task).main
        _draw(axes, {label: 100 * values for label, values in _curves(runs, f"val_{main.key}").items()})
        axes.set(xlabel="epoch", ylabel=f"val {main.label} / %", title=_title(table, runs))
        _finish(figure, axes, inside=len(of_task) > 1)
    return figure


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
    return macs_chart.draw(panels, f"Seed {table.paper}: {table.title}")


def _title(table: Table, finished: list[Planned]) -> str:
    """Returns the title of the paper's table and the datasets that were really trained on."""
    data = ", ".join(dict.fromkeys(planned.data for planned in finished))
    return f"Seed {table.paper}: {table.title}\n(here trained on {data})"


def _finish(figure: Figure, axes: Any, inside: bool = False) -> None:
    """Adds grid and legend, below the figure or inside the axes."""
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    if inside:
        axes.legend(fontsize=7)
        return
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7)


def mixup(table: Table, finished: list[Planned]) -> Figure:
    """Draws training images, their mixtures by MixUp, and the density of the share λ."""
    config = next((run.config for run in finished if run.config.augment.mixup), finished[-1].config)
    alpha = config.augment.mixup or 0.2
    images, labels, dataset = _images(finished[0])
    one_hot = tf.one_hot(labels, len(dataset.classes))
    figure = Figure(figsize=(9, 9), layout="constrained")
    figure.suptitle(f"MixUp with α = {alpha:g}: images of {finished[0].data}, and four of {DRAWS} draws", fontsize=10)
    grid = figure.add_gridspec(6, SAMPLES, height_ratios=[1] * 5 + [2.2])
    for row, (pixels, targets) in enumerate([(images, one_hot), *_mixtures(images, one_hot, alpha)]):
        for column in range(SAMPLES):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(np.clip(np.round(pixels[column]), 0, 255).astype(np.uint8).squeeze(), cmap="gray")
            axes.set_title(_shares(np.asarray(targets[column]), dataset.classes), fontsize=7)
            axes.axis("off")
    _density(figure.add_subplot(grid[5, :]), alpha)
    return figure


def _mixtures(images: np.ndarray, one_hot: tf.Tensor, alpha: float) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Returns the draws of MixUp with larger shares nearest to SHARES; with a small alpha most draws hardly mix."""
    mixing = Augmentation(Augment(flip=False, crop=0.0, mixup=alpha), images.shape[1])
    drawn = [mixing(tf.constant(images), one_hot, tf.constant([0, number], tf.int64)) for number in range(DRAWS)]
    return [min(drawn, key=lambda pair: abs(float(tf.reduce_max(pair[1])) - share)) for share in SHARES]


def _shares(target: np.ndarray, classes: list[str]) -> str:
    """Returns the names of the classes in a target (classes,), with their shares if there are two."""
    order = [index for index in np.argsort(-target)[:2] if target[index] > 0.005]
    return "\n".join(f"{target[index]:.2f} {classes[index]}" if len(order) > 1 else classes[index] for index in order)


def _density(axes: Any, alpha: float) -> None:
    shares = np.linspace(0.001, 0.999, 999)
    for value in sorted({alpha, 0.2, 0.4, 1.0, 2.0}):
        width = 2.5 if value == alpha else 1
        axes.plot(shares, scipy.stats.beta.pdf(shares, value, value), linewidth=width, label=f"α = {value:g}")
    axes.set(xlabel="share λ of the first image", ylabel="density of Beta(α, α)", ylim=(0, MOST_DENSITY), xlim=(0, 1))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


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


def _images(planned: Planned) -> tuple[np.ndarray, np.ndarray, Any]:
    """Returns (images (SAMPLES, R, R, C) uint8, labels, dataset): training images of as many classes as possible."""
    dataset = load_dataset(planned.config)
    config = resolve(planned.config, dataset)
    images, labels = splits.Splits(dataset, config).arrays("train")
    first = [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)]
    chosen = (first * SAMPLES)[:SAMPLES]
    return np.stack([images[index] for index in chosen]), labels[chosen], dataset


FIGURES: dict[str, Callable[[Table, list[Planned]], Figure]] = {
    "accuracy": accuracy,
    "rates": rates,
    "mixup": mixup,
    "classes": classes,
    "macs": macs,
}
