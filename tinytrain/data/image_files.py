"""Image files, opened and decoded once before anything else, so that all unreadable ones are told at once.

What a file turned out to be is kept in the cache folder under its path, size and time of change.
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
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from tinytrain.config.schema import Data
from tinytrain.data import batches, eight_bit, image_tree
from tinytrain.data.source import Dataset, Finding, ImageInfo, ImageSet
from tinytrain.errors import UserError
from tinytrain.files import write_text

THREADS = 4
AHEAD = 64  # images that are decoded before they are asked for
MOST_PIXELS = 128_000_000  # of one image: 384 MB once it is decoded
AT_ONCE = 32_000_000  # pixels of images that are decoded at the same time, unless one alone has more
BAND = 1 << 20  # about so many pixels are hashed at a time
CACHE_VERSION = 2
OTHER = "no image"  # the problem of a file that does not claim to be one
FORMATS = "JPEG, PNG, WebP, TIFF, BMP, GIF and others that Pillow opens"
# Kinds of files that Pillow could write or hand on to other programs, but nobody means by an image here.
NO_IMAGES = {".pdf", ".mpg", ".mpeg", ".h5", ".hdf", ".grib", ".bufr", ".fit", ".fits"}
UNREAD = {".heic", ".heif", ".svg", ".jxl", ".raw", ".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2"}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


@dataclass(frozen=True)
class Scan:
    """What one file turned out to be, or why it is no image; passing: another try may find no problem."""

    path: Path
    info: ImageInfo = ImageInfo()
    problem: str = ""
    passing: bool = False


def source(
    root: Path,
    classes: list[str],
    files: dict[str, list[tuple[Path, int]]],
    data: Data,
    beside: image_tree.Level | None = None,
) -> Dataset:
    """Returns the data source of image files: {split: [(path, class index)]}.

    Files that cannot be read are a severe finding, unless data.skip_bad leaves them out. `beside` is what stands below
    `root` and belongs to no class. Raises UserError if no image is left.
    """
    beside = beside or image_tree.Level()
    scanned = scan([path for pairs in files.values() for path, _ in pairs], root)
    by_path = {one.path: one for one in scanned}
    good = [one for one in scanned if not one.problem]
    bad = [one for one in scanned if one.problem not in ("", OTHER)]
    findings = [*_unreadable(bad, len(scanned), data.skip_bad), *_left_out(scanned, beside)]
    if not good:
        listed = "".join(f"\n  {line}" for finding in findings for line in finding.files)
        raise UserError(f"no image in '{root}': none of its {len(scanned)} files is readable{listed}")
    pools = {
        split: _pool(root, [(by_path[path], label) for path, label in pairs if not by_path[path].problem])
        for split, pairs in files.items()
    }
    one_size = len({one.info.size for one in good}) == 1
    side = max(good[0].info.size) if one_size else 0
    channels = 1 if all(one.info.mode in eight_bit.GRAY for one in good) else 3
    resize = "stretch" if one_size else "pad"
    return Dataset(classes, pools, channels=channels, side=side, resize=resize, findings=tuple(findings))


def scan(paths: Sequence[Path], root: Path) -> list[Scan]:
    """Returns what each file is, in order; files that have not changed since the last time are not opened."""
    store = batches.cache_folder() / f"scan-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:32]}.json"
    known = _read(store)
    keys = [_key(path) for path in paths]
    new = [path for path, key in zip(paths, keys, strict=True) if key not in known]
    with ThreadPoolExecutor(THREADS) as threads, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of large and of slightly damaged images: the file is used or named
        found = threads.map(_scan_file, new)
        counted = tqdm(found, "reading", total=len(new), unit="file", leave=False, delay=1, disable=None)
        scanned = {_key(one.path): one for one in counted}
    if scanned:
        known |= {key: (one.problem, one.info) for key, one in scanned.items()}
        passing = {key for key, one in scanned.items() if one.passing}
        _write(store, {key: [known[key][0], *known[key][1].row()] for key in keys if key not in passing})
    return [Scan(path, known[key][1], known[key][0]) for path, key in zip(paths, keys, strict=True)]


def info(image: Image.Image) -> ImageInfo:
    """Returns what an image is and what its pixels are, as the network sees them: upright, in RGB, on white."""
    mode = image.mode
    upright, transparent = eight_bit.flat(image)
    if upright.mode != "RGB":
        upright = upright.convert("RGB")
    counts = np.array(upright.histogram(), np.int64).reshape(3, 256)  # of R, G, B: exact, and no copy of the image
    values, total = np.arange(256), upright.width * upright.height
    mean, square = counts @ values / (255 * total), counts @ values**2 / (255**2 * total)
    return ImageInfo(upright.size, mode, _digest(upright), tuple(mean.tolist()), tuple(square.tolist()), transparent)


def _digest(image: Image.Image) -> str:
    hashed = hashlib.blake2b(repr(image.size).encode(), digest_size=16)
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        hashed.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    return hashed.hexdigest()


class _Budget:
    """Lets so many pixels be decoded at once, and an image of more than that alone."""

    def __init__(self, most: int) -> None:
        self.most, self.used, self.changed = most, 0, threading.Condition()

    @contextmanager
    def share(self, wanted: int) -> Iterator[None]:
        """Waits until there is room for `wanted` pixels and takes it for the block."""
        wanted = min(wanted, self.most)
        with self.changed:
            self.changed.wait_for(lambda: self.used + wanted <= self.most)
            self.used += wanted
        try:
            yield
        finally:
            with self.changed:
                self.used -= wanted
                self.changed.notify_all()


_BUDGET = _Budget(AT_ONCE)


def _decoded(path: Path, work: Callable[[Image.Image], Any]) -> Any:
    """Returns what `work` makes of the image in `path`; raises whatever Pillow does, and NoScale."""
    # By its path, Pillow would map some TIFF files into memory, and scrambles those that lie on their side.
    with path.open("rb") as file, Image.open(file) as image:
        if image.format == "EPS":  # a program, which Pillow would run in Ghostscript
            raise UnidentifiedImageError("EPS")
        wanted = image.width * image.height
        if wanted > MOST_PIXELS:
            raise Image.DecompressionBombError(f"{image.width:,} x {image.height:,} pixels")
        with _BUDGET.share(wanted):
            return work(image)


def _key(path: Path) -> str:
    stat = path.stat()
    return f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"


def _read(store: Path) -> dict[str, tuple[str, ImageInfo]]:
    """Returns {key of a file: (problem, info)} as `_write` kept them, without what is damaged."""
    try:
        version, rows = json.loads(store.read_text())
        whole = {key: known for key, row in rows.items() if (known := _of_row(row))}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return whole if version == CACHE_VERSION else {}


def _of_row(row: Any) -> tuple[str, ImageInfo] | None:
    try:
        problem, *info = row
        known = ImageInfo.of_row(info)
    except (ValueError, TypeError):
        return None
    return (problem, known) if isinstance(problem, str) and bool(problem) != bool(known.digest) else None


def _write(store: Path, rows: dict[str, list]) -> None:
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        write_text(store, json.dumps([CACHE_VERSION, rows]))
    except (OSError, UserError):
        pass  # a read-only or full disk: scan again the next time


def _scan_file(path: Path) -> Scan:
    try:
        return Scan(path, _decoded(path, info))
    except UnidentifiedImageError:
        return Scan(path, problem=_no_image(path))
    except Image.DecompressionBombError as error:
        size = str(error).partition(" exceeds")[0].removeprefix("Image size ").strip("()")
        return Scan(path, problem=f"too large: {size}, at most {MOST_PIXELS:,} pixels are decoded; make it smaller")
    except eight_bit.NoScale as error:
        return Scan(path, problem=f"no brightness: {error}")
    except MemoryError:
        what = "too large: the memory does not suffice to decode it; make it smaller"
        return Scan(path, problem=what, passing=True)
    except OSError as error:
        if error.errno is None:  # Pillow's own, of what is in the file
            return Scan(path, problem=f"damaged image: {error}")
        return Scan(path, problem=f"cannot be read: {error.strerror}", passing=True)
    except Exception as error:  # decoders raise whatever they meet in a damaged file: struct.error, IndexError, …
        return Scan(path, problem=f"damaged image: {str(error) or type(error).__name__}")


def _no_image(path: Path) -> str:
    """Returns why a file that Pillow does not know is no image, OTHER if its name does not promise one."""
    if path.suffix.lower() not in _image_suffixes():
        return OTHER
    if path.stat().st_size == 0:
        return "empty file"
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS:
        how = "convert it, as `magick mogrify -format png FILE` or heif-convert do"
        return f"HEIC, which is not read (only {FORMATS} are); {how}"
    return f"not an image of a format that is read ({FORMATS})"


def _image_suffixes() -> set[str]:
    return (set(Image.registered_extensions()) | UNREAD) - NO_IMAGES


def _unreadable(bad: list[Scan], files: int, skipped: bool) -> list[Finding]:
    if not bad:
        return []
    lines = tuple(f"{one.path}: {one.problem}" for one in bad)
    what = f"{len(bad)} of {files} files cannot be read as images"
    if skipped:
        return [Finding("unreadable", f"{what} and are left out", "data.skip_bad=true says so", lines)]
    todo = "remove them, or go on without them with data.skip_bad=true"
    return [Finding("unreadable", what, todo, lines, severe=True)]


def _left_out(scanned: list[Scan], beside: image_tree.Level) -> list[Finding]:
    """Returns what stands below the root and is not trained on: images outside of the classes, and all the rest."""
    suffixes = _image_suffixes()
    stray = tuple(str(path) for path in beside.files if path.suffix.lower() in suffixes)
    others = [f"{path}: in no class folder" for path in beside.files if path.suffix.lower() not in suffixes]
    others += [f"{one.path}: {OTHER}" for one in scanned if one.problem == OTHER] + beside.left_out
    found = []
    if stray:
        what = f"{len(stray)} image{'s' * (len(stray) > 1)} beside the class folders, in no class"
        found.append(Finding("no class", what, "not used; move what should be into a class folder", stray))
    if others:
        what = (
            f"{len(others)} other files or folders are left out" if len(others) > 1 else "1 file or folder is left out"
        )
        found.append(Finding("left out", what, "nothing to do, unless it should be an image", tuple(others)))
    return found


def _pool(root: Path, pairs: list[tuple[Scan, int]]) -> ImageSet:
    paths = [one.path for one, _ in pairs]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]

    def images(prepare: Callable[[Image.Image], np.ndarray]) -> Iterator[np.ndarray]:
        def decode(path: Path) -> np.ndarray:
            try:
                return _decoded(path, prepare)
            except Exception as error:  # it could be read a while ago: whatever Pillow raises now
                raise UserError(f"cannot read '{path}' any more ({error}): bring it back, or start again") from None

        with ThreadPoolExecutor(THREADS) as threads:
            for start in range(0, len(paths), AHEAD):  # bounds what is decoded ahead
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # as in `scan`
                    decoded = list(threads.map(decode, paths[start : start + AHEAD]))
                yield from decoded

    return ImageSet(
        annotations=np.array([label for _, label in pairs], np.int64),
        names=[str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in paths],
        key=hashlib.sha256(json.dumps(stats).encode()).hexdigest(),
        images=images,
        infos=[one.info for one, _ in pairs],
    )
