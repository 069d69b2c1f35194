"""Boxes of a dataset of tensorflow-datasets: its feature `objects`, with `bbox` and `label`."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinytrain.data import boxes, reading
from tinytrain.data.box_fit import Annotated, fit, without_repeats
from tinytrain.data.box_problems import Problems
from tinytrain.data.boxes import CROWD, DIFFICULT, NORMAL, Box
from tinytrain.data.facts import ImageInfo
from tinytrain.data.source import ImageSet

DECIMALS = 2  # of a pixel, as COCO has them: tensorflow-datasets keeps 7 digits of the share
FLAGS = {"is_difficult": DIFFICULT, "is_crowd": CROWD}


def class_names(builder: Any) -> list[str]:
    """Returns the names of the classes of the objects; [] if the dataset has no boxes with classes."""
    features = builder.info.features
    objects = getattr(features["objects"], "feature", {}) if {"image", "objects"} <= set(features) else {}
    return list(objects["label"].names) if {"bbox", "label"} <= set(objects) else []


def image_set(parts: Sequence[tuple[Any, str]], problems: Problems) -> ImageSet:
    """Returns the images of splits, one after the other.

    Args:
        parts: (builder, name of a split there), prepared.
        problems: collects boxes that cannot be used.
    """
    import tensorflow_datasets as tfds

    names: list[str] = []
    rows: list[list[Box]] = []
    counts: list[int] = []
    for builder, split in parts:
        counts.append(-len(rows))
        for number, example in enumerate(tfds.as_numpy(_undecoded(builder, split))):
            names.append(f"{builder.info.full_name.replace('/', '-')}-{split}-{number:06d}")
            with Image.open(io.BytesIO(example["image"])) as image:
                size = image.size  # without its EXIF, as tensorflow-datasets decodes it
            rows.append(_boxes(builder, example["objects"], size, names[-1], problems))
        counts[-1] += len(rows)

    def images(prepare: Callable[[Image.Image], Any], numbers: np.ndarray) -> Iterator[Any]:
        import tensorflow as tf

        wanted, start = np.isin(np.arange(len(rows)), numbers), 0
        for (builder, split), count in zip(parts, counts, strict=True):
            decode = builder.info.features["image"].decode_example
            mask = tf.data.Dataset.from_tensor_slices(wanted[start : start + count])
            chosen = tf.data.Dataset.zip(_undecoded(builder, split), mask).filter(lambda _, keep: keep)
            decoded = chosen.map(
                lambda example, _, decode=decode: decode(example["image"]), num_parallel_calls=4, deterministic=True
            )
            start += count
            decoded_images = tfds.as_numpy(decoded)
            yield from reading.in_threads(lambda image: prepare(Image.fromarray(np.squeeze(image))), decoded_images)

    key = "tfds boxes " + " + ".join(f"{builder.info.full_name} {split}" for builder, split in parts) + f" {len(rows)}"
    written_at = [[box.where for box in row] for row in rows]
    return ImageSet(boxes.pack(rows), names, key, images, written_at=written_at)


def _undecoded(builder: Any, split: str) -> Any:
    """Returns the examples of a split as a tf.data.Dataset, with encoded images."""
    import tensorflow_datasets as tfds

    features = {"image": True, "objects": True}  # no others are read
    undecoded = tfds.decode.PartialDecoding(features, decoders={"image": tfds.decode.SkipDecoding()})
    return builder.as_dataset(split=split, decoders=undecoded)


def _boxes(
    builder: Any, objects: dict[str, np.ndarray], size: tuple[int, int], name: str, problems: Problems
) -> list[Box]:
    """Returns the boxes of an image in pixels."""
    width, height = size
    read = []
    pixels = np.round(objects["bbox"].astype(float) * [height, width, height, width], DECIMALS)
    for index, (y0, x0, y1, x1) in enumerate(pixels.tolist()):
        if builder.name == "voc":  # tensorflow-datasets divides VOC's pixels, which count from 1, by the size
            x0, y0 = x0 - 1, y0 - 1
        flag = next((value for key, value in FLAGS.items() if key in objects and objects[key][index]), NORMAL)
        area = float(objects["area"][index]) if "area" in objects and objects["area"][index] > 0 else None
        where = f"{name}, object {index}"
        read.append(Box(int(objects["label"][index]), (x0, y0, x1, y1), flag, area, where))
    return without_repeats(fit(Annotated(Path(name), read), ImageInfo(size), name, problems), problems)
