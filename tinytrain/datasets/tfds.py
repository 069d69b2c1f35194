"""Any dataset of tensorflow-datasets with classes or with boxes: `tfds:NAME` or `tfds:NAME/CONFIG`.

The official train, validation and test splits are kept. tensorflow-datasets downloads what is missing to its folder,
which TFDS_DATA_DIR can name.
"""

import contextlib
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinytrain import files
from tinytrain.config.dataset_catalog import TRAIN_TEST
from tinytrain.config.schema import Data
from tinytrain.data import facts, reading, tfds_boxes
from tinytrain.data.box_problems import Problems
from tinytrain.data.source import Dataset, ImageSet
from tinytrain.errors import UserError, nearest

# Name of a split in tensorflow-datasets: name in tinytrain.
OFFICIAL = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def load(argument: str, data: Data) -> Dataset:
    """Returns the dataset `argument`, downloaded and prepared if it is missing."""
    import tensorflow_datasets

    builder = _builder(tensorflow_datasets, argument)
    if not tfds_boxes.class_names(builder):
        return load_parts(argument)
    _prepare(builder, argument)
    splits = {OFFICIAL[name]: (f"{argument}:{name}",) for name in builder.info.splits if name in OFFICIAL}
    return load_boxes(splits)


def load_boxes(parts: Mapping[str, Sequence[str]]) -> Dataset:
    """Returns a dataset for object detection.

    Args:
        parts: {split: "NAME/CONFIG:SPLIT" of tensorflow-datasets, joined in order}; all have the same classes.

    Raises:
        UserError: a dataset cannot be downloaded.
    """
    import tensorflow_datasets

    names = dict.fromkeys(part.rpartition(":")[0] for joined in parts.values() for part in joined)
    builders = {name: _builder(tensorflow_datasets, name) for name in names}
    for name, builder in builders.items():
        _prepare(builder, name)
    problems, image_sets = Problems(), {}
    for split, joined in parts.items():
        named = [part.rpartition(":")[::2] for part in joined]
        image_sets[split] = tfds_boxes.image_set([(builders[name], part) for name, part in named], problems)
    classes = tfds_boxes.class_names(next(iter(builders.values())))
    findings = tuple(problems.findings(skip_bad=False))
    return Dataset(classes, image_sets, channels=3, side=0, resize="pad", findings=findings, task="detect")


def load_parts(
    argument: str,
    splits: Mapping[str, str] | None = None,
    label: str = "",
    only: Sequence[str] = (),
    without: str = "",
) -> Dataset:
    """Returns some splits and classes of a dataset of tensorflow-datasets.

    Args:
        argument: NAME or NAME/CONFIG.
        splits: {name in tinytrain: name in tensorflow-datasets}; by default the official splits.
        label: the feature that holds the class; by default the one named label, else the first class label.
        only: the classes to keep, in this order; by default all.
        without: a class to leave out.

    Raises:
        UserError: the dataset or a split or class is unknown, cannot be downloaded, or is not image classification.
    """
    import tensorflow_datasets as tfds

    builder = _builder(tfds, argument)
    label = label or _label_feature(tfds, builder, argument)
    _prepare(builder, argument)
    names = list(builder.info.splits) or list((splits or TRAIN_TEST).values())  # tfds.testing.mock_data has no names
    splits = splits or {split: name for name, split in OFFICIAL.items() if name in names}
    missing = [name for name in splits.values() if name not in names]
    if missing or "train" not in splits:
        absent = ", ".join(missing) or "train"
        raise UserError(f"'tfds:{argument}' has no {absent} split (it has {', '.join(names)})")
    all_classes = list(builder.info.features[label].names)
    classes = list(only) or [name for name in all_classes if name != without]
    known = set(all_classes)
    unknown = [name for name in classes if name not in known]
    if unknown:
        raise UserError(f"'tfds:{argument}' has no class {', '.join(unknown)} (it has {', '.join(all_classes[:3])}, …)")
    index_of = {name: index for index, name in enumerate(classes)}
    new_index = np.array([index_of.get(name, -1) for name in all_classes])
    image_sets = {split: _image_set(builder, name, label, new_index) for split, name in splits.items()}
    # ImageNet's test images have no labels.
    image_sets = {split: image_set for split, image_set in image_sets.items() if len(image_set.annotations)}
    height, width, channels = builder.info.features["image"].shape
    side = max(height, width) if height and width else 0
    return Dataset(classes, image_sets, channels=1 if channels == 1 else 3, side=side)


