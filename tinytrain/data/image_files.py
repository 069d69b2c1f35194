"""Opens and decodes all image files once, before anything else, so that all unreadable ones are reported together.

The results are cached under the path, size and modification time of each file.
"""

import hashlib
import json
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from tinytrain import files, progress
from tinytrain.config.schema import Data
from tinytrain.data import image_tree
from tinytrain.data.decode import GRAY_MODES, ORIENTATION, UnknownWhiteLevel, upright_8bit
from tinytrain.data.source import Dataset, Finding, ImageInfo, ImageSet, counted
from tinytrain.errors import UserError
from tinytrain.files import write_text

T = TypeVar("T")
THREADS = 4
PREFETCH = 64  # images that are decoded ahead
MAX_PIXELS = 128_000_000  # of one image: 384 MB once it is decoded
MAX_CONCURRENT_PIXELS = 32_000_000  # of images that are decoded at the same time, unless a single one has more
HASHED_PIXELS = 1 << 20  # about how many are hashed at a time
CACHE_VERSION = 3
NOT_AN_IMAGE = "not an image"  # the problem of a file whose name does not promise an image
FORMATS = "JPEG, PNG, WebP, TIFF, BMP, GIF and others that Pillow opens"
# Pillow writes these, or passes them on to other programs, but they are not images here.
EXCLUDED_SUFFIXES = {".pdf", ".mpg", ".mpeg", ".h5", ".hdf", ".grib", ".bufr", ".fit", ".fits"}
# Images that Pillow does not open.
UNSUPPORTED_SUFFIXES = {
    ".heic", ".heif", ".svg", ".jxl", ".raw", ".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2",
}  # fmt: skip
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


@dataclass(frozen=True)
class ScannedFile:
    """The result of opening one file.

    Attributes:
        path: of the file.
        info: what is known about the image.
        problem: why it cannot be used as an image, or "".
        transient: whether the problem may be gone the next time.
    """

    path: Path
    info: ImageInfo = ImageInfo()
    problem: str = ""
    transient: bool = False


def load_files(
    root: Path,
    classes: list[str],
    files: dict[str, list[tuple[Path, int]]],
    data: Data,
    other: image_tree.Listing | None = None,
) -> Dataset:
    """Returns the dataset of image files.

    Files that cannot be read are a severe finding, unless data.skip_bad leaves them out.

    Args:
        root: the folder of the dataset.
        classes: the names of the classes.
        files: {split: [(path, class index)]}.
        data: the [data] section of the config.
        other: what is below `root` but in no class.

    Raises:
        UserError: no file is a readable image.
    """
    other = other or image_tree.Listing()
    scanned = scan([path for pairs in files.values() for path, _ in pairs], root)
    by_path = {file.path: file for file in scanned}
    good = [file for file in scanned if not file.problem]
    bad = [file for file in scanned if file.problem not in ("", NOT_AN_IMAGE)]
    findings = [*unreadable(bad, len(scanned), data.skip_bad), *_left_out(scanned, other)]
    if not good:
        listed = "".join(f"\n  {line}" for finding in findings for line in finding.files)
        raise UserError(f"no image in '{root}': none of its {len(scanned)} files is readable{listed}")
    image_sets = {}
    for split, pairs in files.items():
        readable = [(path, label) for path, label in pairs if not by_path[path].problem]
        labels = np.array([label for _, label in readable], np.int64)
        image_sets[split] = image_set(root, [by_path[path] for path, _ in readable], labels)
    return as_dataset(classes, image_sets, good, findings)


def as_dataset(
    classes: list[str],
    image_sets: dict[str, ImageSet],
    files: Sequence[ScannedFile],
    findings: Sequence[Finding],
    task: str = "classify",
) -> Dataset:
    """Returns a dataset whose side, channels and resize are those that its image files, all readable, ask for."""
    same_size = len({file.info.size for file in files}) == 1
    side = max(files[0].info.size) if same_size else 0
    channels = 1 if all(file.info.mode in GRAY_MODES for file in files) else 3
    resize = "stretch" if same_size else "pad"
    return Dataset(classes, image_sets, channels, side, resize=resize, findings=tuple(findings), task=task)


def scan(paths: Sequence[Path], root: Path) -> list[ScannedFile]:
    """Opens and decodes files, in order; those that have not changed since the last time come from the cache."""
    cache_file = files.cache_folder() / f"scan-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:32]}.json"
    known = _read_cache(cache_file)
    keys = [_key(path) for path in paths]
    new = [path for path, key in zip(paths, keys, strict=True) if key not in known]
    with ThreadPoolExecutor(THREADS) as threads, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of large or damaged images: a problem is reported by `problem`
        results = threads.map(_scan_file, new)
        counted = progress.counted(results, "reading", len(new), "file")
        scanned = {_key(file.path): file for file in counted}
    if scanned:
        known |= {key: (file.problem, file.info) for key, file in scanned.items()}
        transient = {key for key, file in scanned.items() if file.transient}
        _write_cache(cache_file, {key: [known[key][0], *known[key][1].row()] for key in keys if key not in transient})
    return [ScannedFile(path, known[key][1], known[key][0]) for path, key in zip(paths, keys, strict=True)]


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
    means = tuple(mean.tolist()), tuple(square.tolist())
    return ImageInfo(upright.size, mode, _digest(upright), *means, transparent, orientation)


def _digest(image: Image.Image) -> str:
    """Returns a hash of the size and the pixels, computed in bands of rows to save memory."""
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=16)
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


