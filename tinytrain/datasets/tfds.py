"""Any image classification dataset of tensorflow-datasets: `tfds:NAME` or `tfds:NAME/CONFIG`.

The official train, validation and test splits are kept. What is not on the disk is downloaded by tensorflow-datasets;
TFDS_DATA_DIR names its folder.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinytrain.config.catalog import TRAIN_TEST
from tinytrain.config.schema import Data
from tinytrain.data.source import Dataset, ImageSet
from tinytrain.errors import UserError, nearest

OFFICIAL = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}  # theirs: ours


def load(argument: str, data: Data) -> Dataset:
    """Returns the dataset `argument`, downloaded and prepared if it is not there yet."""
    return load_parts(argument)


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
        splits: our name of a split -> theirs; by default those called train, validation and test.
        label: the feature that is the class; by default the one called label, else the first of its kind.
        only: the classes to keep, in this order; by default all.
        without: a class to leave out.
    """
    import tensorflow_datasets as tfds

    builder = _builder(tfds, argument)
    label = label or _classification(tfds, builder, argument)
    _prepare(builder, argument)
    names = list(builder.info.splits) or list((splits or TRAIN_TEST).values())  # tfds.testing.mock_data knows no names
    splits = splits or {ours: theirs for theirs, ours in OFFICIAL.items() if theirs in names}
    missing = [theirs for theirs in splits.values() if theirs not in names]
    if missing or "train" not in splits:
        absent = ", ".join(missing) or "train"
        raise UserError(f"'tfds:{argument}' has no {absent} split (it has {', '.join(names)})")
    classes = list(builder.info.features[label].names)
    kept = list(only) or [name for name in classes if name != without]
    known = set(classes)
    unknown = [name for name in kept if name not in known]
    if unknown:
        raise UserError(f"'tfds:{argument}' has no class {', '.join(unknown)} (it has {', '.join(classes[:3])}, …)")
    numbers = {name: number for number, name in enumerate(kept)}
    new = np.array([numbers.get(name, -1) for name in classes])  # our index of each of their classes
    pools = {ours: _pool(builder, theirs, label, new) for ours, theirs in splits.items()}
    pools = {
        ours: pool for ours, pool in pools.items() if len(pool.annotations)
    }  # ImageNet's test images have no labels
    height, width, channels = builder.info.features["image"].shape
    side = max(height, width) if height and width else 0
    return Dataset(kept, pools, channels=1 if channels == 1 else 3, side=side)


def _prepare(builder: Any, argument: str) -> None:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader

    downloader.MAX_RETRIES = 4  # 3 s without a network, not minutes
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare()
    except Exception as error:  # tensorflow-datasets raises whatever its downloader meets
        if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
            raise UserError(
                f"'tfds:{argument}' is not in {builder.data_dir} and must be downloaded by hand: put the files that "
                f"https://www.tensorflow.org/datasets/catalog/{builder.name} names into "
                f"{Path(builder.data_dir).parents[1] / 'downloads/manual'}"
            ) from None
        raise UserError(
            f"'tfds:{argument}' is not in {builder.data_dir} and could not be downloaded ({type(error).__name__}); "
            f"with a network `tfds build {argument}` brings it there, TFDS_DATA_DIR names another folder"
        ) from None


def _builder(tfds: Any, argument: str) -> Any:
    name = argument.partition("/")[0].partition(":")[0]
    try:
        return tfds.builder(argument)
    except (tfds.core.DatasetNotFoundError, ValueError):
        known = tfds.list_builders(with_community_datasets=False)
        problem = "is no dataset of tensorflow-datasets" if name not in known else "has no such configuration"
        hint = nearest(name, known) if name not in known else ""
        raise UserError(f"'tfds:{argument}' {problem}{hint}; say data.spec=tfds:NAME or tfds:NAME/CONFIG") from None


def _classification(tfds: Any, builder: Any, argument: str) -> str:
    """Returns the name of the label feature."""
    features = builder.info.features
    labels = [name for name, kind in features.items() if isinstance(kind, tfds.features.ClassLabel)]
    if "image" not in features or not labels:
        raise UserError(f"'tfds:{argument}' is no image classification dataset: it has {', '.join(features)}")
    return "label" if "label" in labels else labels[0]


def _pool(builder: Any, split: str, label: str, new: np.ndarray) -> ImageSet:
    """Returns the images of a split whose class is kept: `new` is our index of each of their classes, or -1."""
    import tensorflow_datasets as tfds

    both = {"image": True, label: True}  # nothing else is read
    skip = tfds.decode.PartialDecoding(both, decoders={"image": tfds.decode.SkipDecoding()})
    raw = tfds.as_numpy(builder.as_dataset(split=split, decoders=skip))
    theirs = np.array([example[label] for example in raw], np.int64)
    labels = np.where(theirs < 0, -1, new[theirs])
    keep = labels >= 0

    def images(prepare: Callable[[Image.Image], np.ndarray]) -> Iterator[np.ndarray]:
        import tensorflow as tf

        encoded = builder.as_dataset(split=split, decoders=skip)
        wanted = tf.data.Dataset.zip(encoded, tf.data.Dataset.from_tensor_slices(keep)).filter(lambda _, kept: kept)
        feature = builder.info.features["image"]
        decoded = wanted.map(lambda example, _: feature.decode_example(example["image"]), num_parallel_calls=4)
        return (prepare(Image.fromarray(np.squeeze(image))) for image in tfds.as_numpy(decoded))

    names = [f"{split}-{number:06d}" for number in np.flatnonzero(keep)]
    key = f"tfds {builder.info.full_name} {split} {len(labels)}"
    key += "" if keep.all() and (new == np.arange(len(new))).all() else f" {new.tolist()}"
    return ImageSet(labels[keep], names, key, images)
