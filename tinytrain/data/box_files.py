"""From pictures and boxes, as the readers of each format collect them, to a dataset for object detection."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tinytrain.config.schema import Data
from tinytrain.data import boxes, image_files
from tinytrain.data.box_fit import Annotated, fit, without_repeats
from tinytrain.data.box_problems import Problems
from tinytrain.data.boxes import Box
from tinytrain.data.file_table import FileTable, ScannedFile
from tinytrain.data.source import Dataset
from tinytrain.errors import UserError

Pictures = dict[Path, list[Annotated]]  # what the files say of each picture


def load(root: Path, classes: list[str], annotated: Iterable[Annotated], problems: Problems, data: Data) -> Dataset:
    """Returns the dataset of pictures with boxes.

    Args:
        root: the folder of the dataset.
        classes: their names, which the labels of the boxes are indices into.
        annotated: the pictures with their boxes; what several files say of a picture is joined.
        problems: what was wrong with the files; it becomes the findings, together with what is found here.
        data: the [data] section of the config.

    Raises:
        UserError: there is no readable picture, no box, or no picture to train on.
    """
    splits = _by_split(root, annotated, problems)
    paths = dict.fromkeys(path for pictures in splits.values() for path in pictures)
    everything = image_files.scan(FileTable.of(paths, root))
    scanned, number_of = {file.path: file for file in everything}, {path: number for number, path in enumerate(paths)}
    unreadable = image_files.unreadable(everything.bad, len(scanned), data.skip_bad)
    if not everything.good.any():
        lines = [line for one in [*unreadable, *problems.findings(data.skip_bad)] for line in one.files]
        listed = "".join(f"\n  {line}" for line in lines)
        raise UserError(f"none of the {len(scanned)} pictures with annotations in '{root}' can be used{listed}")
    fitted = {split: _fitted(root, pictures, scanned, problems) for split, pictures in splits.items()}
    if not any(box.is_learnt for pictures in fitted.values() for _, rows in pictures for box in rows):
        listed = "".join(f"\n  {one.what}: {one.files[0]}" for one in problems.findings(data.skip_bad))
        raise UserError(f"no box in '{root}' can be used: object detection learns from pictures with boxes{listed}")
    classes, fitted = _without_unused(classes, fitted, problems)
    image_sets = {
        split: image_files.image_set(
            everything.take(np.array([number_of[file.path] for file, _ in pictures], np.int64)),
            boxes.pack([rows for _, rows in pictures]),
            [[box.where for box in rows] for _, rows in pictures],
        )
        for split, pictures in fitted.items()
    }
    findings = [*unreadable, *problems.findings(data.skip_bad)]
    return image_files.as_dataset(
        classes, image_sets, everything.facts.take(np.flatnonzero(everything.good)), findings, task="detect"
    )


def _by_split(root: Path, annotated: Iterable[Annotated], problems: Problems) -> dict[str, Pictures]:
    """Returns {split: its pictures}, sorted by name, without those that cannot be used."""
    splits: dict[str, Pictures] = {}
    for one in annotated:
        if one.picture not in problems.skipped:
            splits.setdefault(one.split, {}).setdefault(one.picture, []).append(one)
    if len(splits) > 1 and "all" in splits:
        for path in splits.pop("all"):
            problems.add("no split", str(path))
    if splits and not {"all", "train"} & set(splits):
        raise UserError(
            f"'{root}' has pictures for {', '.join(sorted(splits))}, but none for train: add some for train, or leave "
            "out the splits"
        )
    return {name: dict(sorted(splits[name].items())) for name in ("all", "train", "val", "test") if name in splits}


def _fitted(
    root: Path, pictures: Pictures, scanned: dict[Path, ScannedFile], problems: Problems
) -> list[tuple[ScannedFile, list[Box]]]:
    """Returns the readable pictures with their boxes; those without a box are told."""
    result = []
    for path, parts in pictures.items():
        file = scanned[path]
        if file.problem:
            continue
        name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        rows = [box for part in parts for box in fit(part, file.info, name, problems)]
        rows = without_repeats(rows, problems)
        if not any(box.is_learnt for box in rows):
            had_boxes = any(box.is_learnt for part in parts for box in part.boxes)
            problems.add("emptied" if had_boxes else "background", name)
        result.append((file, rows))
    return result


def _without_unused(
    classes: list[str], splits: dict[str, list[tuple[ScannedFile, list[Box]]]], problems: Problems
) -> tuple[list[str], dict[str, list[tuple[ScannedFile, list[Box]]]]]:
    """Returns the classes that have a box to learn from, and the pictures with the boxes of these."""
    used = sorted({box.label for pictures in splits.values() for _, rows in pictures for box in rows if box.is_learnt})
    for label in sorted(set(range(len(classes))) - set(used)):
        if classes.count(classes[label]) == 1:  # else the name is that of another class, which is told as such
            problems.add("unused class", classes[label])
    index = {label: number for number, label in enumerate(used)}
    if len(used) == len(classes):
        return classes, splits
    renamed = {
        split: [
            (file, [dataclasses.replace(box, label=index[box.label]) for box in rows if box.label in index])
            for file, rows in pictures
        ]
        for split, pictures in splits.items()
    }
    return [classes[label] for label in used], renamed
