"""The strides that detect.strides=auto stands for follow the boxes that are learnt, as the network sees them."""

import pytest
from box_datasets import dataset, noise

from tinytrain.config import load as configs
from tinytrain.data.boxes import CROWD, Box
from tinytrain.tasks.detect import defaults

SMALL, LARGE = Box(0, (20, 4, 28, 12)), Box(0, (16, 16, 48, 48))


@pytest.mark.parametrize(
    ("rows", "size", "resize", "strides"),
    [
        ([LARGE], (64, 64), "stretch", [32, 16]),
        ([SMALL], (64, 64), "stretch", [16, 8]),
        ([LARGE, Box(0, (20, 4, 28, 12), CROWD), Box(0, (40, 4, 48, 12), CROWD)], (64, 64), "stretch", [32, 16]),
        ([LARGE, Box(1, (20, 4, 28, 12), CROWD)], (64, 64), "stretch", [32, 16]),
        # of 128x64 a crop keeps x from 32 to 96: the second box is out of sight
        ([Box(0, (40, 16, 72, 48)), Box(1, (2, 4, 10, 12))], (128, 64), "crop", [32, 16]),
    ],
)
def test_strides_follow_the_boxes_that_are_learnt(tmp_path, rows, size, resize, strides):
    source = dataset(tmp_path, {split: [(noise(1, size), rows)] for split in ("train", "val", "test")})
    words = ["task=detect", "model.name=mobilenet_v1", "model.resolution=64", f"data.resize={resize}"]
    words += ["model.width=0.25", "model.channels=3", "model.stem=imagenet"]
    config = configs.load(None, words)
    defaults.resolve(config, source)
    assert config.detect.strides == strides
