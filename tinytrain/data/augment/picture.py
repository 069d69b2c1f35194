"""Draws what each augmentation regime does to the same images, and the Beta densities that MixUp draws λ from."""

import functools
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import scipy.stats
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from tinytrain.config.schema import Augment
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.files import write_atomically

CELL, COLUMNS, LABEL_WIDTH, PLOT_HEIGHT = 64, 8, 160, 180  # pixels, images, pixels, pixels
NO_AUGMENTATION: dict[str, Any] = {"flip": False, "crop": 0.0}
REGIMES: dict[str, dict[str, Any]] = {
    "none": NO_AUGMENTATION,
    "flip and crop": {"flip": True},
    "random resized crop": NO_AUGMENTATION | {"resized_crop": 0.08},
    "color jitter": NO_AUGMENTATION | {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "rotation": NO_AUGMENTATION | {"rotation": 10.0, "rotation_probability": 1.0},
    "random erasing": NO_AUGMENTATION | {"erasing": 1.0},
    "RandAugment(2, 9)": NO_AUGMENTATION | {"randaugment": 2, "randaugment_probability": 1.0},
    "AutoAugment": NO_AUGMENTATION | {"autoaugment": True},
    "AugMix m5-w3": NO_AUGMENTATION | {"augmix": True},
    "MixUp 0.2": NO_AUGMENTATION | {"mixup": 0.2},
    "MixUp 1": NO_AUGMENTATION | {"mixup": 1.0},
    "CutMix 1": NO_AUGMENTATION | {"cutmix": 1.0},
    "FMix 1": NO_AUGMENTATION | {"fmix": 1.0},
}
DENSITIES = {0.2: "firebrick", 0.4: "darkorange", 1.0: "steelblue", 2.0: "seagreen"}  # alpha: color of its curve
MAX_DENSITY = 4.0  # the upper end of the axis


def write(out: Path, images: np.ndarray, labels: np.ndarray, classes: int, config: Augment, seed: int) -> None:
    """Writes a PNG: a row for each regime and one for `config`, then the densities of Beta(alpha, alpha).

    Where labels are mixed, the share of an image's own class is printed on it.

    Args:
        out: the file.
        images: (8, R, R, C) uint8, the same in every row.
        labels: (8,) their class indices.
        classes: the number of classes.
        config: the [augment] section of the config.
        seed: of the random numbers.
    """
    rows = {name: Augment(**options) for name, options in REGIMES.items()} | {"this config": config}
    height = CELL * len(rows)
    sheet = Image.new("RGB", (LABEL_WIDTH + CELL * COLUMNS, height + PLOT_HEIGHT), "white")
    draw = ImageDraw.Draw(sheet)
    draw.font = font()
    one_hot = tf.one_hot(labels, classes)
    for row, (name, options) in enumerate(rows.items()):
        draw.text((4, row * CELL + CELL // 2 - 6), name, fill="black")
        augmentation = Augmentation(options, images.shape[1])
        pixels, mixed = augmentation(tf.constant(images), one_hot, tf.constant([seed, row], tf.int64))
        shares = tf.reduce_sum(mixed * one_hot, axis=1).numpy()
        for column, image in enumerate(np.clip(np.round(pixels), 0, 255).astype(np.uint8)):
            cell = Image.fromarray(np.squeeze(image)).convert("RGB").resize((CELL, CELL), Image.Resampling.BOX)
            corner = (LABEL_WIDTH + column * CELL, row * CELL)
            sheet.paste(cell, corner)
            if shares[column] < 1:
                draw.text(
                    (corner[0] + 3, corner[1] + CELL - 13),
                    f"{shares[column]:.2f}",
                    fill="white",
                    stroke_width=1,
                    stroke_fill="black",
                )
    _draw_densities(draw, (LABEL_WIDTH, height + 12, LABEL_WIDTH + CELL * COLUMNS - 12, height + PLOT_HEIGHT - 24))
    write_atomically(out, lambda file: sheet.save(file, "PNG"))


@functools.cache
def font() -> ImageFont.FreeTypeFont:
    """Returns the font of the labels: Matplotlib's DejaVu Sans, which has Latin, Greek, Cyrillic and Arabic letters."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 11)


def _draw_densities(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    draw.text((4, top), "density of the share,\nBeta(alpha, alpha)", fill="black")
    draw.rectangle(box, outline="gray")
    for number, (alpha, color) in enumerate(DENSITIES.items()):
        draw.text((4, top + 40 + 14 * number), f"alpha = {alpha:g}", fill=color)
        shares = (np.arange(right - left) + 0.5) / (right - left)
        heights = np.minimum(scipy.stats.beta.pdf(shares, alpha, alpha), MAX_DENSITY)
        points = [(left + x, bottom - y / MAX_DENSITY * (bottom - top)) for x, y in enumerate(heights.tolist())]
        draw.line(points, fill=color, width=2)
    for share in (0.0, 0.5, 1.0):
        draw.text((left + share * (right - left) - 6, bottom + 4), f"{share:g}", fill="black")