def _prepare(builder: Any, argument: str) -> None:
    """Downloads and prepares a dataset if it is missing."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader

    downloader.MAX_RETRIES = 4  # 3 s without a network, not minutes
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare()
    except Exception as error:  # tensorflow-datasets raises all kinds
        if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
            raise UserError(
                f"'tfds:{argument}' is not in {builder.data_dir} and must be downloaded by hand: put the files that "
                f"https://www.tensorflow.org/datasets/catalog/{builder.name} names into "
                f"{Path(builder.data_dir).parents[1] / 'downloads/manual'}"
            ) from None
        raise UserError(
            f"'tfds:{argument}' is not in {builder.data_dir} and could not be downloaded ({type(error).__name__}); "
            f"with an internet connection `tfds build {argument}` puts it there; TFDS_DATA_DIR can name another folder"
        ) from None


def _builder(tfds: Any, argument: str) -> Any:
    name = argument.partition("/")[0].partition(":")[0]
    try:
        return tfds.builder(argument)
    except (tfds.core.DatasetNotFoundError, ValueError):
        known = tfds.list_builders(with_community_datasets=False)
        problem = "is not a dataset of tensorflow-datasets" if name not in known else "has no such configuration"
        hint = nearest(name, known) if name not in known else ""
        raise UserError(f"'tfds:{argument}' {problem}{hint}; use data.spec=tfds:NAME or tfds:NAME/CONFIG") from None


def _label_feature(tfds: Any, builder: Any, argument: str) -> str:
    """Returns the name of the feature that holds the class; raises UserError if there is no image or no class."""
    features = builder.info.features
    labels = [name for name, kind in features.items() if isinstance(kind, tfds.features.ClassLabel)]
    if "image" not in features or not labels:
        raise UserError(f"'tfds:{argument}' is not an image classification dataset: it has {', '.join(features)}")
    return "label" if "label" in labels else labels[0]


def _labels(builder: Any, split: str, label: str) -> np.ndarray:
    """Returns (N,) int64, the class of each image of a split; from the cache if they were read before.

    tensorflow-datasets reads the images as well to get at the labels: 150 GB for ImageNet.
    """
    import tensorflow_datasets as tfds

    count = builder.info.splits[split].num_examples if split in builder.info.splits else 0  # none of mock_data
    identity = json.dumps([str(builder.data_dir), builder.info.full_name, split, label, count])
    cache_file = files.cache_folder() / f"labels-{hashlib.sha256(identity.encode()).hexdigest()[:32]}.npy"
    labels = facts.read(cache_file, np.dtype(np.int64)) if count else None
    if labels is None or len(labels) != count:
        features = {label: True}  # no others are decoded
        examples = tfds.as_numpy(builder.as_dataset(split=split, decoders=tfds.decode.PartialDecoding(features)))
        labels = np.fromiter((example[label] for example in examples), np.int64)
        if len(labels) == count:
            facts.write(cache_file, labels)
    return labels


def _image_set(builder: Any, split: str, label: str, new_index: np.ndarray) -> ImageSet:
    """Returns the images of a split whose classes are kept.

    Args:
        builder: of tensorflow-datasets.
        split: its name there.
        label: the feature that holds the class.
        new_index: the index of each class of tensorflow-datasets among the kept ones, or -1.
    """
    import tensorflow_datasets as tfds

    features = {"image": True, label: True}  # no others are read
    undecoded = tfds.decode.PartialDecoding(features, decoders={"image": tfds.decode.SkipDecoding()})
    all_labels = _labels(builder, split, label)
    labels = np.where(all_labels < 0, -1, new_index[all_labels])
    kept = labels >= 0

    def images(prepare: Callable[[Image.Image], Any], numbers: np.ndarray) -> Iterator[Any]:
        import tensorflow as tf

        encoded, wanted = builder.as_dataset(split=split, decoders=undecoded), np.zeros(len(kept), bool)
        wanted[np.flatnonzero(kept)[numbers]] = True
        pairs = tf.data.Dataset.zip(encoded, tf.data.Dataset.from_tensor_slices(wanted)).filter(lambda _, keep: keep)
        feature = builder.info.features["image"]
        decoded = pairs.map(lambda example, _: feature.decode_example(example["image"]), num_parallel_calls=4)
        return reading.in_threads(lambda image: prepare(Image.fromarray(np.squeeze(image))), tfds.as_numpy(decoded))

    names = [f"{split}-{number:06d}" for number in np.flatnonzero(kept)]
    key = f"tfds {builder.info.full_name} {split} {len(labels)}"
    key += "" if kept.all() and (new_index == np.arange(len(new_index))).all() else f" {new_index.tolist()}"
    return ImageSet(labels[kept], names, key, images)
