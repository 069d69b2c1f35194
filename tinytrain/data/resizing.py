"""Brings one image to the size that a network takes (data.resize), or to the size that it is kept at."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from tinytrain.data.decode import upright_8bit

EVAL_SHARE = 0.875  # of the shorter side that "eval_crop" keeps: 224 of 256, as the papers evaluate
BILINEAR = Image.Resampling.BILINEAR


class Transform(NamedTuple):
    """How an image was resized: a place (x, y) in it, in pixels, is at (scale_x·x + offset_x, scale_y·y + offset_y)."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


def prepare(image: Image.Image, resolution: int, channels: int, resize: str) -> tuple[np.ndarray, Transform]:
    """Returns one image as (resolution, resolution, channels) uint8, and how it was resized.

    The filter is antialiased bilinear, the image turned upright by its EXIF. What is transparent is put on white.

    Args:
        image: of any size and mode.
        resolution: side of the result in pixels.
        channels: 1 gray or 3 color.
        resize: "stretch" ignores the aspect, "crop" keeps the centre square, "eval_crop" the inner 7/8 of its sides,
            "pad" adds black borders.
    """
    upright = _converted(image, channels)
    transform = transform_of(upright.size, resolution, resize)
    return _array(resized(upright, resolution, resize), channels), transform


def resized(upright: Image.Image, resolution: int, resize: str) -> Image.Image:
    """Returns what `prepare` makes of an image that is upright and of the right mode."""
    size = (resolution, resolution)
    if resize == "eval_crop":
        width, height = _eval_size(upright.size, resolution)
        left, top = _eval_corner((width, height), resolution)
        return upright.resize((width, height), BILINEAR).crop((left, top, left + resolution, top + resolution))
    if upright.size == size:
        return upright
    how = {"crop": ImageOps.fit, "pad": ImageOps.pad}.get(resize)
    return how(upright, size, method=BILINEAR) if how else upright.resize(size, BILINEAR)


def transform_of(size: tuple[int, int], resolution: int, resize: str) -> Transform:
    """Returns what `prepare` does to an upright image of `size` (width, height), as ImageOps rounds it."""
    width, height = size
    if resize == "pad":
        inner = [min(resolution, round(side / other * resolution)) for side, other in (size, size[::-1])]
        offsets = [round((resolution - side) * 0.5) for side in inner]
        return Transform(inner[0] / width, inner[1] / height, *offsets)
    if resize == "crop":
        scale = resolution / min(width, height)
        return Transform(scale, scale, (resolution - width * scale) / 2, (resolution - height * scale) / 2)
    if resize == "eval_crop":
        new_size = _eval_size(size, resolution)
        left, top = _eval_corner(new_size, resolution)
        return Transform(new_size[0] / width, new_size[1] / height, -left, -top)
    return Transform(resolution / width, resolution / height, 0.0, 0.0)


def shrunk(image: Image.Image, shorter: int, channels: int) -> np.ndarray:
    """Returns an image (H, W, channels) uint8 whose shorter side is `shorter`, or less where the image is smaller."""
    upright = _converted(image, channels)
    if min(upright.size) > shorter:
        upright = upright.resize(_with_shorter_side(upright.size, shorter), BILINEAR)
    return _array(upright, channels)


def as_array(image: Image.Image, channels: int) -> np.ndarray:
    """Returns an image as it is, upright and (H, W, channels) uint8."""
    return _array(_converted(image, channels), channels)


def of_array(pixels: np.ndarray) -> Image.Image:
    """Returns an array (H, W, channels) uint8 as an image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _converted(image: Image.Image, channels: int) -> Image.Image:
    upright, _ = upright_8bit(image)
    mode = "L" if channels == 1 else "RGB"
    return upright if upright.mode == mode else upright.convert(mode)


def _array(image: Image.Image, channels: int) -> np.ndarray:
    return np.asarray(image, np.uint8).reshape(image.height, image.width, channels)


def _eval_size(size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """Returns the (width, height) that "eval_crop" cuts the centre out of."""
    return _with_shorter_side(size, math.ceil(resolution / EVAL_SHARE))


def _eval_corner(size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """Returns the left and the top of the centre, as torchvision's CenterCrop rounds them."""
    return round((size[0] - resolution) / 2), round((size[1] - resolution) / 2)


def _with_shorter_side(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Returns (width, height) as torchvision's Resize rounds them: the longer side is cut off."""
    width, height = size
    return (shorter, int(shorter * height / width)) if width <= height else (int(shorter * width / height), shorter)
