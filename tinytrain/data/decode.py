"""Converts an image to what the network sees: upright, 8 bits a channel, gray or RGB, on white where transparent.

The level of white follows from the type of the file, never from its values: 65535 in 16 bits, 4095 in 12 bits, 1 in
floating point. Types that do not define it, such as 32-bit integers, are refused: a guess could make the same scene
dark in one file and bright in another.
"""

from typing import Any, cast

import numpy as np
from PIL import Image, ImageOps

GRAY_MODES = {"1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N", "I", "F"}  # of PIL; the others are color
ORIENTATION, BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 0x0112, 258, 262, 0  # tags and a value of EXIF and TIFF


class UnknownWhiteLevel(ValueError):
    """The type or the values of a file do not define which level is white."""


def upright_8bit(image: Image.Image) -> tuple[Image.Image, bool]:
    """Returns the image upright in mode "L" or "RGB", and whether parts of it were transparent and are white now.

    Raises:
        UnknownWhiteLevel: the pixels are 32-bit integers, or floating point outside of 0..1.
    """
    image.load()  # turns a TIFF file upright
    reduced = _reduce_depth(image)  # before the rotation, which loses the tags of the file
    upright = image if reduced is None else reduced
    orientation = image.getexif().get(ORIENTATION, 1)
    if orientation != 1:
        upright.getexif()[ORIENTATION] = orientation
        upright = ImageOps.exif_transpose(upright)
    if upright.has_transparency_data:
        return _on_white(upright)
    mode = "L" if upright.mode in GRAY_MODES else "RGB"
    return (upright if upright.mode == mode else upright.convert(mode)), False


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Returns the image on a white background, and whether any pixel of it was transparent."""
    mode = "L" if image.mode in GRAY_MODES else "RGB"
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema()[0] == 255:
        return layer.convert("RGB").convert(mode), False
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB").convert(mode), True


def _reduce_depth(image: Image.Image) -> Image.Image | None:
    """Returns an image of more than 8 bits as "L", rounded to the nearest level; None for an image of 8 bits."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        white = 2 ** int(_tiff_tag(image, BITS_PER_SAMPLE, (16,))[0]) - 1
        values = np.asarray(image).astype(np.uint32)
        gray = np.minimum((values * 255 + white // 2) // white, 255).astype(np.uint8)
    elif image.mode == "F":
        gray = _from_float(np.asarray(image))
    elif image.mode == "I":
        raise UnknownWhiteLevel(
            "its pixels are signed or 32-bit whole numbers, for which white is not defined; save it as 8 or 16 bit"
        )
    else:
        return None
    # Pillow inverts images with WHITE_IS_ZERO only if they have 8 bits.
    return Image.fromarray(255 - gray if _tiff_tag(image, PHOTOMETRIC, 1) == WHITE_IS_ZERO else gray)


def _from_float(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # true for NaN, too
        raise UnknownWhiteLevel(
            f"its pixels are floating point from {low:g} to {high:g}, and only 0 (black) to 1 (white) is defined; "
            "scale them, or save it as 8 or 16 bit"
        )
    return np.round(values * 255).astype(np.uint8)


def _tiff_tag(image: Image.Image, number: int, default: Any) -> Any:
    """Returns the value of a tag of a TIFF file, or `default` if it has none or is of another format."""
    return cast(Any, image).tag_v2.get(number, default) if image.format == "TIFF" else default
