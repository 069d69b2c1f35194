"""Records the images and classes that a run is trained on, and compares them wherever the run is used again.

origin.json    the names of the classes, in order
split.json     the names of the images in each split
content.json   for each of these "DIGEST ANNOTATION": the hash of its decoded pixels ("-" if it is not known) and its
               class index (of boxes their number and a hash, for other tasks all numbers); and in "left_out" how many
               images data.train_images leaves out

A resumed run uses the same images in the same splits: they are found by their names, not drawn again.
"""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain import provenance
from tinytrain.config.schema import Config
from tinytrain.data import boxes, recorded_names
from tinytrain.data.facts import DIGEST_BYTES, Facts
from tinytrain.data.names import Names
from tinytrain.data.recorded_names import SHOWN_NAMES, listed, some
from tinytrain.data.source import Dataset, ImageSet
from tinytrain.data.splits import Splits, Subset, as_names
from tinytrain.errors import UserError, escaped
from tinytrain.files import read_json, write_json
from tinytrain.run import Run

CHUNK = 1 << 14  # images that are put into words at a time


def record(run: Run, data: Splits) -> None:
    """Writes split.json and content.json into a new run."""
    left_out = sum(len(pool.annotations) for pool in data.dataset.image_sets.values()) - sum(
        len(part.indices) for part in data.subsets.values()
    )
    content = {
        name: list(_content(data.dataset.image_sets[part.image_set], part.indices))
        for name, part in data.subsets.items()
    }
    write_json(run.content_path, content | {"left_out": left_out})
    write_json(run.split_path, as_names(data.dataset, data.subsets))


def recorded_splits(run: Run, dataset: Dataset, config: Config) -> Splits:
    """Returns the images of `dataset` in the splits that `run` was trained with.

    Args:
        run: the run; an older run, which recorded less, is compared as far as possible.
        dataset: its data as it is now.
        config: its config, without "auto".

    Raises:
        UserError: images or classes have changed since the training.
    """
    changes = _changed_classes(classes_of(run), dataset.classes)
    image_names = _read(run.split_path)
    if image_names is None:
        print_note(f"'{run.folder}' has no split.json: whether its images have changed cannot be told")
        if changes:
            raise _changed(run, config, changes)
        return Splits(dataset, config)
    content = _read(run.content_path) or {}
    left_out = content.get("left_out", 0 if not config.data.train_images else None)
    image_names = {split: Names.of(names) for split, names in image_names.items()}
    subsets, changed_images = recorded_names.find(image_names, dataset, left_out)
    changes += changed_images
    if not changes:
        changes = _changed_content(image_names, content, dataset, subsets)
    if changes:
        raise _changed(run, config, changes)
    return Splits(dataset, config, subsets)


def run_of(path: str) -> Run | None:
    """Returns the run at a path, which is its folder or its model.keras; None if there is none."""
    named = Path(path)
    run = Run(named.parent if named.suffix == ".keras" else named)
    matches = named.name == run.model_path.name or named == run.folder
    return run if path and matches and run.config_path.is_file() else None


def classes_of(run: Run) -> list[str]:
    """Returns the names of the classes of a run, in order; [] for an older run, which did not record them."""
    classes = provenance.read(run).get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise UserError(f"'{run.origin_path}' holds no names of classes; it is not as tinytrain wrote it")
    return classes


def match_classes(
    model_classes: Sequence[str], data_classes: Sequence[str], annotations: np.ndarray, what: str, data: str
) -> tuple[np.ndarray, list[str]]:
    """Returns annotations whose classes are indices into those of the model, matched by name.

    Args:
        model_classes: the classes of the model, in order; empty if they are not known.
        data_classes: the classes of the images, in order.
        annotations: (N,) int64, the index of each image's class in `data_classes`; or boxes (N, M, FIELDS), which need
            not be of all classes that the model knows.
        what: what a message calls the model.
        data: what a message calls the images.

    Returns:
        The same with indices into the classes of the model; and notes if the order differs or cannot be compared.

    Raises:
        UserError: the names differ.
    """
    if not model_classes:
        order = listed(data_classes)
        return annotations, [
            f"{what} does not name its classes: they are taken to be in the order of '{data}', {order}"
        ]
    if list(model_classes) == list(data_classes):
        return annotations, []
    if annotations.ndim < 3 or set(data_classes) - set(model_classes):
        refuse_other_names(model_classes, data_classes, what, f"'{data}'")
    index_of = {name: index for index, name in enumerate(model_classes)}
    note = f"the classes of '{data}' are in another order than those of {what}, and are matched by their names"
    new_index = np.array([index_of[name] for name in data_classes], np.int64)
    if annotations.ndim < 3:
        return new_index[annotations], [note]
    matched, classes = annotations.copy(), annotations[..., boxes.CLASS].astype(np.int64)
    matched[..., boxes.CLASS] = np.where(classes == boxes.NO_BOX, boxes.NO_BOX, new_index[classes])
    return matched, [note] if len(data_classes) == len(model_classes) else []


def refuse_other_names(first: Sequence[str], second: Sequence[str], what: str, other: str) -> None:
    """Raises UserError unless two lists of classes, have the same names.

    Args:
        first: the names of the one.
        second: the names of the other.
        what: what the error calls the owner of `first`.
        other: what it calls the owner of `second`.
    """
    if sorted(first) != sorted(second):
        lists = f"{what} has the classes {listed(first)}, {other} has {listed(second)}"
        if max(len(first), len(second)) > SHOWN_NAMES:  # the lists may not show what differs
            lists += f" ({'; '.join(_changed_names(first, second, 'only the first has', 'only the second has'))})"
        raise UserError(f"{lists}: they must be the same")


