"""The papers' datasets by name, checked: `cifar10`, `birdsnap:PATH`, `imagenet100:LIST` (tinytrain/config/catalog.py).

Through tensorflow-datasets, or from class folders in PATH; the number of classes, and of images in each official split,
must be the dataset's.
"""

import dataclasses
from pathlib import Path

from tinytrain.config.catalog import ROWS, Row, usage
from tinytrain.config.schema import Data
from tinytrain.data.source import Dataset
from tinytrain.datasets import folder, tfds
from tinytrain.errors import UserError, unknown


def load(argument: str, data: Data) -> Dataset:
    """Returns the dataset NAME[:PATH|:LIST] of the table; raises UserError where its classes or images are others."""
    name, _, rest = argument.partition(":")
    if name not in ROWS:
        raise unknown("dataset", name, ROWS)
    row = ROWS[name]
    if row.subset:
        source = tfds.load_parts(row.tfds, row.splits, row.label, only=_listed(name, rest, row))
    elif rest:
        source = folder.load(rest, data)
    elif row.tfds:
        source = tfds.load_parts(row.tfds, row.splits, row.label, without=row.without)
    else:
        raise UserError(
            f"'{name}' is not in tensorflow-datasets: say where its class folders are, data.spec={usage(name)}"
        )
    _refuse_others(name, row, source)
    return dataclasses.replace(source, split=row.split, paper=row.paper)


def _listed(name: str, path: str, row: Row) -> list[str]:
    """Returns the class names in the text file `path`."""
    try:
        words = [line.split()[0] for line in Path(path).expanduser().read_text().splitlines() if line.split()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot read the class list '{path}' ({reason}): data.spec={usage(name)} wants a text file with the "
            f"names of {row.classes} classes, one a line, such as n02869837"
        ) from None
    if len(set(words)) != row.classes or len(words) != row.classes:
        raise UserError(
            f"'{path}' names {len(set(words))} different classes in {len(words)} lines: {name} wants {row.classes}, "
            "each once"
        )
    return words


def _refuse_others(name: str, row: Row, source: Dataset) -> None:
    if len(source.classes) != row.classes:
        raise UserError(
            f"'{name}' has {row.classes:,} classes, {len(source.classes):,} were found: name the folder that holds one "
            "folder for each class"
        )
    if any(finding.severe for finding in source.findings):
        return  # the files that cannot be read are told instead
    wrong = [
        f"{split} {len(source.image_sets[split].annotations):,} instead of {count:,}"
        for split, count in row.images.items()
        if split in source.image_sets and len(source.image_sets[split].annotations) != count
    ]
    if wrong:
        raise UserError(
            f"this is not the whole of '{name}': images in {', '.join(wrong)}; bring the missing ones, or train on "
            "what is there with data.spec=folder:PATH or tfds:NAME"
        )
