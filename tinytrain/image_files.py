"""Image files, opened and decoded once before anything else, so that all unreadable ones are told at once.

What a file turned out to be is kept in the cache folder under its path, size and time of change.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from tinytrain import pipeline
from tinytrain.datasets import Fact, Finding, Pool, Source
from tinytrain.errors import UserError
from tinytrain.run import write_text
from tinytrain.schema import Data

KINDS = dict.fromkeys(("1", "L", "I;16", "I", "F"), "gray") | dict.fromkeys(("LA", "PA", "RGBA"), "transparent")
THREADS = 4
CACHE_VERSION = 1


@dataclass(frozen=True)
class Scan:
    """What one file turned out to be, or why it is no image."""

    path: Path
    fact: Fact = Fact()
    problem: str = ""


def source(root: Path, classes: list[str], files: dict[str, list[tuple[Path, int]]], data: Data) -> Source:
    """Returns the data source of image files: {split: [(path, class index)]}.

    Raises UserError for files that are no images (unless data.skip_bad) and for sizes that data.resize does not join.
    """
    scanned = scan([path for pairs in files.values() for path, _ in pairs], root)
    by_path = {one.path: one for one in scanned}
    bad = [one for one in scanned if one.problem]
    _refuse_bad(bad, len(scanned), data.skip_bad)
    good = [one for one in scanned if not one.problem]
    if not good:
        raise UserError(f"no image in '{root}': none of its {len(scanned)} files is readable")
    pools = {
        split: _pool(root, [(by_path[path], label) for path, label in pairs if not by_path[path].problem])
        for split, pairs in files.items()
    }
    side, channels = _one_size(root, good, data.resize), _one_mode(good)
    return Source(classes, pools, channels=channels, side=side, findings=_unreadable(bad))


def files_below(folder: Path) -> list[Path]:
    """Returns every file in `folder` and its subfolders, sorted, without hidden ones."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def scan(paths: Sequence[Path], root: Path) -> list[Scan]:
    """Returns what each file is, in order; files that have not changed since the last time are not opened."""
    store = pipeline.cache_folder() / f"scan-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:32]}.json"
    known = _read(store)
    keys = [_key(path) for path in paths]
    new = [path for path, key in zip(paths, keys, strict=True) if key not in known]
    with ThreadPoolExecutor(THREADS) as threads:
        found = threads.map(_scan_file, new)
        counted = tqdm(found, "reading", total=len(new), unit="file", leave=False, delay=1, disable=None)
        scanned = {_key(one.path): one for one in counted}
    if scanned:
        known |= {key: (one.problem, one.fact) for key, one in scanned.items()}
        _write(store, {key: [known[key][0], *known[key][1].row()] for key in keys})
    return [Scan(path, known[key][1], known[key][0]) for path, key in zip(paths, keys, strict=True)]


def fact(image: Image.Image) -> Fact:
    """Returns size, mode, content and pixel statistics of a decoded image, as the network sees it: upright, in RGB."""
    upright = pipeline._eight_bit(ImageOps.exif_transpose(image)).convert("RGB")
    pixels = np.asarray(upright)
    digest = hashlib.blake2b(repr(upright.size).encode() + pixels.tobytes(), digest_size=16).hexdigest()
    scaled = pixels.reshape(-1, 3) / 255.0
    return Fact(image.size, image.mode, digest, tuple(scaled.mean(axis=0)), tuple((scaled**2).mean(axis=0)))


def _key(path: Path) -> str:
    stat = path.stat()
    return f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"


def _read(store: Path) -> dict[str, tuple[str, Fact]]:
    """Returns {key of a file: (problem, fact)} as `_write` kept them, without what is damaged."""
    try:
        version, rows = json.loads(store.read_text())
        whole = {key: known for key, row in rows.items() if (known := _of_row(row))}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return whole if version == CACHE_VERSION else {}


def _of_row(row: Any) -> tuple[str, Fact] | None:
    try:
        problem, *fact = row
        known = Fact.of_row(fact)
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
        with Image.open(path) as image:
            image.load()
            return Scan(path, fact(image))
    except UnidentifiedImageError:
        return Scan(path, problem="empty file" if path.stat().st_size == 0 else "not an image")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return Scan(path, problem=f"damaged image: {error}")


def _refuse_bad(bad: list[Scan], files: int, skip_bad: bool) -> None:
    if bad and not skip_bad:
        lines = "".join(f"\n  {one.path}: {one.problem}" for one in bad)
        raise UserError(
            f"{len(bad)} of {files} files cannot be read as images; "
            f"remove them, or go on without them with data.skip_bad=true:{lines}"
        )


def _unreadable(bad: Iterable[Scan]) -> tuple[Finding, ...]:
    lines = tuple(f"{one.path}: {one.problem}" for one in bad)
    what = f"{len(lines)} file{'s' * (len(lines) > 1)} cannot be read as images"
    finding = Finding("unreadable", what, "remove them, or leave them out with data.skip_bad=true", lines, True)
    return (finding,) if lines else ()


def _one_size(root: Path, scans: list[Scan], resize: str) -> int:
    """Returns the side of the images, 0 where they differ; refuses mixed sizes unless data.resize says how."""
    sizes = Counter(one.fact.size for one in scans)
    if len(sizes) == 1:
        return max(scans[0].fact.size)
    if resize == "auto":
        raise UserError(
            f"the images in '{root}' have {len(sizes)} sizes ({_most_common(sizes)}): say how to make them one, "
            "data.resize=crop (centre), stretch or pad"
        )
    return 0


def _one_mode(scans: list[Scan]) -> int:
    """Returns 1 if all images are gray, 3 if all are color, 0 if gray, color and transparent ones are mixed."""
    kinds = {KINDS.get(one.fact.mode, "color") for one in scans}
    return 0 if len(kinds) > 1 else 1 if kinds == {"gray"} else 3


def _most_common(sizes: Counter) -> str:
    listed = [f"{width}x{height}: {count}" for (width, height), count in sizes.most_common(3)]
    return ", ".join(listed) + (", …" if len(sizes) > 3 else "")


def _pool(root: Path, pairs: list[tuple[Scan, int]]) -> Pool:
    paths = [one.path for one, _ in pairs]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]

    def images(prepare: Callable[[Image.Image], np.ndarray]) -> Iterator[np.ndarray]:
        def decode(path: Path) -> np.ndarray:
            with Image.open(path) as image:
                return prepare(image)

        with ThreadPoolExecutor(THREADS) as threads:
            for start in range(0, len(paths), 1024):  # bounds what is decoded ahead
                yield from threads.map(decode, paths[start : start + 1024])

    return Pool(
        labels=np.array([label for _, label in pairs], np.int64),
        names=[str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in paths],
        key=hashlib.sha256(json.dumps(stats).encode()).hexdigest(),
        images=images,
        facts=[one.fact for one, _ in pairs],
    )
