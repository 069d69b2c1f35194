"""Records the images and classes that a run is trained on, and compares them wherever the run is used again.

origin.json    the names of the classes, in order
split.json     the names of the images in each split
content.json   for each of these "DIGEST ANNOTATION": the hash of its decoded pixels ("-" if it is not known) and its
               class index (of boxes their number and a hash, for other tasks all numbers); and in "left_out" how many
               images data.train_images leaves out
images.npz     in place of these two, of more than 100,000 images (run_images.py)

A resumed run uses the same images in the same splits: they are found by their names, not drawn again.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinytrain import provenance
from tinytrain.config.schema import Config
from tinytrain.data import boxes, recorded_names, run_images
from tinytrain.data.decoding import ALONE, Workers
from tinytrain.data.facts import Facts
from tinytrain.data.names import Names
from tinytrain.data.recorded_names import SHOWN_NAMES, listed, some
from tinytrain.data.run_images import DIGEST, RunImages
from tinytrain.data.source import Dataset
from tinytrain.data.splits import Splits, Subset
from tinytrain.errors import UserError, escaped
from tinytrain.run import Run


def record(run: Run, data: Splits) -> None:
    """Writes which images there are, in which split, into a new run."""
    run_images.write(run, data)


def digest(data: Splits) -> str:
    """Returns a hash of which images are in which split, by their names and what is known of their content."""
    hashed = hashlib.sha256()
    for split, part in sorted(data.subsets.items()):
        image_set = data.dataset.image_sets[part.image_set]
        names, content = Names.of(image_set.names).take(part.indices), run_images.of_images(image_set, part.indices)
        for array in (
            names.letters,
            names.ends,
            content.digests,
            content.annotations.letters,
            content.annotations.ends,
        ):
            hashed.update(f"{split} {array.nbytes} ".encode())
            hashed.update(array.tobytes())
    return hashed.hexdigest()[:16]


def recorded_splits(run: Run, dataset: Dataset, config: Config, workers: Workers = ALONE) -> Splits:
    """Returns the images of `dataset` in the splits that `run` was trained with.

    Args:
        run: the run; an older run, which recorded less, is compared as far as possible.
        dataset: its data as it is now.
        config: its config, without "auto".
        workers: who decodes the images.

    Raises:
        UserError: images or classes have changed since the training.
    """
    changes = _changed_classes(classes_of(run), dataset.classes)
    recorded = run_images.read(run)
    if recorded is None:
        print_note(f"'{run.folder}' has no split.json, so it is unknown whether its images have changed")
        if changes:
            raise _changed(run, config, changes)
        return Splits(dataset, config, workers=workers)
    left_out = recorded.left_out
    if left_out is None and not config.data.train_images:
        left_out = 0
    subsets, changed_images = recorded_names.find(recorded.names, dataset, left_out)
    changes += changed_images
    if not changes:
        changes = _changed_content(recorded, dataset, subsets)
    if changes:
        raise _changed(run, config, changes)
    return Splits(dataset, config, subsets, workers)


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
        raise UserError(f"'{run.origin_path}' holds no class names; it has changed since tinytrain wrote it")
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
            f"{what} does not name its classes: they are assumed to be in the order of '{data}', {order}"
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
    recorded, part = run_images.read(run), data.subsets[split]
    image_set = data.dataset.image_sets[part.image_set]
    digests = recorded.content["train"].digests if recorded and "train" in recorded.content else np.empty(0, DIGEST)
    digests = digests[digests != b""]
    if image_set.infos is not None and len(digests):
        own = Facts.of(image_set.infos).rows["digest"][part.indices]
        return int(np.isin(own, digests).sum())
    if recorded is None or image_set.infos is not None or len(digests) or run.config().data.spec != data.spec:
        return 0
    train_names = set(recorded.names.get("train", []))
    return sum(image_set.names[index] in train_names for index in part.indices.tolist())


def note_trained_on(run: Run, data: Splits, split: str, what: str) -> None:
    """Prints how many images of a split of `data` the run was trained on, if any, to standard error."""
    if count := count_trained_on(run, data, split):
        print_note(
            f"{what} was trained on {count:,} of these {len(data.subsets[split].indices):,} {split} images, so "
            "the figures on them are too good"
        )


def _changed_content(recorded: RunImages, dataset: Dataset, subsets: dict[str, Subset]) -> list[str]:
    """Returns the changes of images that have kept their names, in words: other pixels, other classes."""
    replaced, relabelled = [], []
    for split, part in subsets.items():
        if split not in recorded.content:
            continue
        before, names = recorded.content[split], recorded.names[split]
        after = run_images.of_images(dataset.image_sets[part.image_set], part.indices)
        if len(before.digests) != len(names):
            raise UserError(
                f"content.json of the run has {len(before.digests):,} {split} images, split.json {len(names):,}"
            )
        other_pixels = (before.digests != b"") & (after.digests != b"") & (before.digests != after.digests)
        replaced += [names[index] for index in np.flatnonzero(other_pixels).tolist()]
        if before.annotations == after.annotations:
            continue
        for index, (old, new) in enumerate(zip(before.annotations, after.annotations, strict=True)):
            if old != new and not other_pixels[index]:
                first = new.split()[0]
                now = f"{first} boxes" if dataset.task == "detect" else dataset.classes[int(float(first))]
                relabelled.append(f"{names[index]} (now {now})")
    other = "with other boxes" if dataset.task == "detect" else "of another class"
    return [*some("with other pixels under the same name", replaced), *some(other, relabelled)]


def _changed_classes(recorded: list[str], current: list[str]) -> list[str]:
    if not recorded or recorded == current:
        return []
    names = _changed_names(recorded, current, "classes gone", "classes new")
    return names or [f"classes in another order, {listed(current)} instead of {listed(recorded)}"]


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
