"""The confusion matrix as a picture: with numbers for a few classes, as shades for many."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinytrain.reporting import svg
from tinytrain.reporting.svg import Chart

NUMBERED = 14  # classes at most whose counts are written into the cells
NAMED = 30  # classes at most whose names stand at the axes
CELLS = 250  # along a side at most: of more classes, neighbours share a cell, which shows the largest of them
_BLUE = (59, 130, 246)  # readable on white and on black; the share is its opacity


def chart(name: str, title: str, matrix: np.ndarray, classes: list[str], unit: str = "images") -> Chart:
    """Returns the picture of a confusion matrix (classes, classes), each row as shares of its class.

    Args:
        name: of the chart, unique in the page.
        title: the kind of model.
        matrix: (classes, classes) counts; a row is a true class, a column the predicted one.
        classes: their names.
        unit: what is counted.
    """
    hits, images = int(np.diag(matrix).sum()), int(matrix.sum())
    alt = f"Confusion matrix, {title}: {hits:,} of {images:,} {unit} of {len(classes)} classes on the diagonal"
    return svg.chart(f"matrix-{name}", alt, [(440, 440)], _draw(title, matrix, classes))


def shaded(matrix: np.ndarray) -> np.ndarray:
    """Returns the cells as (rows, columns, 4) uint8 RGBA: the opacity is the share of the row's images."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    step = -(-len(matrix) // CELLS)
    if step > 1:
        padded = np.pad(shares, (0, -len(matrix) % step))
        shares = padded.reshape(len(padded) // step, step, -1, step).max(axis=(1, 3))
    cells = np.zeros((*shares.shape, 4), np.uint8)
    cells[..., :3] = _BLUE
    # a share of 1 % would be invisible among hundreds of classes, so the scale is bent
    cells[..., 3] = np.round(255 * np.sqrt(shares)) if len(matrix) > NUMBERED else np.round(230 * shares)
    return cells


def _draw(title: str, matrix: np.ndarray, classes: list[str]) -> Callable[[Figure, int], None]:
    def draw(figure: Figure, _: int) -> None:
        axes = svg.axes(figure)
        axes.grid(visible=False)
        axes.set_title(title)
        edge = len(classes) - 0.5
        axes.imshow(shaded(matrix), interpolation="none", extent=(-0.5, edge, edge, -0.5))
        how = "" if len(classes) <= NAMED else ", by its number"
        axes.set_xlabel(f"taken for{how}")
        axes.set_ylabel(f"true class{how}")
        axes.spines[["top", "right"]].set_visible(True)
        if len(classes) <= NAMED:
            names = [svg.short(name) for name in classes]
            size = 11 if len(classes) <= NUMBERED else 9
            slanted: dict[str, Any] = (
                {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 3 else {}
            )
            axes.set_xticks(range(len(classes)), names, fontsize=size, **slanted)
            axes.set_yticks(range(len(classes)), names, fontsize=size)
        if len(classes) <= NUMBERED:
            _write_counts(axes, matrix)

    return draw


def _write_counts(axes: Axes, matrix: np.ndarray) -> None:
    size = 11 if len(matrix) <= 10 and matrix.max() < 1000 else 9
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            text = f"{count}" if count < 10_000 else f"{count / 1000:.0f}k"
            axes.text(column, row, text, ha="center", va="center", fontsize=size)
