"""Frames as a camera sends them, brought to the input of a network with integers alone, as firmware/library does it.

Of a frame w pixels wide, W pixels of the input show the part that begins at f and is l long, both in 1/65536 pixel.
With the step s = l // W, the centre of pixel i of the input lies at

    c = f + i·s + s // 2 - 32768        in 1/65536 pixel, cut to 0 … 65536·(w - 1)

and likewise along the height. Between the pixels a, b of the upper row and c, d of the lower one, with the shares x and
y of the right and the lower ones in 1/256 (bits 8 to 15 of the centres), a pixel of the input is

    ((256 - y)·((256 - x)·a + x·b) + y·((256 - x)·c + x·d) + 32768) >> 16

It is computed of each channel, after the colors of the four pixels: of 5 or 6 bits the highest are repeated below, YUV
is BT.601 of full range, as JPEG has it, with the colors of a pair for both pixels. Gray is Y, or Pillow's of R, G and
B. Unlike in Pillow's resize nothing is averaged where a frame is made smaller: pixels between the centres are not seen.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from PIL import Image

from tinytrain.config.fields import FRAME_FORMATS
from tinytrain.data import resizing
from tinytrain.errors import UserError

BYTES = dict(zip(FRAME_FORMATS, (3, 2, 2, 2, 2, 1), strict=True))  # of a pixel
YUV = {"yuyv": (0, 1, 3), "uyvy": (1, 0, 2)}  # where the first Y, U and V of a pair stand
ONE, HALF = 2**16, 2**15


@dataclass(frozen=True)
class Axis:
    """Where the pixels of an input come from, along one axis.

    The `length` that is seen of a frame of `side` pixels, from `first` on, both in 1/65536 pixel, lies on `size` pixels
    of the input from `offset` on; those outside are black.
    """

    side: int
    first: int
    length: int
    offset: int
    size: int

    @property
    def step(self) -> int:
        """From one pixel of the input to the next, in 1/65536 pixel of the frame."""
        return self.length // self.size

    def between(self, pixels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns of the input's pixels: which show the frame, the two of the frame they lie between, the share."""
        place = np.arange(pixels, dtype=np.int64) - self.offset
        inside = (place >= 0) & (place < self.size)
        last = ONE * (self.side - 1)
        centre = np.clip(self.first + place * self.step + self.step // 2 - HALF, 0, last)
        return inside, centre // ONE, np.minimum(centre // ONE + 1, self.side - 1), centre // 256 % 256

    def edge(self, edge: int) -> int:
        """Returns where an edge of a box, in 1/16 pixel of the input, lies in the frame, in 1/16 pixel of that."""
        seen = min(max(edge - 16 * self.offset, 0), 16 * self.size)
        return (self.first + seen * self.length // (16 * self.size) + 2048) // 4096


def place(width: int, height: int, columns: int, rows: int, resize: str) -> tuple[Axis, Axis]:
    """Returns the axes x and y of an input of columns x rows for a frame of width x height; see `resizing.prepare`."""
    if resize == "crop":
        ratio = Fraction(columns, rows)
        seen = min(Fraction(width), height * ratio), min(Fraction(height), width / ratio)
        return _middle_of(width, seen[0], columns), _middle_of(height, seen[1], rows)
    if resize == "pad":
        scale = min(Fraction(columns, width), Fraction(rows, height))
        return _centred(width, round(width * scale), columns), _centred(height, round(height * scale), rows)
    if resize == "eval_crop":
        shorter = -(-8 * columns // 7)
        scale = Fraction(shorter, min(width, height))
        return _centred(width, int(width * scale), columns), _centred(height, int(height * scale), rows)
    return _middle_of(width, Fraction(width), columns), _middle_of(height, Fraction(height), rows)


def _middle_of(side: int, seen: Fraction, pixels: int) -> Axis:
    length = int(ONE * seen)
    return Axis(side, (ONE * side - length) // 2, length, 0, pixels)


def _centred(side: int, size: int, pixels: int) -> Axis:
    """Returns the axis of all of a side on `size` pixels, whose middle is that of the input."""
    return Axis(side, 0, ONE * side, round(Fraction(pixels - max(size, 1), 2)), max(size, 1))


def resized(image: np.ndarray, columns: int, rows: int, resize: str) -> np.ndarray:
    """Returns an image (H, W, C) uint8 as the input of a network, (rows, columns, C) uint8."""
    x, y = place(image.shape[1], image.shape[0], columns, rows, resize)
    seen_x, left, right, share_x = x.between(columns)
    seen_y, upper, lower, share_y = y.between(rows)
    wide, share_x, share_y = image.astype(np.int64), share_x[None, :, None], share_y[:, None, None]
    of_upper, of_lower = (
        (256 - share_x) * wide[line][:, left] + share_x * wide[line][:, right] for line in (upper, lower)
    )
    pixels = ((256 - share_y) * of_upper + share_y * of_lower + HALF) // ONE
    return (pixels * (seen_y[:, None, None] & seen_x[None, :, None])).astype(np.uint8)


def colors(rows: np.ndarray, width: int, form: str, channels: int) -> np.ndarray:
    """Returns the frame `rows` (H, bytes of a row or more) uint8 as (H, width, channels) uint8: R, G, B, or gray."""
    used = rows[:, : width * BYTES[form]].reshape(len(rows), width, BYTES[form]).astype(np.int64)
    if form == "gray8":
        return used.astype(np.uint8)
    if form in YUV:
        first, u, v = YUV[form]
        luma = used[..., first]
        if channels == 1:
            return luma[..., None].astype(np.uint8)
        pairs = used.reshape(len(rows), width // 2, 4)
        blue, red = (np.repeat(pairs[..., at], 2, axis=1) - 128 for at in (u, v))
        rgb = _rgb(luma, blue, red)
    elif form == "rgb888":
        rgb = used
    else:
        low, high = (used[..., 0], used[..., 1]) if form == "rgb565-le" else (used[..., 1], used[..., 0])
        rgb = _of_565(low + 256 * high)
    return (rgb if channels == 3 else gray(rgb)).astype(np.uint8)


def gray(rgb: np.ndarray) -> np.ndarray:
    """Returns (…, 1) int64: the gray of colors (…, 3) 0..255, as Pillow computes it."""
    return ((rgb.astype(np.int64) @ np.array([19595, 38470, 7471]) + HALF) // ONE)[..., None]


def _rgb(luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    """Returns (…, 3) of Y 0..255 and the differences of blue and red -128..127."""
    of_red = luma + (91881 * red + HALF) // ONE
    of_green = luma - (22554 * blue + 46802 * red + HALF) // ONE
    of_blue = luma + (116130 * blue + HALF) // ONE
    return np.clip(np.stack([of_red, of_green, of_blue], axis=-1), 0, 255)


def _of_565(words: np.ndarray) -> np.ndarray:
    red, green, blue = words // 2048, words // 32 % 64, words % 32
    return np.stack([red * 8 + red // 4, green * 4 + green // 16, blue * 8 + blue // 4], axis=-1)


def encoded(image: np.ndarray, form: str) -> np.ndarray:
    """Returns an image (H, W, 1 or 3) uint8 as the rows of a frame, (H, bytes) uint8.

    Colors lose bits in RGB565, and in YUV pairs of pixels share the mean of theirs; of an odd width the last column is
    left out there.
    """
    if form in YUV:
        image = image[:, : image.shape[1] // 2 * 2]
    rgb = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.int64)
    if form == "gray8":
        pixels = image if image.shape[2] == 1 else gray(rgb)
    elif form == "rgb888":
        pixels = rgb
    elif form in YUV:
        pixels = _yuv(rgb, form)
    else:
        words = rgb[..., 0] // 8 * 2048 + rgb[..., 1] // 4 * 32 + rgb[..., 2] // 8
        low_first = [words % 256, words // 256]
        pixels = np.stack(low_first if form == "rgb565-le" else low_first[::-1], axis=-1)
    return pixels.astype(np.uint8).reshape(len(image), -1)


def _yuv(rgb: np.ndarray, form: str) -> np.ndarray:
    luma = gray(rgb)[..., 0]
    means = rgb.reshape(len(rgb), -1, 2, 3).mean(axis=2)
    blue, red = means @ [-0.168736, -0.331264, 0.5], means @ [0.5, -0.418688, -0.081312]
    first, u, v = YUV[form]
    pairs = np.empty((len(rgb), rgb.shape[1] // 2, 4), np.int64)
    pairs[..., first], pairs[..., first + 2] = luma[:, ::2], luma[:, 1::2]
    pairs[..., u], pairs[..., v] = (np.clip(np.floor(128.5 + each), 0, 255) for each in (blue, red))
    return pairs


def prepare(image: Image.Image, resolution: int, channels: int, resize: str, form: str) -> np.ndarray:
    """Returns an image as a library makes it of a frame in this format, (resolution, resolution, channels) uint8.

    Arguments are those of `resizing.prepare`, which does the same with Pillow's filter.
    """
    upright = resizing.as_array(image, 1 if form == "gray8" else 3)
    rows = encoded(upright, form)
    return resized(colors(rows, rows.shape[1] // BYTES[form], form, channels), resolution, resolution, resize)


def check(form: str, channels: int) -> None:
    """Raises UserError unless a network of so many channels takes frames of this format."""
    if form == "gray8" and channels != 1:
        raise UserError(
            f"--frames gray8 has no colors, but this network takes {channels} channels: "
            f"expected one of {', '.join(name for name in FRAME_FORMATS if name != 'gray8')}"
        )
