"""Which image files `tinytrain predict` reads, how it prepares them, and under which names it draws them."""

import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tinytrain.data import image_tree, reading, resizing
from tinytrain.data.decode import upright_8bit
from tinytrain.data.resizing import Transform
from tinytrain.data.source import counted
from tinytrain.errors import Mistakes, UserError
from tinytrain.predicting.model import Model

JPEG_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif"}  # of files that are drawn as JPEG, others as PNG


@dataclass(frozen=True)
class Picture:
    """An image file; name: its path below the folder that was given, or its own name."""

    path: Path
    name: Path


class Prepared(NamedTuple):
    """An image as a model takes it, (R, R, C) uint8, how it was resized, and its upright size before that."""

    pixels: np.ndarray
    transform: Transform
    size: tuple[int, int]


def find(images: Iterable[str], out: Path | None) -> tuple[list[Picture], list[str]]:
    """Returns the image files among `images`, files and folders, and "path: reason" of what is left out in folders.

    Args:
        images: paths; what is in a folder is sorted by its path.
        out: the folder of the drawn pictures, which is no folder of images.

    Raises:
        UserError: paths that are not there, and folders without an image; all of them at once.
    """
    mistakes, pictures, left_out = Mistakes(), list[Picture](), list[str]()
    for path in map(Path, images):
        if path.is_dir():
            listed = mistakes.collect(_in_folder, path, out)
            if listed:
                pictures += listed[0]
                left_out += listed[1]
        elif path.is_file():
            pictures.append(Picture(path, Path(path.name)))
        else:
            what = "is neither a file nor a folder" if path.exists() else "does not exist"
            mistakes.errors.append(UserError(f"'{path}' {what}: give image files, or folders of them"))
    mistakes.raise_all()
    return pictures, left_out


def _in_folder(folder: Path, out: Path | None) -> tuple[list[Picture], list[str]]:
    tree, suffixes = image_tree.list_tree(folder), reading.image_suffixes()
    drawn = out.resolve() if out and out.resolve() != folder.resolve() else None
    files = [path for path in tree.files if not (drawn and path.resolve().is_relative_to(drawn))]
    images = [path for path in files if path.suffix.lower() in suffixes or _is_image(path)]
    others = sorted(set(files) - set(images))
    if not images:
        raise UserError(
            f"no image in the folder '{folder}', which holds {counted(len(files), 'file')}: give one with images"
        )
    return (
        [Picture(path, path.relative_to(folder)) for path in images],
        [*(f"{path}: {reading.NOT_AN_IMAGE}" for path in others), *tree.left_out],
    )


def _is_image(path: Path) -> bool:
    """Returns whether a file without the name of an image is one."""
    return reading.read(path, lambda _: None)[1] != reading.NOT_AN_IMAGE


def prepare(paths: Sequence[Path], model: Model) -> list[tuple[Prepared | None, str]]:
    """Returns the image in each file as `model` takes it, or None and why it cannot be read."""

    def prepared(image: Image.Image) -> Prepared:
        upright, _ = upright_8bit(image)
        pixels, transform = resizing.prepare(image, model.side, model.channels, model.resize)
        return Prepared(pixels, transform, upright.size)

    with ThreadPoolExecutor(reading.THREADS) as threads, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of large or damaged images: a problem has a sentence
        return [(found, problem) for found, problem, _ in threads.map(lambda path: reading.read(path, prepared), paths)]


def drawn_paths(pictures: Sequence[Picture], out: Path) -> list[Path]:
    """Returns the file that each picture is drawn to: its name in `out`, with a number where two have the same.

    Raises UserError if one of them is there already.
    """
    paths, taken = list[Path](), set[str]()
    for picture in pictures:
        suffix = picture.name.suffix
        known = suffix.lower() in reading.image_suffixes()
        stem = str(picture.name).removesuffix(suffix) if known else str(picture.name)
        suffix = suffix if suffix.lower() in (*JPEG_SUFFIXES, ".png") else ".png"
        number, name = 1, f"{stem}{suffix}"
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
        taken.add(name.casefold())
        paths.append(out / name)
    if there := [path for path in paths if path.exists()]:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise UserError(f"'{there[0]}'{more} is there already: remove it, or name another folder with --out")
    return paths
