"""The picture of `tinytrain bench` for a detector: images with their true boxes, the host's and the board's."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from tinytrain.data import boxes
from tinytrain.deploy.decode.boxes import BOX, as_detections
from tinytrain.deploy.exported import Exported
from tinytrain.errors import UserError
from tinytrain.run import Run

SIDE = 240  # of a picture on the sheet, in pixels
_MARGIN, _HEADING = 8, 20
_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2", "#FFFFFF")  # Okabe and Ito


@dataclass(frozen=True)
class Row:
    """One image: (R, R, 1 or 3) uint8, and its boxes: truth (M, FIELDS), None if unknown, host and board (D, 6).

    All corners are in pixels of the image; host and board as `as_detections` gives them.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray | None
    host: np.ndarray
    board: np.ndarray


def rows(result: dict[str, Any], exported: Exported) -> list[Row]:
    """Returns the images that bench.json has the board's boxes of, in its section "boxes"."""
    different, names = {row["image"] for row in result["boxes"]["differences"]}, _names(exported)
    return [
        _row(shown["image"], shown["board"], shown["image"] in different, names[shown["image"]], exported)
        for shown in result["boxes"]["shown"]
    ]


def _names(exported: Exported) -> list[str]:
    """Returns a name for each image: that of its file if the run that the export stands in knows it."""
    files: list[Any] = []
    with contextlib.suppress(UserError):  # none, or a damaged one
        files = Run(exported.folder.absolute().parent).split().get("test", [])
    if len(files) != len(exported.inputs):
        return [f"image {number}" for number in range(len(exported.inputs))]
    return [Path(str(file)).name for file in files]


def _row(image: int, board: list[list[int]], different: bool, name: str, exported: Exported) -> Row:
    truth = None if exported.annotations is None else exported.annotations[image]
    heading = f"{'DIFFERENT ' if different else ''}{name}"
    of_board = np.array([(*box, 0) for box in board], BOX)
    return Row(
        heading, _pixels(image, exported), truth, as_detections(exported.boxes_of(image)), as_detections(of_board)
    )


def _pixels(image: int, exported: Exported) -> np.ndarray:
    """Returns the pixels of an image, (R, R, 1 or 3) uint8; where none give its input, the input itself."""
    values = exported.inputs[image]
    try:
        return np.frombuffer(exported.pixels_of(image), np.uint8).reshape(values.shape)
    except UserError:  # noise
        return (values.astype(np.int16) + 128).astype(np.uint8)


def draw(rows: Sequence[Row], classes: Sequence[str], file: IO[bytes]) -> None:
    """Writes a PNG with a line for each image: truth, host, board. Classes have colors, boxes of a detector scores."""
    columns = ("truth", "host", "board")
    step = SIDE + _MARGIN
    line = step + _HEADING
    sheet = Image.new("RGB", (_MARGIN + step * len(columns), line * len(rows) + _MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        top = number * line + _HEADING
        drawn: dict[str, list[tuple[Any, ...]]] = {
            "truth": [] if row.truth is None else [(*box[boxes.CORNERS], None, box[boxes.CLASS]) for box in row.truth],
            "host": [tuple(box) for box in row.host],
            "board": [tuple(box) for box in row.board],
        }
        for place, column in enumerate(columns):
            left = _MARGIN + place * step
            heading = f"{column}: {row.name}" if place == 0 else column
            pen.text((left, top - _HEADING + 4), _fitting(heading, pen), fill="black", font=_font())
            sheet.paste(_picture(row.image, drawn[column], classes), (left, top))
    sheet.save(file, "PNG")


def _fitting(text: str, pen: ImageDraw.ImageDraw) -> str:
    """Returns a heading; where it is wider than a picture, without its middle: names of files differ at the end."""
    fitting, kept = text, len(text)
    while pen.textlength(fitting, font=_font()) > SIDE and kept > 2:
        kept -= 1
        fitting = f"{text[: kept // 2]}…{text[len(text) - kept // 2 :]}"
    return fitting


def _picture(image: np.ndarray, drawn: list[tuple[Any, ...]], classes: Sequence[str]) -> Image.Image:
    """Returns an image of SIDE pixels with boxes (x0, y0, x1, y1, score or None, class) drawn on it."""
    pixels = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    picture = pixels.resize((SIDE, SIDE), Image.Resampling.NEAREST if image.shape[0] < SIDE else Image.Resampling.BOX)
    pen = ImageDraw.Draw(picture)
    scale = np.array([SIDE / image.shape[1], SIDE / image.shape[0]] * 2)
    labels: list[tuple[tuple[float, float], str, str]] = []
    for *corners, score, label in reversed(drawn):  # the best ones on top
        if (number := int(label)) == boxes.NO_BOX:
            continue
        color = _COLORS[number % len(_COLORS)]
        x0, y0, x1, y1 = np.array(corners) * scale
        pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=color, width=2)
        name = classes[number] if number < len(classes) else str(number)
        text = name if score is None else f"{name} {score:.2f}"
        labels.append(((x0, y0), text, color))
    for corner, text, color in labels:  # above all boxes
        _label(pen, corner, text, color)
    return picture


def _label(pen: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, color: str) -> None:
    """Writes class and score on a ground of the color of the class, which any picture leaves to be read."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=_font())
    width, height = right - left + 4, bottom - top + 4
    x, y = max(0, min(corner[0], SIDE - width)), max(0, min(corner[1], SIDE - height))
    pen.rectangle((x, y, x + width, y + height), fill=color)
    red, green, blue = ImageColor.getrgb(color)[:3]
    ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else "white"
    pen.text((x + 2 - left, y + 2 - top), text, fill=ink, font=_font())


def _font() -> Any:
    from tinytrain.data.augment.picture import font  # letters of many scripts; needs TensorFlow, which reads the model

    return font()
