"""An image as the network sees it: upright, 8 bits a channel, gray or RGB, on white where it is transparent.

What white is follows from the type of the file, never from its values: 65535 in 16 bits, 4095 in 12 bits, 1 in floating
point. A type that does not say it, such as 32-bit whole numbers, is refused: a guess would make the same scene dark in
one file and bright in the next.
"""

from typing import Any, cast

import numpy as np
from PIL import Image, ImageOps

GRAY = {"1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N", "I", "F"}  # PIL modes; the others are color
ORIENTATION, BITS, PHOTOMETRIC, WHITE_IS_ZERO = 0x0112, 258, 262, 0  # numbers of EXIF and TIFF


class NoScale(ValueError):
    """The type of a file, or a value that it holds, does not say what white is."""


def flat(image: Image.Image) -> tuple[Image.Image, bool]:
    """Returns (the image upright in mode "L" or "RGB", whether some of it was transparent and is on white now).

    Raises NoScale for 32-bit whole numbers and for floating point that is not in 0..1.
    """
    image.load()  # a TIFF file is turned upright by this
    deep = _deep(image)  # before it is turned: a turned image has forgotten its file
    upright = image if deep is None else deep
    turn = image.getexif().get(ORIENTATION, 1)
    if turn != 1:
        upright.getexif()[ORIENTATION] = turn
        upright = ImageOps.exif_transpose(upright)
    if upright.has_transparency_data:
        return _on_white(upright)
    mode = "L" if upright.mode in GRAY else "RGB"
    return (upright if upright.mode == mode else upright.convert(mode)), False


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    mode = "L" if image.mode in GRAY else "RGB"
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema()[0] == 255:
        return layer.convert("RGB").convert(mode), False
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB").convert(mode), True


def _deep(image: Image.Image) -> Image.Image | None:
    """Returns an image of more than 8 bits as "L", rounded to the nearest value; None for one of 8 bits."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        white = 2 ** int(_tag(image, BITS, (16,))[0]) - 1
        values = np.asarray(image).astype(np.uint32)
        gray = np.minimum((values * 255 + white // 2) // white, 255).astype(np.uint8)
    elif image.mode == "F":
        gray = _from_float(np.asarray(image))
    elif image.mode == "I":
        raise NoScale(
            "its pixels are signed or 32-bit whole numbers, for which white is not defined; save it as 8 or 16 bit"
        )
    else:
        return None
    # Pillow turns such images over in 8 bits only.
    return Image.fromarray(255 - gray if _tag(image, PHOTOMETRIC, 1) == WHITE_IS_ZERO else gray)


def _from_float(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # also where a value is not a number
        raise NoScale(
            f"its pixels are floating point from {low:g} to {high:g}, and only 0 (black) to 1 (white) is defined; "
            "scale them, or save it as 8 or 16 bit"
        )
    return np.round(values * 255).astype(np.uint8)


def _tag(image: Image.Image, number: int, default: Any) -> Any:
    """Returns what a TIFF file says under a tag, `default` for other files."""
    return cast(Any, image).tag_v2.get(number, default) if image.format == "TIFF" else default