def print_note(text: str) -> None:
    """Prints a line about the data to standard error."""
    print(escaped(f"tinytrain: {text}"), file=sys.stderr)


def count_trained_on(run: Run, data: Splits, split: str) -> int:
    """Returns how many images of a split of `data` the run was trained on, as far as that is recorded.

    Images are compared by their content, or by their names if the content is not known and data.spec is the same.
    """
    names, content = (_read(path) or {} for path in (run.split_path, run.content_path))
    part = data.subsets[split]
    image_set = data.dataset.image_sets[part.image_set]
    rows = (row.partition(" ")[0] for row in content.get("train", []))
    digests = np.array([bytes.fromhex(digest) for digest in rows if digest != "-"], f"S{DIGEST_BYTES}")
    if image_set.infos is not None and len(digests):
        own = Facts.of(image_set.infos).take(part.indices).rows["digest"]
        return int((np.isin(own, digests) & (own != b"")).sum())
    if image_set.infos is not None or len(digests) or run.config().data.spec != data.spec:
        return 0
    train_names = set(names.get("train", []))
    return sum(image_set.names[index] in train_names for index in part.indices.tolist())


def note_trained_on(run: Run, data: Splits, split: str, what: str) -> None:
    """Prints how many images of a split of `data` the run was trained on, if any, to standard error."""
    if count := count_trained_on(run, data, split):
        print_note(
            f"{what} was trained on {count:,} of these {len(data.subsets[split].indices):,} {split} images, so that "
            "the figures on them are too good"
        )


def _changed_content(
    image_names: dict[str, Names], content: dict[str, Any], dataset: Dataset, subsets: dict[str, Subset]
) -> list[str]:
    """Returns the changes of images that have kept their names, in words: other pixels, other classes."""
    replaced, relabelled = [], []
    for split, part in subsets.items():
        current = Names.of(_content(dataset.image_sets[part.image_set], part.indices))
        recorded = Names.of(content.get(split, current))
        if len(recorded) != len(current):
            raise UserError(
                f"content.json of the run has {len(recorded):,} {split} images, split.json {len(current):,}"
            )
        if recorded == current:
            continue
        for image, before, after in zip(image_names[split], recorded, current, strict=True):
            old_digest, _, old_annotation = before.partition(" ")
            new_digest, _, new_annotation = after.partition(" ")
            if "-" not in (old_digest, new_digest) and old_digest != new_digest:
                replaced.append(image)
            elif old_annotation != new_annotation:
                first = new_annotation.split()[0]
                now = f"{first} boxes" if dataset.task == "detect" else dataset.classes[int(float(first))]
                relabelled.append(f"{image} (now {now})")
    other = "with other boxes" if dataset.task == "detect" else "of another class"
    return [*some("with other pixels under the same name", replaced), *some(other, relabelled)]


def _content(pool: ImageSet, indices: np.ndarray) -> Iterator[str]:
    """Yields "DIGEST ANNOTATION" of each of these images."""
    boxed, rows = pool.annotations.ndim == 3, pool.annotations.reshape(len(pool.annotations), -1)
    for first in range(0, len(indices), CHUNK):
        chosen = indices[first : first + CHUNK]
        digests = ["-"] * len(chosen) if pool.infos is None else Facts.of(pool.infos).take(chosen).hex_digests
        if boxed:
            texts = [_boxes_as_text(pool.annotations[index]) for index in chosen.tolist()]
        else:
            texts = [" ".join(map(str, row)) for row in rows[chosen].tolist()]
        yield from map(" ".join, zip(digests, texts, strict=True))


def _boxes_as_text(rows: np.ndarray) -> str:
    """Returns the number of boxes of an image (M, FIELDS) and a hash of them, in any order and without padding."""
    own = rows[rows[:, boxes.CLASS] != boxes.NO_BOX]
    ordered = np.ascontiguousarray(own[np.lexsort(own.T)], "<f4")
    return f"{len(own)} {hashlib.blake2b(ordered.tobytes(), digest_size=8).hexdigest()}"


def _changed_classes(recorded: list[str], current: list[str]) -> list[str]:
    if not recorded or recorded == current:
        return []
    names = _changed_names(recorded, current, "classes gone", "classes new")
    return names or [f"classes in another order, {listed(current)} in place of {listed(recorded)}"]


def _changed_names(first: Sequence[str], second: Sequence[str], first_only: str, second_only: str) -> list[str]:
    """Returns the names that only one list has, each list after its description."""
    missing = [name for name in first if name not in set(second)]
    others = [name for name in second if name not in set(first)]
    return [f"{what}: {listed(names)}" for what, names in ((first_only, missing), (second_only, others)) if names]


def _changed(run: Run, config: Config, changes: list[str]) -> UserError:
    return UserError(
        f"'{config.data.spec}' is not what '{run.folder}' was trained on ({'; '.join(changes)}): "
        "restore it, or train a new run"
    )


def _read(path: Path) -> dict[str, Any] | None:
    """Returns the content of split.json or content.json of a run, or None if there is no such file."""
    if not path.is_file():
        return None
    by_split = read_json(path)
    for split, rows in by_split.items():
        valid = isinstance(rows, list) and all(isinstance(row, str) for row in rows)
        if not (valid if split != "left_out" else type(rows) is int):
            raise UserError(f"'{path}' holds no images under '{split}'; it is not as tinytrain wrote it")
    return by_split
