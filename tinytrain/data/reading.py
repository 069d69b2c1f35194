"""Opens one image file and says what is known of it, or why it cannot be used."""

import hashlib
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from tinytrain.data.decode import ORIENTATION, UnknownWhiteLevel, upright_8bit
from tinytrain.data.facts import DIGEST_BYTES, ImageInfo

T = TypeVar("T")
Item = TypeVar("Item")
THREADS = max(4, os.cpu_count() or 1)
PREFETCH = 16 * THREADS  # images that are decoded ahead
MAX_PIXELS = 128_000_000  # of one image: 384 MB once it is decoded
MAX_CONCURRENT_PIXELS = 32_000_000  # of images that are decoded at the same time, unless a single one has more
HASHED_PIXELS = 1 << 20  # about how many are hashed at a time
NOT_AN_IMAGE = "not an image"  # the problem of a file whose name does not promise an image
FORMATS = "JPEG, PNG, WebP, TIFF, BMP, GIF and others that Pillow opens"
# Pillow writes these, or passes them on to other programs, but they are not images here.
EXCLUDED_SUFFIXES = {".pdf", ".mpg", ".mpeg", ".h5", ".hdf", ".grib", ".bufr", ".fit", ".fits"}
# Images that Pillow does not open.
UNSUPPORTED_SUFFIXES = {
    ".heic", ".heif", ".svg", ".jxl", ".raw", ".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2",
}  # fmt: skip
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def in_threads(function: Callable[[Item], T], items: Iterable[Item]) -> Iterator[T]:
    """Yields `function` of each item in order, computed in threads, PREFETCH of them ahead; without warnings.

    Pillow warns of large or damaged images: what is wrong with one is told in words of our own.
    """
    rest = iter(items)
    with ThreadPoolExecutor(THREADS) as threads:
        while part := list(islice(rest, PREFETCH)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                done = list(threads.map(function, part))
            yield from done


def info(image: Image.Image) -> ImageInfo:
    """Returns what is known about an image: its size, its mode and its pixels, upright, in RGB, on white."""
    mode, turn = image.mode, image.getexif().get(ORIENTATION, 1)
    orientation = int(turn) if turn in range(2, 9) else 1
    upright, transparent = upright_8bit(image)
    if upright.mode != "RGB":
        upright = upright.convert("RGB")
    counts = np.array(upright.histogram(), np.int64).reshape(3, 256)  # of R, G, B: exact, without a copy of the image
    values, total = np.arange(256), upright.width * upright.height
    mean, square = counts @ values / (255 * total), counts @ values**2 / (255**2 * total)
    mean, square = (each.astype(np.float32).tolist() for each in (mean, square))
    return ImageInfo(upright.size, mode, _digest(upright), tuple(mean), tuple(square), transparent, orientation)


def _digest(image: Image.Image) -> str:
    """Returns a hash of the size and the pixels, computed in bands of rows to save memory."""
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=DIGEST_BYTES)
    rows = max(1, HASHED_PIXELS // image.width)
    for top in range(0, image.height, rows):
        digest.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    return digest.hexdigest()


class _PixelBudget:
    """Limits how many pixels are decoded at the same time; a larger image is decoded alone."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used, self.changed = limit, 0, threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Waits until `pixels` more may be decoded, and reserves them for the block."""
        pixels = min(pixels, self.limit)
        with self.changed:
            self.changed.wait_for(lambda: self.used + pixels <= self.limit)
            self.used += pixels
        try:
            yield
        finally:
            with self.changed:
                self.used -= pixels
                self.changed.notify_all()


_BUDGET = _PixelBudget(MAX_CONCURRENT_PIXELS)


def decode(path: Path, function: Callable[[Image.Image], Any]) -> Any:
    """Returns `function` of the image in a file; raises whatever Pillow raises, and UnknownWhiteLevel."""
    # Given a path, Pillow would map some TIFF files into memory, and scramble those that are not upright.
    with path.open("rb") as file, Image.open(file) as image:
        if image.format == "EPS":  # a program, which Pillow would run in Ghostscript
            raise UnidentifiedImageError("EPS")
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{image.width:,} x {image.height:,} pixels")
        with _BUDGET.reserve(pixels):
            return function(image)


def read(path: Path, function: Callable[[Image.Image], T]) -> tuple[T | None, str, bool]:
    """Returns `function` of the image in a file, why it cannot be used as an image, and whether that may change.

    The reason is "" where there is none, and the first value None where there is one.
    """
    try:
        return decode(path, function), "", False
    except UnidentifiedImageError:
        return None, _unidentified(path), False
    except Image.DecompressionBombError as error:
        size = str(error).partition(" exceeds")[0].removeprefix("Image size ").strip("()")
        return None, f"too large: {size}, at most {MAX_PIXELS:,} pixels are decoded; make it smaller", False
    except UnknownWhiteLevel as error:
        return None, f"undefined brightness: {error}", False
    except MemoryError:
        return None, "too large: there is not enough memory to decode it; make it smaller", True
    except OSError as error:
        if error.errno is None:  # raised by Pillow, about the content of the file
            return None, f"damaged image: {error}", False
        return None, f"cannot be read: {error.strerror}", True
    except Exception as error:  # decoders raise all kinds for damaged files: struct.error, IndexError, …
        return None, f"damaged image: {str(error) or type(error).__name__}", False


def _unidentified(path: Path) -> str:
    """Returns the problem of a file that Pillow does not identify; NOT_AN_IMAGE if its name does not promise one."""
    if path.suffix.lower() not in image_suffixes():
        return NOT_AN_IMAGE
    if path.stat().st_size == 0:
        return "empty file"
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS:
        advice = "convert it, as `magick mogrify -format png FILE` or heif-convert do"
        return f"HEIC, which is not supported (only {FORMATS} are); {advice}"
    return f"not an image in a supported format ({FORMATS})"


def image_suffixes() -> set[str]:
    """Returns the suffixes that promise an image."""
    return (set(Image.registered_extensions()) | UNSUPPORTED_SUFFIXES) - EXCLUDED_SUFFIXES
