"""The record of a run's images: what `identity` compares.

Of up to LARGE images it is text that people can read, split.json and content.json; of more it is images.npz, arrays
that are read without a Python object for each image.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinytrain import files
from tinytrain.data import boxes
from tinytrain.data.facts import DIGEST_BYTES, Facts, hex_digests
from tinytrain.data.names import Names
from tinytrain.data.source import ImageSet
from tinytrain.data.splits import Splits
from tinytrain.errors import UserError
from tinytrain.files import read_json, write_json
from tinytrain.run import Run

LARGE = 100_000
CHUNK = 1 << 14  # images that are put into words at a time
DIGEST = np.dtype(f"S{DIGEST_BYTES}")


class Content(NamedTuple):
    """What images are.

    digests: (N,) of DIGEST, the hash of the decoded pixels, b"" if it is not known; annotations: N texts, the class
    index, of boxes their number and a hash, for other tasks all numbers.
    """

    digests: np.ndarray
    annotations: Names


@dataclass(frozen=True)
class RunImages:
    """What a run has recorded, by split; an older run less of it.

    left_out: how many images data.train_images leaves out, None if it is not known.
    """

    names: dict[str, Names]
    content: dict[str, Content]
    left_out: int | None


def write(run: Run, data: Splits) -> None:
    """Writes the images of `data` into a new run."""
    sets = {split: data.dataset.image_sets[part.image_set] for split, part in data.subsets.items()}
    names = {split: Names.of(one.names).take(data.subsets[split].indices) for split, one in sets.items()}
    content = {split: of_images(one, data.subsets[split].indices) for split, one in sets.items()}
    recorded = sum(map(len, names.values()))
    left_out = sum(len(pool.annotations) for pool in data.dataset.image_sets.values()) - recorded
    if recorded <= LARGE:
        rows: dict[str, Any] = {split: _rows(one) for split, one in content.items()}
        write_json(run.content_path, rows | {"left_out": left_out})
        write_json(run.split_path, {split: list(own) for split, own in names.items()})
        return
    arrays: dict[str, Any] = {"left_out": np.array(left_out)}
    for split, (digests, annotations) in content.items():
        arrays[f"{split}/digests"] = digests
        for kind, texts in (("names", names[split]), ("annotations", annotations)):
            arrays |= {f"{split}/{kind}/letters": texts.letters, f"{split}/{kind}/ends": texts.ends}
    files.write_atomically(run.images_path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def read(run: Run) -> RunImages | None:
    """Returns what a run has recorded; None for one from before images were recorded.

    Raises:
        UserError: a file is damaged.
    """
    if run.images_path.is_file():
        return _read_arrays(run.images_path)
    names, rows = _read_texts(run.split_path), _read_texts(run.content_path) or {}
    left_out = rows.pop("left_out", None)
    if names is None:
        return None
    content = {split: _of_rows(own, run.content_path, split) for split, own in rows.items()}
    return RunImages({split: Names.of(own) for split, own in names.items()}, content, left_out)


def of_images(pool: ImageSet, indices: np.ndarray) -> Content:
    """Returns the content of these images."""
    digests = np.zeros(len(indices), DIGEST)
    if pool.infos is not None:
        digests = Facts.of(pool.infos).rows["digest"][indices]

    def annotations() -> Iterator[str]:
        if pool.annotations.ndim == 3:
            yield from (_boxes_as_text(pool.annotations[index]) for index in indices.tolist())
            return
        rows = pool.annotations.reshape(len(pool.annotations), -1)
        for first in range(0, len(indices), CHUNK):
            yield from (" ".join(map(str, row)) for row in rows[indices[first : first + CHUNK]].tolist())

    return Content(digests, Names.of(annotations()))


def _boxes_as_text(rows: np.ndarray) -> str:
    """Returns the number of boxes of an image (M, FIELDS) and a hash of them, in any order and without padding."""
    own = rows[rows[:, boxes.CLASS] != boxes.NO_BOX]
    ordered = np.ascontiguousarray(own[np.lexsort(own.T)], "<f4")
    return f"{len(own)} {hashlib.blake2b(ordered.tobytes(), digest_size=8).hexdigest()}"


def _rows(content: Content) -> list[str]:
    """Returns "DIGEST ANNOTATION" for each image, "-" for a digest that is not known."""
    digests = hex_digests(content.digests)
    return [f"{digest or '-'} {text}" for digest, text in zip(digests, content.annotations, strict=True)]


def _of_rows(rows: list[str], path: Path, split: str) -> Content:
    pairs = [row.partition(" ") for row in rows]
    try:
        digests = [bytes.fromhex(digest.removeprefix("-")) for digest, _, _ in pairs]
    except ValueError:
        raise _not_ours(path, split) from None
    return Content(np.array(digests, DIGEST), Names.of(text for _, _, text in pairs))


def _read_texts(path: Path) -> dict[str, Any] | None:
    """Returns the content of split.json or content.json of a run, or None if there is no such file."""
    if not path.is_file():
        return None
    by_split = read_json(path)
    for split, rows in by_split.items():
        valid = isinstance(rows, list) and all(isinstance(row, str) for row in rows)
        if not (valid if split != "left_out" else type(rows) is int):
            raise _not_ours(path, split)
    return by_split


def _read_arrays(path: Path) -> RunImages:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        splits = [name.partition("/")[0] for name in arrays if name.endswith("/digests")]
        texts = {
            (split, kind): Names(arrays[f"{split}/{kind}/letters"], arrays[f"{split}/{kind}/ends"])
            for split in splits
            for kind in ("names", "annotations")
        }
        digests = {split: arrays[f"{split}/digests"] for split in splits}
        left_out = int(arrays["left_out"])
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"cannot read '{path}': {error}; it has changed since tinytrain wrote it") from None
    for split in splits:
        names, annotations = texts[split, "names"], texts[split, "annotations"]
        whole = names.is_whole and annotations.is_whole and digests[split].dtype == DIGEST
        if not (whole and digests[split].shape == (len(names),) and len(annotations) == len(names)):
            raise _not_ours(path, split)
    content = {split: Content(digests[split], texts[split, "annotations"]) for split in splits}
    return RunImages({split: texts[split, "names"] for split in splits}, content, left_out)


def _not_ours(path: Path, split: str) -> UserError:
    return UserError(f"'{path}' holds no images under '{split}'; it has changed since tinytrain wrote it")
