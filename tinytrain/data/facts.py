"""What is known of each of many images, as one array of 58 bytes an image, and its file in the cache."""

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from tinytrain import files
from tinytrain.data.names import is_range
from tinytrain.errors import UserError

DIGEST_BYTES = 16
ROW = np.dtype(
    [
        ("size", "<u4", 2),
        ("mode", "S8"),
        ("digest", f"S{DIGEST_BYTES}"),
        ("mean", "<f4", 3),
        ("square", "<f4", 3),
        ("transparent", "?"),
        ("orientation", "u1"),
    ]
)
CHUNK = 1 << 14  # rows that are read at a time


@dataclass(frozen=True)
class ImageInfo:
    """What is known of one image.

    size: (width, height) in pixels once it is upright; mode: PIL's; digest: a hash of its decoded RGB pixels, 32 hex
    digits, or "" if it is not known; mean and square: the means of its pixels and of their squares, for R, G and B, in
    0..1, as float32 holds them; transparent: some of it lets a background through, which is white for all of these;
    orientation: 1 to 8 as EXIF says how the file holds it, 1: upright.
    """

    size: tuple[int, int] = (0, 0)
    mode: str = ""
    digest: str = ""
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    square: tuple[float, ...] = (0.0, 0.0, 0.0)
    transparent: bool = False
    orientation: int = 1

    @property
    def row(self) -> tuple:
        """The fields as a row of ROW."""
        digest = bytes.fromhex(self.digest)
        return self.size, self.mode.encode(), digest, self.mean, self.square, self.transparent, self.orientation


class Facts(Sequence[ImageInfo]):
    """What is known of many images, read like a list of `ImageInfo`.

    rows: (N,) of dtype ROW.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    @classmethod
    def of(cls, infos: Iterable[ImageInfo]) -> "Facts":
        """Returns the facts of `infos`, which may come one by one."""
        return infos if isinstance(infos, Facts) else cls(np.fromiter((info.row for info in infos), ROW))

    @classmethod
    def join(cls, parts: Sequence["Facts"]) -> "Facts":
        """Returns the facts of several, one after the other."""
        return cls(np.concatenate([part.rows for part in parts]))

    def take(self, index: np.ndarray) -> "Facts":
        """Returns those of the images of these numbers (M,), in this order; consecutive ones are not copied."""
        return Facts(self.rows[index[0] : index[-1] + 1] if is_range(index) else self.rows[index])

    @property
    def sizes(self) -> np.ndarray:
        """(N, 2) uint32, width and height of each image."""
        return self.rows["size"]

    @property
    def modes(self) -> set[str]:
        """The modes of PIL that there are."""
        return set(self.unpacked(np.unique(self.packed("mode")), "mode"))

    def packed(self, name: str) -> np.ndarray:
        """Returns (N,) uint64, the "size" or the "mode" of each image as one number, which is fast to compare."""
        return np.ascontiguousarray(self.rows[name]).view("<u8").reshape(-1)

    @staticmethod
    def unpacked(values: np.ndarray, name: str) -> list[str]:
        """Returns what `packed` numbers stand for, as texts: a mode, or a size such as 96x64."""
        if name == "mode":
            return [mode.decode() for mode in values.view("S8").tolist()]
        return [f"{width}x{height}" for width, height in values.view("<u4").reshape(-1, 2).tolist()]

    @property
    def digests(self) -> np.ndarray:
        """(N, 2) uint64, the hash of the pixels of each image, 0 and 0 if it is not known."""
        return self.rows["digest"].copy().view("<u8").reshape(-1, 2)

    @property
    def hex_digests(self) -> list[str]:
        """The hash of the pixels of each image, "" if it is not known."""
        return hex_digests(self.rows["digest"])

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> ImageInfo: ...
    @overload
    def __getitem__(self, index: slice) -> "Facts": ...
    def __getitem__(self, index: Any) -> "ImageInfo | Facts":
        if isinstance(index, slice):
            return Facts(self.rows[index])
        return _info(self.rows[operator.index(index)].item())

    def __iter__(self) -> Iterator[ImageInfo]:
        for first in range(0, len(self), CHUNK):
            yield from map(_info, self.rows[first : first + CHUNK].tolist())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Facts):
            return np.array_equal(self.rows, other.rows)
        return isinstance(other, Sequence) and len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def _info(fields: tuple) -> ImageInfo:
    size, mode, digest, mean, square, transparent, orientation = fields
    means = tuple(np.asarray(mean).tolist()), tuple(np.asarray(square).tolist())
    return ImageInfo(tuple(np.asarray(size).tolist()), mode.decode(), _hex(digest), *means, transparent, orientation)


def _hex(digest: bytes) -> str:
    return digest.ljust(DIGEST_BYTES, b"\0").hex() if digest else ""  # NumPy leaves zeros at the end out


def hex_digests(digests: np.ndarray) -> list[str]:
    """Returns digests, (N,) bytes, as hex digits; "" for one that is not known."""
    return list(map(_hex, digests.tolist()))


def are_whole(rows: np.ndarray) -> bool:
    """Returns whether every row is that of an image, as far as can be told: a damaged file has others."""
    finite = all(bool(np.isfinite(rows[name]).all()) for name in ("mean", "square"))
    return finite and bool(((rows["orientation"] >= 1) & (rows["orientation"] <= 8) & (rows["digest"] != b"")).all())


def read(path: Path, dtype: np.dtype) -> np.ndarray | None:
    """Returns the rows (N,) that a file of the cache holds; None if it is missing, damaged or of another kind.

    They are a map of the file, which takes no memory of its own.
    """
    try:
        rows = np.lib.format.open_memmap(path, "r")  # np.load would take archives and pickles, too
    except (OSError, ValueError):
        return None
    return rows if rows.dtype == dtype and rows.ndim == 1 else None


def write(path: Path, rows: np.ndarray) -> None:
    """Writes rows into a file of the cache, if the disk has room and can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, lambda file: np.save(file, rows))
    except (OSError, UserError):
        pass  # they are computed again the next time
