"""A picture with the boxes that were found in it, or with its class on a strip below."""

import colorsys
import math
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tinytrain import files
from tinytrain.data.augment import picture as augment_picture
from tinytrain.data.decode import upright_8bit
from tinytrain.predicting.pictures import JPEG_SUFFIXES

LEAST_SIDE = 320  # pixels: a smaller picture is enlarged, so that letters fit
LETTERS, LEAST_LETTERS, LINE = 1 / 30, 12, 1 / 250  # height of a letter and width of a line, shares of the longer side
QUALITY = 90  # of a JPEG
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2  # of the color circle, between two classes: no two of many are alike


def color(number: int) -> tuple[int, int, int]:
    """Returns the color of a class."""
    red, green, blue = colorsys.hsv_to_rgb((0.02 + number * GOLDEN_RATIO) % 1, 0.85, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw(image: Image.Image, row: dict[str, Any], classes: list[str]) -> Image.Image:
    """Returns the upright image in RGB with what `row` tells of it (rows.py).

    An image of less than LEAST_SIDE pixels is enlarged by a whole factor.
    """
    upright = upright_8bit(image)[0].convert("RGB")
    zoom = max(1, math.ceil(LEAST_SIDE / max(upright.size)))
    upright = upright.resize((zoom * upright.width, zoom * upright.height), Image.Resampling.NEAREST)
    if "boxes" in row:
        _draw_boxes(upright, row["boxes"], classes, zoom)
        return upright
    return _with_caption(upright, f"{row['label']} {100 * row['probability']:.1f} %")


def save(picture: Image.Image, path: Path) -> None:
    """Writes a picture as JPEG or PNG, as the name of the file says."""
    files.make_folder(path.parent)
    options = {"format": "JPEG", "quality": QUALITY} if path.suffix.lower() in JPEG_SUFFIXES else {"format": "PNG"}
    files.write_atomically(path, lambda file: picture.save(file, **options))


def _draw_boxes(picture: Image.Image, boxes: list[dict[str, Any]], classes: list[str], zoom: int) -> None:
    pen, side = ImageDraw.Draw(picture), max(picture.size)
    font, width = _font(side), max(2, round(LINE * side))
    labels = []
    for box in reversed(boxes):  # the best ones on top
        paint = color(classes.index(box["label"]) if box["label"] in classes else int(box["label"]))
        x0, y0, x1, y1 = (zoom * edge for edge in box["box"])
        right, bottom = max(x0, min(x1, picture.width) - 1), max(y0, min(y1, picture.height) - 1)
        pen.rectangle((x0, y0, right, bottom), outline=paint, width=width)
        labels.append(((x0, y0), f"{box['label']} {box['score']:.2f}", paint))
    for corner, text, paint in labels:
        _write(pen, picture.size, corner, text, paint, font)


def _write(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    corner: tuple[float, float],
    text: str,
    background: tuple[int, int, int],
    font: ImageFont.FreeTypeFont,
) -> None:
    """Writes the class and the score of a box above its left upper corner, or inside where there is no room."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = max(0, min(corner[0], size[0] - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    pen.rectangle((x, y, x + width, y + height), fill=background)
    bright = 0.299 * background[0] + 0.587 * background[1] + 0.114 * background[2] > 128
    pen.text((x + 2 - left, y + 2 - top), text, fill="black" if bright else "white", font=font)


def _with_caption(picture: Image.Image, text: str) -> Image.Image:
    """Returns the picture with a strip below it that holds `text`, in letters that fit."""
    font = _font(max(picture.size))
    while font.getlength(text) > picture.width - 8 and font.size > LEAST_LETTERS:
        font = font.font_variant(size=font.size - 1)
    height = round(1.6 * font.size)
    sheet = Image.new("RGB", (picture.width, picture.height + height), "white")
    sheet.paste(picture, (0, 0))
    ImageDraw.Draw(sheet).text((4, picture.height + height / 2), text, fill="black", font=font, anchor="lm")
    return sheet


def _font(side: int) -> ImageFont.FreeTypeFont:
    return augment_picture.font().font_variant(size=max(LEAST_LETTERS, round(LETTERS * side)))
