"""Image files as a dataset: what is read of them, what is left out, and how they are decoded later."""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinytrain.config.schema import Data
from tinytrain.data import image_tree, reading
from tinytrain.data.decode import GRAY_MODES
from tinytrain.data.facts import Facts
from tinytrain.data.file_table import FileTable, ScannedFile, ScannedFiles, scan
from tinytrain.data.reading import NOT_AN_IMAGE, image_suffixes
from tinytrain.data.source import Dataset, Finding, ImageSet, counted
from tinytrain.errors import UserError


def load_files(
    root: Path,
    classes: list[str],
    files: Mapping[str, Iterable[tuple[Path, int]]],
    data: Data,
    other: image_tree.Listing | None = None,
) -> Dataset:
    """Returns the dataset of image files.

    Files that cannot be read are a severe finding, unless data.skip_bad leaves them out.

    Args:
        root: the folder of the dataset.
        classes: the names of the classes.
        files: {split: (path, class index) of each file}, which may come one by one.
        data: the [data] section of the config.
        other: what is below `root` but in no class, complete once all files have come.

    Raises:
        UserError: no file is a readable image.
    """
    tables, labels = zip(*(_table(pairs, root) for pairs in files.values()), strict=True)
    scanned, other = scan(FileTable.join(tables)), other or image_tree.Listing()
    bad = [file for file in scanned.bad if file.problem != NOT_AN_IMAGE]
    findings = [*unreadable(bad, len(scanned), data.skip_bad), *_left_out(scanned.bad, other)]
    good = scanned.good
    if not good.any():
        listed = "".join(f"\n  {line}" for finding in findings for line in finding.files)
        raise UserError(f"no image in '{root}': none of its {len(scanned)} files is readable{listed}")
    starts = np.cumsum([0, *map(len, tables)])
    image_sets = {}
    for split, own_labels, start in zip(files, labels, starts[:-1], strict=True):
        readable = np.flatnonzero(good[start : start + len(own_labels)])
        image_sets[split] = image_set(scanned.take(start + readable), own_labels[readable])
    return as_dataset(classes, image_sets, scanned.facts.take(np.flatnonzero(good)), findings)


def _table(pairs: Iterable[tuple[Path, int]], root: Path) -> tuple[FileTable, np.ndarray]:
    """Returns the files and the class of each of them, without a list of them."""
    labels = array("q")

    def paths() -> Iterator[Path]:
        for path, label in pairs:
            labels.append(label)
            yield path

    return FileTable.of(paths(), root), np.array(labels, np.int64)


def as_dataset(
    classes: list[str],
    image_sets: dict[str, ImageSet],
    facts: Facts,
    findings: Sequence[Finding],
    task: str = "classify",
) -> Dataset:
    """Returns a dataset whose side, channels and resize are those that its images ask for; `facts`: of all of them."""
    same_size = bool((facts.sizes == facts.sizes[0]).all())
    side = int(facts.sizes[0].max()) if same_size else 0
    channels = 1 if set(facts.modes) <= GRAY_MODES else 3
    resize = "stretch" if same_size else "pad"
    return Dataset(classes, image_sets, channels, side, resize=resize, findings=tuple(findings), task=task)


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


def _left_out(bad: list[ScannedFile], other: image_tree.Listing) -> list[Finding]:
    """Returns the findings about what is not trained on: images outside of the class folders, and all other files."""
    suffixes = image_suffixes()
    stray = tuple(str(path) for path in other.files if path.suffix.lower() in suffixes)
    rest = [f"{path}: in no class folder" for path in other.files if path.suffix.lower() not in suffixes]
    rest += [f"{file.path}: {NOT_AN_IMAGE}" for file in bad if file.problem == NOT_AN_IMAGE] + other.left_out
    findings = []
    if stray:
        what = f"{counted(len(stray), 'image')} beside the class folders, in no class"
        findings.append(Finding("no class", what, "not used; to use them, move them into a class folder", stray))
    if rest:
        what = f"{counted(len(rest), 'other file or folder', 'other files or folders')} left out"
        findings.append(Finding("left out", what, "nothing to do, unless it should be an image", tuple(rest)))
    return findings


def image_set(scanned: ScannedFiles, annotations: np.ndarray, written_at: list[list[str]] | None = None) -> ImageSet:
    """Returns readable files as a set of images, which are named by their paths below the folder of the dataset.

    Args:
        scanned: the N files.
        annotations: (N, …) of the images.
        written_at: as `ImageSet` has it.
    """
    root, names = scanned.files.root, scanned.files.names

    def images(prepare: Callable[[Image.Image], Any], numbers: np.ndarray) -> Iterator[Any]:
        def prepare_file(number: int) -> Any:
            path = root / names[number]
            try:
                return reading.decode(path, prepare)
            except Exception as error:  # all kinds, of a file that could be read before
                raise UserError(f"cannot read '{path}' any more ({error}): restore it, or start again") from None

        return reading.in_threads(prepare_file, numbers.tolist())

    key = hashlib.sha256(str(root.absolute()).encode())
    key.update(np.ascontiguousarray(scanned.files.keys).data)
    return ImageSet(annotations, names, key.hexdigest(), images, scanned.facts, written_at)