def _decode(path: Path, function: Callable[[Image.Image], Any]) -> Any:
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


def _key(path: Path) -> str:
    stat = path.stat()
    return f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"


def _read_cache(cache_file: Path) -> dict[str, tuple[str, ImageInfo]]:
    """Returns {key of a file: (problem, info)} as `_write_cache` wrote them, without damaged entries."""
    try:
        version, rows = json.loads(cache_file.read_text())
        entries = {key: entry for key, row in rows.items() if (entry := _cache_entry(row))}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return entries if version == CACHE_VERSION else {}


def _cache_entry(row: Any) -> tuple[str, ImageInfo] | None:
    """Returns (problem, info) from a row of the cache, or None if the row is damaged."""
    try:
        problem, *fields = row
        info = ImageInfo.of_row(fields)
    except (ValueError, TypeError):
        return None
    return (problem, info) if isinstance(problem, str) and bool(problem) != bool(info.digest) else None


def _write_cache(cache_file: Path, rows: dict[str, list]) -> None:
    try:
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        write_text(cache_file, json.dumps([CACHE_VERSION, rows]))
    except (OSError, UserError):
        pass  # the disk is read-only or full: the files are scanned again the next time


def _scan_file(path: Path) -> ScannedFile:
    found, problem, transient = read(path, info)
    return ScannedFile(path, found or ImageInfo(), problem, transient)


def read(path: Path, function: Callable[[Image.Image], T]) -> tuple[T | None, str, bool]:
    """Returns `function` of the image in a file, why it cannot be used as an image, and whether that may change.

    The reason is "" where there is none, and the first value None where there is one.
    """
    try:
        return _decode(path, function), "", False
    except UnidentifiedImageError:
        return None, _unidentified(path), False
    except Image.DecompressionBombError as error:
        size = str(error).partition(" exceeds")[0].removeprefix("Image size ").strip("()")
        return None, f"too large: {size}, at most {MAX_PIXELS:,} pixels are decoded; make it smaller", False
    except UnknownWhiteLevel as error:
        return None, f"no brightness: {error}", False
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
        return f"HEIC, which is not read (only {FORMATS} are); {advice}"
    return f"not an image of a format that is read ({FORMATS})"


def image_suffixes() -> set[str]:
    """Returns the suffixes that promise an image."""
    return (set(Image.registered_extensions()) | UNSUPPORTED_SUFFIXES) - EXCLUDED_SUFFIXES


def unreadable(bad: list[ScannedFile], files: int, skipped: bool) -> list[Finding]:
    """Returns the finding about files that are no images, severe unless they are skipped.

    Args:
        bad: the files, with their problems.
        files: how many files there are in all.
        skipped: whether data.skip_bad leaves them out.
    """
    if not bad:
        return []
    lines = tuple(f"{file.path}: {file.problem}" for file in bad)
    what = f"{len(bad):,} of {counted(files, 'file')} cannot be read as images"
    if skipped:
        return [Finding("unreadable", f"{what}, left out", "because of data.skip_bad=true", lines)]
    them = "it" if len(bad) == 1 else "them"
    hint = f"remove {them}, or go on without {them} with data.skip_bad=true"
    return [Finding("unreadable", what, hint, lines, severe=True)]


def _left_out(scanned: list[ScannedFile], other: image_tree.Listing) -> list[Finding]:
    """Returns the findings about what is not trained on: images outside of the class folders, and all other files."""
    suffixes = image_suffixes()
    stray = tuple(str(path) for path in other.files if path.suffix.lower() in suffixes)
    rest = [f"{path}: in no class folder" for path in other.files if path.suffix.lower() not in suffixes]
    rest += [f"{file.path}: {NOT_AN_IMAGE}" for file in scanned if file.problem == NOT_AN_IMAGE] + other.left_out
    findings = []
    if stray:
        what = f"{counted(len(stray), 'image')} beside the class folders, in no class"
        findings.append(Finding("no class", what, "not used; move what should be into a class folder", stray))
    if rest:
        what = f"{counted(len(rest), 'other file or folder', 'other files or folders')} left out"
        findings.append(Finding("left out", what, "nothing to do, unless it should be an image", tuple(rest)))
    return findings


def image_set(
    root: Path, files: Sequence[ScannedFile], annotations: np.ndarray, written_at: list[list[str]] | None = None
) -> ImageSet:
    """Returns readable files as a set of images, which are named by their paths below `root`.

    Args:
        root: the folder of the dataset.
        files: the N files.
        annotations: (N, …) of the images.
        written_at: as `ImageSet` has it.
    """
    paths = [file.path for file in files]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]

    def images(prepare: Callable[[Image.Image], np.ndarray]) -> Iterator[np.ndarray]:
        def prepare_file(path: Path) -> np.ndarray:
            try:
                return _decode(path, prepare)
            except Exception as error:  # all kinds, of a file that could be read before
                raise UserError(f"cannot read '{path}' any more ({error}): restore it, or start again") from None

        with ThreadPoolExecutor(THREADS) as threads:
            for start in range(0, len(paths), PREFETCH):  # limits how many are decoded ahead
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # as in `scan`
                    prepared = list(threads.map(prepare_file, paths[start : start + PREFETCH]))
                yield from prepared

    return ImageSet(
        annotations=annotations,
        names=[str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in paths],
        key=hashlib.sha256(json.dumps(stats).encode()).hexdigest(),
        images=images,
        infos=[file.info for file in files],
        written_at=written_at,
    )
