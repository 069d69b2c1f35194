"""Draws what the augmentation of a config does to some images, and what the regimes do that it leaves off."""

import contextlib
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import scipy.stats
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from tinytrain import files, progress
from tinytrain.config.schema import Augment
from tinytrain.data import reading
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.errors import UserError

COLUMNS, LABEL_WIDTH, LINE_HEIGHT, PLOT_HEIGHT = 8, 160, 24, 180  # images, then pixels
LEAST_CELL, MOST_CELL = 64, 128  # pixels of an image in the picture
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
COLORS = {"mixup": "firebrick", "cutmix": "steelblue", "fmix": "seagreen"}  # of the density of each
MAX_DENSITY = 4.0  # the upper end of the axis


def cell_side(resolution: int) -> int:
    """Returns how wide and high an image of this resolution is drawn, in pixels."""
    return min(max(resolution, LEAST_CELL), MOST_CELL)


def caption(resolution: int) -> str:
    """Returns at which resolution the images of a picture are shown, in words."""
    if resolution > MOST_CELL:
        return f"shown at {MOST_CELL} px, the network sees them at {resolution} px"
    return f"shown at {resolution} px, as the network sees them"


def write(out: Path, images: np.ndarray, labels: np.ndarray, classes: int, config: Augment, seed: int) -> None:
    """Writes a PNG: a row for `config`, one for each other regime, and the densities of the shares that `config` draws.

    Where labels are mixed, the share of an image's own class is printed on it. The rows of the regimes are kept in the
    cache: compiling them takes most of the time.

    Args:
        out: the file.
        images: (8, R, R, C) uint8, the same in every row.
        labels: (8,) their class indices.
        classes: the number of classes.
        config: the [augment] section of the config, without "auto".
        seed: of the random numbers.
    """
    side, one_hot = cell_side(images.shape[1]), tf.one_hot(labels, classes)
    first = {"this config": _row(images, one_hot, config, seed, 0)}
    of_boxes = {key: getattr(config, key) for key in ("distort", "expand", "iou_crop")}  # no regime has them
    others = {
        name: row
        for name, row in _regime_rows(images, one_hot, seed).items()
        if Augment(**REGIMES[name], **of_boxes) != config
    }
    if "none" in others:
        first["none"] = others.pop("none")
    alphas = {key: alpha for key in COLORS if (alpha := getattr(config, key))}
    middle = LINE_HEIGHT + side * len(first)
    height = middle + LINE_HEIGHT + side * len(others)
    sheet = Image.new("RGB", (LABEL_WIDTH + side * COLUMNS, height + PLOT_HEIGHT * bool(alphas)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.font = font()
    for top, left, heading, rows in (
        (0, LABEL_WIDTH, caption(images.shape[1]), first),
        (middle, 4, "others that you can switch on:", others),
    ):
        draw.text((left, top + 6), heading, fill="black")
        for number, (name, row) in enumerate(rows.items()):
            row_top = top + LINE_HEIGHT + side * number
            draw.text((4, row_top + side // 2 - 6), name, fill="black")
            sheet.paste(row, (LABEL_WIDTH, row_top))
    if alphas:
        box = (LABEL_WIDTH, height + 12, LABEL_WIDTH + side * COLUMNS - 12, height + PLOT_HEIGHT - 24)
        _draw_densities(draw, box, alphas)
    files.write_atomically(out, lambda file: sheet.save(file, "PNG"))


def _row(images: np.ndarray, one_hot: tf.Tensor, options: Augment, seed: int, number: int) -> Image.Image:
    """Returns the images (N, R, R, C) as `options` augment them, side by side; row `number` has numbers of its own."""
    side = cell_side(images.shape[1])
    row = Image.new("RGB", (side * COLUMNS, side), "white")
    draw = ImageDraw.Draw(row)
    draw.font = font()
    augmentation = Augmentation(options, images.shape[1])
    pixels, mixed = augmentation(tf.constant(images), one_hot, tf.constant([seed, number], tf.int64))
    shares = tf.reduce_sum(mixed * one_hot, axis=1).numpy()
    for column, image in enumerate(np.clip(np.round(pixels), 0, 255).astype(np.uint8)):
        cell = Image.fromarray(np.squeeze(image)).convert("RGB").resize((side, side), Image.Resampling.BOX)
        row.paste(cell, (column * side, 0))
        if shares[column] < 1:
            place = (column * side + 3, side - 13)
            draw.text(place, f"{shares[column]:.2f}", fill="white", stroke_width=1, stroke_fill="black")
    return row


def _regime_rows(images: np.ndarray, one_hot: tf.Tensor, seed: int) -> dict[str, Image.Image]:
    """Returns {name of a regime: its row}, from the cache if they are there."""
    side, numbered = cell_side(images.shape[1]), list(enumerate(REGIMES.items(), 1))
    path = files.cache_folder() / f"regimes-{_digest(images, one_hot, seed)}.png"
    cached = reading.read(path, lambda image: image.convert("RGB"))[0]
    if cached is not None and cached.size == (side * COLUMNS, side * len(REGIMES)):
        tops = {name: side * (number - 1) for number, (name, _) in numbered}
        return {name: cached.crop((0, top, cached.width, top + side)) for name, top in tops.items()}
    rows, sheet = {}, Image.new("RGB", (side * COLUMNS, side * len(REGIMES)))
    for number, (name, options) in progress.counted(numbered, "drawing the augmentations", len(numbered), "row"):
        rows[name] = _row(images, one_hot, Augment(**options), seed, number)
        sheet.paste(rows[name], (0, side * (number - 1)))
    with contextlib.suppress(OSError, UserError):  # the disk is read-only or full: they are drawn again
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, lambda file: sheet.save(file, "PNG"))
    return rows


def _digest(images: np.ndarray, one_hot: tf.Tensor, seed: int) -> str:
    """Returns a hash of everything that the rows of the regimes depend on, the code of this package included."""
    digest = hashlib.sha256(json.dumps([images.shape, seed, REGIMES]).encode())
    digest.update(images.tobytes() + one_hot.numpy().tobytes())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


@functools.cache
def font() -> ImageFont.FreeTypeFont:
    """Returns the font of the labels: Matplotlib's DejaVu Sans, which has Latin, Greek, Cyrillic and Arabic letters."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 11)


def _draw_densities(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], alphas: dict[str, float]) -> None:
    """Draws the density of Beta(alpha, alpha) into a box x0, y0, x1, y1 for each {key of the config: alpha}."""
    left, top, right, bottom = box
    draw.text((4, top), "density of the share,\nBeta(alpha, alpha)", fill="black")
    draw.rectangle(box, outline="gray")
    for number, (key, alpha) in enumerate(alphas.items()):
        draw.text((4, top + 40 + 14 * number), f"{key}: alpha = {alpha:g}", fill=COLORS[key])
        shares = (np.arange(right - left) + 0.5) / (right - left)
        heights = np.minimum(scipy.stats.beta.pdf(shares, alpha, alpha), MAX_DENSITY)
        points = [(left + x, bottom - y / MAX_DENSITY * (bottom - top)) for x, y in enumerate(heights.tolist())]
        draw.line(points, fill=COLORS[key], width=2)
    for share in (0.0, 0.5, 1.0):
        draw.text((left + share * (right - left) - 6, bottom + 4), f"{share:g}", fill="black")
