"""Draws images with their boxes, as they are and augmented."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from tinytrain.config.schema import Config
from tinytrain.data.augment.box_geometry import WEIGHT
from tinytrain.data.augment.boxes import BoxAugmentation
from tinytrain.data.augment.picture import font
from tinytrain.data.boxes import CLASS, CORNERS, NO_BOX
from tinytrain.files import write_atomically

CELL, GAP, COLUMNS, ROWS = 240, 4, 4, 4  # pixels, pixels, images, images
COLORS = ("red", "lime", "deepskyblue", "yellow", "magenta", "orange", "cyan", "white", "violet", "springgreen")


def draw_boxes(path: Path, pixels: np.ndarray, targets: np.ndarray, classes: list[str]) -> None:
    """Writes a PNG of up to 16 images with their boxes; a box of a mixed image has its share beside its class.

    The name of a class has the color of its boxes. It is left out where it would lie on that of a larger box.

    Args:
        path: the file.
        pixels: (N, S, S, C) uint8.
        targets: (N, M, 6) float32: class (-1: no box), x0, y0, x1, y1 in pixels of these images, weight.
        classes: their names.
    """
    shown = min(len(pixels), COLUMNS * ROWS)
    step, rows = CELL + GAP, max(1, -(-shown // COLUMNS))
    sheet = Image.new("RGB", (step * COLUMNS - GAP, step * rows - GAP), "white")
    for number in range(shown):
        row, column = divmod(number, COLUMNS)
        sheet.paste(_cell(pixels[number], targets[number], classes), (column * step, row * step))
    write_atomically(path, lambda file: sheet.save(file, "PNG"))


def draw_samples(
    path: Path, pixels: np.ndarray, targets: np.ndarray, classes: list[str], config: Config, seed: int
) -> None:
    """Writes a PNG of up to 16 images with their boxes as `config` augments them for the network.

    Args:
        path: the file.
        pixels: (N, S, S, C) uint8, decoded at the side that training images are cropped from.
        targets: (N, M, 6) float32: class (-1: no box), x0, y0, x1, y1 in pixels of these images, weight.
        classes: their names.
        config: without "auto".
        seed: of the random numbers.
    """
    shown = COLUMNS * ROWS
    augmentation = BoxAugmentation(config.augment, int(config.model.resolution))
    augmented = augmentation(
        tf.constant(pixels[:shown]), tf.constant(targets[:shown]), tf.constant([seed, 0], tf.int64)
    )
    draw_boxes(path, augmented[0].numpy(), augmented[1].numpy(), classes)


def _cell(image: np.ndarray, targets: np.ndarray, classes: list[str]) -> Image.Image:
    """Returns an image (S, S, C) uint8 with its boxes (M, 6), CELL pixels wide and high."""
    cell = Image.fromarray(np.squeeze(image, -1) if image.shape[-1] == 1 else image).convert("RGB")
    cell = cell.resize((CELL, CELL), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(cell)
    boxes = targets[targets[:, CLASS] != NO_BOX]
    corners = boxes[:, CORNERS] * CELL / len(image)
    for box, (x0, y0, x1, y1) in zip(boxes, np.round(corners).astype(int).tolist(), strict=True):
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=_color(box))
    named: list[tuple[float, ...]] = []
    for number in np.argsort(-np.prod(corners[:, 2:] - corners[:, :2], axis=1)):  # the largest box first
        box, place = boxes[number], tuple((corners[number, :2] + 2).tolist())
        name = classes[int(box[CLASS])] + (f" {box[WEIGHT]:.2f}" if box[WEIGHT] < 1 else "")
        area = draw.textbbox(place, name, font=font(), stroke_width=1)
        if not any(_overlap(area, other) for other in named):  # names on each other could not be read
            draw.text(place, name, fill=_color(box), font=font(), stroke_width=1, stroke_fill="black")
            named.append(area)
    return cell


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    """Returns whether two boxes x0, y0, x1, y1 have an area in common."""
    return all(max(first[axis], second[axis]) < min(first[axis + 2], second[axis + 2]) for axis in (0, 1))


def _color(box: np.ndarray) -> str:
    return COLORS[int(box[CLASS]) % len(COLORS)]
