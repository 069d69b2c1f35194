"""Detection datasets of small images that a test writes, with the boxes that it says."""

from pathlib import Path

import numpy as np
from PIL import Image

from tinytrain.data import boxes, image_files
from tinytrain.data.facts import Facts
from tinytrain.data.file_table import FileTable
from tinytrain.data.source import Dataset


def noise(number, size=(64, 64), mode="RGB"):
    """Returns an image (width, height) of noise; the same number gives the same one."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def dataset(folder: Path, splits, classes=("cell", "dot"), findings=()):
    """Writes images and returns the dataset of them.

    splits: {split: [(image, its boxes)]}; box M of image N is written at SPLIT/N.xml, line M, both from 1.
    """
    image_sets, everything = {}, []
    for split, pairs in splits.items():
        paths = []
        for number, (image, _) in enumerate(pairs, 1):
            paths.append(folder / split / f"{number}.png")
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            image.save(paths[-1])
        files = image_files.scan(FileTable.of(paths, folder))
        everything.append(files.facts)
        written_at = [
            [f"{split}/{number}.xml, line {line}" for line in range(1, len(rows) + 1)]
            for number, (_, rows) in enumerate(pairs, 1)
        ]
        annotations = boxes.pack([rows for _, rows in pairs])
        image_sets[split] = image_files.image_set(files, annotations, written_at)
    result = image_files.as_dataset(list(classes), image_sets, Facts.join(everything), findings, task="detect")
    assert isinstance(result, Dataset)
    return result
