"""Tells from a look at a folder in which format it holds boxes, so that a wrong SPEC is answered with the right one.

Nothing here imports TensorFlow.
"""

import itertools
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

MOST_FILES = 20_000  # looked at
SAMPLES = 20  # files of a suffix that are opened
HEAD_BYTES = 1 << 16
SHARD = re.compile(r"-\d+-of-\d+$")  # at the end of the name of a TFRecord file
# Of a suffix: the format, and all that the head of such a file holds.
SIGNS = {
    ".xml": [("voc", [re.compile(rb"<annotation[\s>]"), re.compile(rb"<(object|size|filename)\b")])],
    ".json": [
        ("labelme", [re.compile(rb'"(shapes|imagePath)"\s*:')]),
        ("coco", [re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')]),
    ],
    ".yaml": [("yolo", [re.compile(rb"^(names|nc)\s*:", re.MULTILINE)])],
    ".yml": [("yolo", [re.compile(rb"^(names|nc)\s*:", re.MULTILINE)])],
    ".data": [("yolo", [re.compile(rb"^\s*names\s*=", re.MULTILINE)])],
    ".txt": [("yolo", [re.compile(rb"\A\s*\d+(\.0+)?(\s+[-+.\deE]+){4,}\s*(\n|\Z)")])],
    ".tfrecord": [("tfrecord", [re.compile(rb"image/")])],
    ".record": [("tfrecord", [re.compile(rb"image/")])],
}
ORDER = ("voc", "coco", "labelme", "yolo", "tfrecord")


def kind_of(path: Path) -> str:
    """Returns the format of the boxes in a folder or of a file, a name in tinytrain/datasets; "" if there are none."""
    samples: dict[str, int] = {}
    found = set()
    for file in itertools.islice(_files(path), MOST_FILES):
        suffix = Path(SHARD.sub("", file.name)).suffix.lower()
        if suffix in SIGNS and samples.get(suffix, 0) < SAMPLES:
            samples[suffix] = samples.get(suffix, 0) + 1
            found.add(_kind_of_file(file, suffix))
    return next((kind for kind in ORDER if kind in found), "")


def suffixes(kind: str) -> set[str]:
    """Returns the suffixes of files in a format."""
    return {suffix for suffix, signs in SIGNS.items() if kind in dict(signs)}


def spec(kind: str, path: Path | str) -> str:
    """Returns the SPEC of a path in a format, as it is typed."""
    return shlex.quote(f"{kind}:{path}")


def _files(path: Path) -> Iterator[Path]:
    """Yields the files in a folder and below, or the file itself."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _kind_of_file(path: Path, suffix: str) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return ""
    return next((kind for kind, signs in SIGNS[suffix] if all(sign.search(head) for sign in signs)), "")
