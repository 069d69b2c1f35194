"""Any image classification dataset of tensorflow-datasets: `tfds:NAME` or `tfds:NAME/CONFIG`.

The official train, validation and test splits are kept. What is not on the disk is downloaded by tensorflow-datasets;
TFDS_DATA_DIR names its folder.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from tinytrain.config import Data
from tinytrain.datasets import Pool, Source
from tinytrain.errors import UserError, nearest

SPLIT_NAMES = {"train": "train", "validation": "val", "val": "val", "test": "test"}


def load(argument: str, data: Data) -> Source:
    """Returns the dataset `argument`, downloaded and prepared if it is not there yet."""
    import tensorflow_datasets as tfds

    builder = _builder(tfds, argument)
    label = _classification(tfds, builder, argument)
    try:
        builder.download_and_prepare()
    except Exception as error:  # tensorflow-datasets raises whatever its downloader meets
        raise UserError(
            f"'tfds:{argument}' is not in {builder.data_dir} and could not be downloaded ({type(error).__name__}); "
            f"with a network `tfds build {argument}` brings it there, TFDS_DATA_DIR names another folder"
        ) from None
    names = list(builder.info.splits) or ["train", "test"]  # tfds.testing.mock_data knows no names and takes any
    splits = {SPLIT_NAMES[name]: name for name in names if name in SPLIT_NAMES}
    pools = {ours: _pool(builder, theirs, label) for ours, theirs in splits.items()}
    if "train" not in pools:
        raise UserError(f"'tfds:{argument}' has no train split (it has {', '.join(names)})")
    height, width, channels = builder.info.features["image"].shape
    side = max(height, width) if height and width else 0
    return Source(list(builder.info.features[label].names), pools, channels=1 if channels == 1 else 3, side=side)


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


def _pool(builder: Any, split: str, label: str) -> Pool:
    import tensorflow_datasets as tfds

    skip = {"image": tfds.decode.SkipDecoding()}
    raw = tfds.as_numpy(builder.as_dataset(split=split, decoders=skip))
    labels = np.array([example[label] for example in raw], np.int64)

    def images(prepare: Callable[[Image.Image], np.ndarray]) -> Iterator[np.ndarray]:
        decoded = tfds.as_numpy(builder.as_dataset(split=split))
        return (prepare(Image.fromarray(np.squeeze(example["image"]))) for example in decoded)

    names = [f"{split}-{number:06d}" for number in range(len(labels))]
    return Pool(labels, names, f"tfds {builder.info.full_name} {split} {len(labels)}", images)
