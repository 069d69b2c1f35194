"""The chart of MixUp beside a paper's table: images that it mixes, and the shares λ that it draws."""

from typing import Any

import numpy as np
import scipy.stats
import tensorflow as tf
from matplotlib.figure import Figure

from tinytrain.config.schema import Augment
from tinytrain.data import splits
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.data.load import load_dataset
from tinytrain.experiments.papers.tables import Table
from tinytrain.experiments.runs import Planned
from tinytrain.train.resolve import resolve

SAMPLES = 6  # images of the MixUp figure
DRAWS, SHARES = 64, (0.95, 0.85, 0.7, 0.55)  # of so many draws of MixUp, those with shares nearest to these are shown
SAMPLE_ALPHA = 0.5  # of the images of paper 003's Figure 8, whatever the arm was trained with
DRAWN_SHARES = 2000  # λ of the histogram beside the density
MOST_DENSITY = 4.0  # end of the axis: the density for a small alpha is infinite at 0 and 1


def draw(table: Table, finished: list[Planned]) -> Figure:
    """Draws training images, their mixtures by MixUp with SAMPLE_ALPHA, and what shares λ the arm's α draws."""
    config = next((run.config for run in finished if run.config.augment.mixup), finished[-1].config)
    alpha = config.augment.mixup or 0.2
    images, labels, dataset = _images(finished[0])
    one_hot = tf.one_hot(labels, len(dataset.classes))
    figure = Figure(figsize=(9, 9), layout="constrained")
    figure.suptitle(
        f"MixUp with α = {SAMPLE_ALPHA:g}: images of {finished[0].data}, and four of {DRAWS} draws", fontsize=10
    )
    grid = figure.add_gridspec(6, SAMPLES, height_ratios=[1] * 5 + [2.2])
    for row, (pixels, targets) in enumerate([(images, one_hot), *_mixtures(images, one_hot, SAMPLE_ALPHA)]):
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


def drawn_shares(alpha: float, count: int = DRAWN_SHARES) -> np.ndarray:
    """Returns (count,) shares λ of the first image, as the training itself draws them for MixUp with `alpha`."""
    mixing = Augmentation(Augment(flip=False, crop=0.0, mixup=alpha), 1)
    images, one_hot = tf.zeros([2, 1, 1, 1], tf.uint8), tf.eye(2)
    share = tf.function(lambda number: mixing(images, one_hot, tf.stack([tf.constant(0, tf.int64), number]))[1][0, 0])
    return np.array([float(share(tf.constant(number, tf.int64))) for number in range(count)])


def _density(axes: Any, alpha: float) -> None:
    shares = np.linspace(0.001, 0.999, 999)
    label = f"{DRAWN_SHARES:,} λ that were drawn, α = {alpha:g}"
    axes.hist(drawn_shares(alpha), bins=np.linspace(0, 1, 26), density=True, color="0.85", label=label)
    for value in sorted({alpha, 0.2, 0.4, 1.0, 2.0}):
        width = 2.5 if value == alpha else 1
        axes.plot(shares, scipy.stats.beta.pdf(shares, value, value), linewidth=width, label=f"α = {value:g}")
    axes.set(xlabel="share λ of the first image", ylabel="density of Beta(α, α)", ylim=(0, MOST_DENSITY), xlim=(0, 1))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _images(planned: Planned) -> tuple[np.ndarray, np.ndarray, Any]:
    """Returns (images (SAMPLES, R, R, C) uint8, labels, dataset): training images of as many classes as possible."""
    dataset = load_dataset(planned.config)
    config = resolve(planned.config, dataset)
    images, labels = splits.Splits(dataset, config).arrays("train")
    first = [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)]
    chosen = (first * SAMPLES)[:SAMPLES]
    return np.stack([images[index] for index in chosen]), labels[chosen], dataset
