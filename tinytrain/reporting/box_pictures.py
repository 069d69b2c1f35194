"""Images with boxes drawn into them, for the page."""

import base64
import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tinytrain.tasks.detect.mistakes import FOUND, IGNORED, MISSED, RIGHT, WRONG, Drawn

SIDE = 300  # pixels that an image is enlarged to, so that lines and letters are sharp
GREEN, ORANGE, BLUE, RED, GRAY = "#16a34a", "#f59e0b", "#3b82f6", "#ef4444", "#9ca3af"
TRUE_COLORS = {IGNORED: GRAY, FOUND: GREEN, MISSED: ORANGE}
COLORS = {IGNORED: GRAY, RIGHT: BLUE, WRONG: RED}
LEGEND = [  # color, what it is
    (GREEN, "true box, found"),
    (ORANGE, "true box, missed"),
    (BLUE, "detection, right"),
    (RED, "detection, wrong"),
    (GRAY, "difficult or a crowd: not counted"),
]
CENTRE_LEGEND = [
    (GREEN, "object, found"),
    (ORANGE, "object, missed"),
    (BLUE, "detection, right"),
    (RED, "detection, wrong"),
    (GRAY, "difficult or a crowd: not counted"),
]
RADIUS = 7  # pixels of the mark of a centre
LABELLED = (MISSED, WRONG)  # the boxes whose class is written to them


def draw(image: np.ndarray, boxes: list[Drawn], transform: np.ndarray, is_centre: bool = False) -> Image.Image:
    """Returns an image with its boxes, SIDE pixels wide; what is wrong is drawn last and with its class.

    Args:
        image: (R, R, 1 or 3) uint8, as the network sees it.
        boxes: in pixels of the original image.
        transform: (4,) how the original was resized to `image`: scale x and y, offset x and y.
        is_centre: draw centres alone: rings of true boxes, crosses of detections.
    """
    pixels = np.squeeze(image, axis=-1) if image.shape[-1] == 1 else image
    zoom = SIDE / image.shape[1]
    size = SIDE, round(zoom * image.shape[0])
    picture = Image.fromarray(pixels).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(picture)
    for box in sorted(boxes, key=lambda each: each.state in LABELLED):  # a stable sort
        color = (TRUE_COLORS if box.true else COLORS)[box.state]
        corners = zoom * (np.reshape(box.corners, (2, 2)) * transform[:2] + transform[2:])
        if is_centre:
            corners = corners.mean(axis=0) + np.array([[-RADIUS], [RADIUS]])
        (x0, y0), (x1, y1) = np.clip(np.sort(corners, axis=0), 0, np.subtract(size, 1)).tolist()
        _mark(canvas, (x0, y0, x1, y1), color, box.true, is_centre)
        if box.state in LABELLED:
            is_below_edge = box.true != is_centre  # inside of an outline, but beside the mark of a centre
            _write(canvas, (x0, y0 if box.true else y1), is_below_edge, size, box, color)
    return picture


def data_uri(picture: Image.Image) -> str:
    """Returns a picture as the data URI of a JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _mark(
    canvas: ImageDraw.ImageDraw, corners: tuple[float, float, float, float], color: str, true: bool, is_centre: bool
) -> None:
    if not is_centre:
        canvas.rectangle(corners, outline=color, width=2)
    elif true:
        canvas.ellipse(corners, outline=color, width=3)
    else:
        x0, y0, x1, y1 = corners
        canvas.line((x0, y0, x1, y1), fill=color, width=3)
        canvas.line((x0, y1, x1, y0), fill=color, width=3)


def _write(
    canvas: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    is_below: bool,
    size: tuple[int, int],
    box: Drawn,
    color: str,
) -> None:
    """Writes the class of a box below or above a corner: of a true one the upper, of a detection the lower one.

    A detection has its score behind its class.
    """
    font = ImageFont.load_default(11)
    text = box.name if box.score is None else f"{box.name} {box.score:.2f}"
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = max(min(corner[0], size[0] - width), 0)
    y = max(min(corner[1] if is_below else corner[1] - height, size[1] - height), 0)
    canvas.rectangle((x, y, x + width, y + height), fill=color)
    canvas.text((x + 2 - left, y + 2 - top), text, fill="black" if color == ORANGE else "white", font=font)
