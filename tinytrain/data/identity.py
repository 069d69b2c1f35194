"""What a run was trained on, written into the run and compared wherever the run is used again: images and classes.

origin.json    the names of the classes, in order
split.json     the names of the images in each split
content.json   for each of these "DIGEST ANNOTATION", the hash of its decoded pixels ("-" where no file says it) and its
               class index (of other tasks all numbers), and in "left_out" how many images data.train_images leaves out

A run goes on with its own images in its own splits: they are found by their names, not drawn again.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain import provenance
from tinytrain.config.schema import Config
from tinytrain.data.source import Dataset, ImageSet
from tinytrain.data.splits import Splits, Subset, as_names
from tinytrain.errors import UserError, escaped
from tinytrain.files import read_json, write_json
from tinytrain.run import Run

SHOWN = 3  # examples in a sentence


def record(run: Run, data: Splits) -> None:
    """Writes split.json and content.json into a new run."""
    left_out = sum(len(pool.annotations) for pool in data.dataset.image_sets.values()) - sum(
        len(part.indices) for part in data.subsets.values()
    )
    content = {
        name: _content(data.dataset.image_sets[part.image_set], part.indices) for name, part in data.subsets.items()
    }
    write_json(run.content_path, content | {"left_out": left_out})
    write_json(run.split_path, as_names(data.dataset, data.subsets))


def split_of(run: Run, source: Dataset, config: Config) -> Splits:
    """Returns the images of `source` in the splits that `run` was trained with.

    Args:
        run: the run; one from before something was recorded is compared as far as it was.
        source: what its data is now.
        config: its config, without "auto".

    Raises UserError, in one sentence, for images or classes that are others than when it was trained.
    """
    changes = _changed_classes(classes_of(run), source.classes)
    stored = _read(run.split_path)
    if stored is None:
        tell(f"'{run.folder}' has no split.json: whether its images have changed cannot be told")
        if changes:
            raise _changed(run, config, changes)
        return Splits(source, config)
    content = _read(run.content_path) or {}
    subsets, moved = _find(stored, source, content.get("left_out", 0 if not config.data.train_images else None))
    changes += moved
    if not changes:
        changes = _changed_content(stored, content, source, subsets)
    if changes:
        raise _changed(run, config, changes)
    return Splits(source, config, subsets)


def run_of(word: str) -> Run | None:
    """Returns the run that a word names, its folder or its model.keras; None if it is something else."""
    path = Path(word)
    run = Run(path.parent if path.suffix == ".keras" else path)
    named = path.name == run.model_path.name or path == run.folder
    return run if word and named and run.config_path.is_file() else None


def classes_of(run: Run) -> list[str]:
    """Returns the names of the classes of a run, in order; [] for a run from before they were recorded."""
    found = provenance.read(run).get("classes", [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise UserError(f"'{run.origin_path}' holds no names of classes; it is not as tinytrain wrote it")
    return found


def in_order_of(
    known: Sequence[str], given: Sequence[str], labels: np.ndarray, what: str, data: str
) -> tuple[np.ndarray, list[str]]:
    """Returns (`labels` (N,), indices into the classes `given`, as indices into the classes `known`; notes on it).

    Args:
        known: the classes of a model, in order; none if it does not say.
        given: the classes of the images.
        labels: the class of each image.
        what: the words for the model.
        data: the words for the images.

    A note tells that names are in another order, or that there are none to compare.

    Raises UserError, with both lists, if the names differ.
    """
    if not known:
        note = f"{what} does not name its classes: they are taken to be in the order of '{data}', {_listed(given)}"
        return labels, [note]
    if list(known) == list(given):
        return labels, []
    refuse_other_names(known, given, what, f"'{data}'")
    number = {name: place for place, name in enumerate(known)}
    note = f"the classes of '{data}' are in another order than those of {what}, and are matched by their names"
    return np.array([number[name] for name in given], np.int64)[labels], [note]


def refuse_other_names(known: Sequence[str], given: Sequence[str], what: str, other: str) -> None:
    """Raises UserError, with both lists, unless the classes of `what` and of `other` have the same names."""
    if sorted(known) != sorted(given):
        lists = f"{what} has the classes {_listed(known)}, {other} has {_listed(given)}"
        if max(len(known), len(given)) > SHOWN:  # what differs need not be among those shown
            lists += f" ({'; '.join(_changed_names(known, given, 'only the first has', 'only the second has'))})"
        raise UserError(f"{lists}: they must be the same")


def tell(words: str) -> None:
    """Prints a line about the data to standard error."""
    print(escaped(f"tinytrain: {words}"), file=sys.stderr)


def trained_on(run: Run, data: Splits, split: str) -> int:
    """Returns how many images of a split of `data` the run was trained on, as far as that is recorded.

    Images are told by their content, or where no file says it by their names, if both come from the same data.
    """
    names, content = (_read(path) or {} for path in (run.split_path, run.content_path))
    part = data.subsets[split]
    pool = data.dataset.image_sets[part.image_set]
    digests = {row.partition(" ")[0] for row in content.get("train", [])} - {"-"}
    if pool.infos is not None and digests:
        return sum(pool.infos[index].digest in digests for index in part.indices)
    if pool.infos is not None or digests or run.config().data.spec != data.spec:
        return 0
    known = set(names.get("train", []))
    return sum(pool.names[index] in known for index in part.indices)


def tell_trained_on(run: Run, data: Splits, split: str, what: str) -> None:
    """Prints how many images of a split of `data` the run was trained on, if there are any, to standard error."""
    if count := trained_on(run, data, split):
        tell(
            f"{what} was trained on {count:,} of these {len(data.subsets[split].indices):,} {split} images, so that "
            "the figures on them are too good"
        )


def _find(stored: dict[str, list[str]], source: Dataset, left_out: int | None) -> tuple[dict[str, Subset], list[str]]:
    """Returns (the stored splits of `source`, what has changed); `left_out`: how many images are in none, if known."""
    base = "train" if "train" in source.image_sets else "all"
    places: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, pool in source.image_sets.items():
        for index, image in enumerate(pool.names):
            places[image].append((name, index))
    for found in places.values():
        found.reverse()  # images of the same name are taken in order
    subsets, removed, moved = {}, [], []
    for split, names in stored.items():
        wanted, indices = split if split in source.image_sets else base, []
        for image in names:
            own = next((place for place in reversed(places[image]) if place[0] == wanted), None)
            if own:
                places[image].remove(own)
                indices.append(own[1])
            elif places[image]:
                moved.append(f"{image} ({split}, now {places[image].pop()[0]})")
            else:
                removed.append(image)
        subsets[split] = Subset(wanted, np.array(indices, np.int64))
    others = [image for image, rest in places.items() for _ in rest]
    added = _some("added", others) if left_out == 0 else []
    if left_out and len(others) != left_out:
        added = [f"{len(others):,} images beside the recorded ones, not {left_out:,}"]
    return subsets, [*added, *_some("removed", removed), *_some("in another split", moved)]


def _changed_content(
    stored: dict[str, list[str]], content: dict[str, Any], source: Dataset, subsets: dict[str, Subset]
) -> list[str]:
    """Returns what has changed of images that have kept their names: pixels and classes."""
    replaced, relabelled = [], []
    for split, part in subsets.items():
        now = _content(source.image_sets[part.image_set], part.indices)
        recorded = content.get(split, now)
        if len(recorded) != len(now):
            raise UserError(f"content.json of the run has {len(recorded):,} {split} images, split.json {len(now):,}")
        for image, before, after in zip(stored[split], recorded, now, strict=True):
            digest, _, label = before.partition(" ")
            other, _, number = after.partition(" ")
            if "-" not in (digest, other) and digest != other:
                replaced.append(image)
            elif label != number:
                relabelled.append(f"{image} (now {source.classes[int(float(number.split()[0]))]})")
    return [*_some("with other pixels under the same name", replaced), *_some("of another class", relabelled)]


def _content(pool: ImageSet, indices: np.ndarray) -> list[str]:
    digests = [info.digest for info in pool.infos] if pool.infos is not None else ["-"] * len(pool.annotations)
    rows = pool.annotations.reshape(len(pool.annotations), -1) if len(pool.annotations) else pool.annotations
    return [f"{digests[index]} {' '.join(map(str, rows[index].tolist()))}" for index in indices.tolist()]


def _changed_classes(known: list[str], now: list[str]) -> list[str]:
    if not known or known == now:
        return []
    names = _changed_names(known, now, "classes gone", "classes new")
    return names or [f"classes in another order, {_listed(now)} in place of {_listed(known)}"]


def _changed_names(known: Sequence[str], now: Sequence[str], gone: str, new: str) -> list[str]:
    missing = [name for name in known if name not in set(now)]
    others = [name for name in now if name not in set(known)]
    return [f"{word}: {_listed(names)}" for word, names in ((gone, missing), (new, others)) if names]


def _changed(run: Run, config: Config, changes: list[str]) -> UserError:
    return UserError(
        f"'{config.data.spec}' is not what '{run.folder}' was trained on ({'; '.join(changes)}): "
        "make it what it was, or train anew"
    )


def _some(what: str, images: list[str]) -> list[str]:
    return [f"{len(images):,} image{'s' * (len(images) > 1)} {what}: {_listed(images)}"] if images else []


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f", … ({len(names):,} in all)" if len(names) > SHOWN else "")


def _read(path: Path) -> dict[str, Any] | None:
    """Returns what split.json or content.json of a run holds, None if there is no such file."""
    if not path.is_file():
        return None
    found = read_json(path)
    for split, rows in found.items():
        whole = isinstance(rows, list) and all(isinstance(row, str) for row in rows)
        if not (whole if split != "left_out" else type(rows) is int):
            raise UserError(f"'{path}' holds no images under '{split}'; it is not as tinytrain wrote it")
    return found
