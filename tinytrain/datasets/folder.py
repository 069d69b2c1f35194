"""Images in a folder for each class, with or without train, val and test folders above them: `folder:PATH`.

Every file is opened and decoded once before anything else, so that all unreadable files are told at once.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from tinytrain.config import Data
from tinytrain.datasets import Pool, Source
from tinytrain.errors import UserError

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
KINDS = dict.fromkeys(("1", "L", "I;16", "I", "F"), "gray") | dict.fromkeys(("LA", "PA", "RGBA"), "transparent")
THREADS = 4


@dataclass(frozen=True)
class Scan:
    """What one file turned out to be: width and height in pixels, PIL mode; or why it is no image."""

    path: Path
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    problem: str = ""


def load(argument: str, data: Data) -> Source:
    """Returns the images below the folder `argument`; raises UserError for what cannot be trained on."""
    root = _folder(argument)
    found = _class_folders(root)
    classes = sorted({name for split in found.values() for name in split})
    _refuse_missing_classes(root, found, classes)
    scans = {split: _scan(folders, classes) for split, folders in found.items()}
    everything = [scan for pairs in scans.values() for scan, _ in pairs]
    _refuse_bad(everything, data.skip_bad)
    good = {split: [(scan, label) for scan, label in pairs if not scan.problem] for split, pairs in scans.items()}
    readable = [scan for scan in everything if not scan.problem]
    if not readable:
        raise UserError(f"no image in '{root}': none of its {len(everything)} files is readable")
    side, channels = _one_size(root, readable, data.resize), _one_mode(readable)
    pools = {split: _pool(root, pairs) for split, pairs in good.items()}
    return Source(classes, pools, channels=channels, side=side)


def _folder(argument: str) -> Path:
    root = Path(argument).expanduser()
    if not argument or not root.exists():
        raise UserError(f"no folder '{argument}': data.spec=folder:PATH wants a folder that holds one folder per class")
    if not root.is_dir():
        raise UserError(f"'{argument}' is a file: data.spec=folder:PATH wants a folder that holds one folder per class")
    return root


def _class_folders(root: Path) -> dict[str, dict[str, Path]]:
    """Returns {split: {class: folder}}; the split is "all" where no train, val or test folders stand above."""
    folders = _subfolders(root)
    splits = {name: path for name, path in folders.items() if name.lower() in SPLIT_NAMES}
    if "train" not in {SPLIT_NAMES[name.lower()] for name in splits}:
        found = {"all": folders}
    elif len(splits) < len(folders):
        extra = sorted(set(folders) - set(splits))
        raise UserError(f"'{root}' holds split folders and others ({', '.join(extra)}): move the others away")
    else:
        found = {SPLIT_NAMES[name.lower()]: _subfolders(path) for name, path in splits.items()}
    classes = sorted({name for split in found.values() for name in split})
    if len(classes) < 2:
        listed = ", ".join(classes) or "none"
        raise UserError(f"'{root}' holds fewer than two class folders ({listed}): make one folder of images per class")
    return found


def _subfolders(root: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")}


def _refuse_missing_classes(root: Path, found: dict[str, dict[str, Path]], classes: list[str]) -> None:
    missing = [f"{split}/{name}" for split, folders in found.items() for name in classes if name not in folders]
    if missing:
        raise UserError(f"'{root}' has no folder {', '.join(missing)}: every split needs every class")


def _scan(folders: dict[str, Path], classes: list[str]) -> list[tuple[Scan, int]]:
    """Returns every file of one split, decoded once in threads, with its class index."""
    files = [
        (path, classes.index(name))
        for name, folder in folders.items()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    with ThreadPoolExecutor(THREADS) as threads:
        scans = threads.map(_scan_file, [path for path, _ in files], chunksize=64)
        return list(zip(scans, [label for _, label in files], strict=True))


def _scan_file(path: Path) -> Scan:
    try:
        with Image.open(path) as image:
            image.load()
            return Scan(path, image.size, image.mode)
    except UnidentifiedImageError:
        return Scan(path, problem="empty file" if path.stat().st_size == 0 else "not an image")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return Scan(path, problem=f"damaged image: {error}")


def _refuse_bad(scans: list[Scan], skip_bad: bool) -> None:
    bad = [scan for scan in scans if scan.problem]
    if bad and not skip_bad:
        lines = "".join(f"\n  {scan.path}: {scan.problem}" for scan in bad)
        raise UserError(
            f"{len(bad)} of {len(scans)} files cannot be read as images; "
            f"remove them, or go on without them with data.skip_bad=true:{lines}"
        )


def _one_size(root: Path, scans: list[Scan], resize: str) -> int:
    """Returns the side of the images, 0 where they differ; refuses mixed sizes unless data.resize says how."""
    sizes = Counter(scan.size for scan in scans)
    if len(sizes) == 1:
        return max(scans[0].size)
    if resize == "auto":
        raise UserError(
            f"the images in '{root}' have {len(sizes)} sizes ({_most_common(sizes)}): say how to make them one, "
            "data.resize=crop (centre), stretch or pad"
        )
    return 0


def _one_mode(scans: list[Scan]) -> int:
    """Returns 1 if all images are gray, 3 if all are color, 0 if gray, color and transparent ones are mixed."""
    kinds = {KINDS.get(scan.mode, "color") for scan in scans}
    return 0 if len(kinds) > 1 else 1 if kinds == {"gray"} else 3


def _most_common(sizes: Counter) -> str:
    listed = [f"{width}x{height}: {count}" for (width, height), count in sizes.most_common(3)]
    return ", ".join(listed) + (", …" if len(sizes) > 3 else "")


def _pool(root: Path, pairs: list[tuple[Scan, int]]) -> Pool:
    paths = [scan.path for scan, _ in pairs]
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
        names=[str(path.relative_to(root)) for path in paths],
        key=hashlib.sha256(json.dumps(stats).encode()).hexdigest(),
        images=images,
    )
