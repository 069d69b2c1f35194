"""configs/detect: the recipe of detection.md E, typed by hand, and the sizes of the networks in its C.3."""

import numpy as np
import pytest

from tests.helpers import box_datasets
from tinytrain.config import library, load
from tinytrain.config.plugins import data_folder
from tinytrain.data.boxes import Box
from tinytrain.nn import macs
from tinytrain.train.resolve import resolve
from tinytrain.train.task import build_network

FOLDER = data_folder("configs") / "detect"  # a grid: no such folder, but detect.toml
# epochs, batch, learning rate, drops, warm-up
RECIPES = {"voc0712": (200, 64, 1e-3, [160, 180], 4), "coco2017": (120, 128, 2e-3, [94, 107], 2)}
# detection.md C.3, taps of a stage, 512, 256 and 128 channels: parameters and multiply-accumulates at 416
SIZES = {
    ("mobilenet_v2", "voc0712"): (20, 4_185_281, 1_765_785_008),
    ("mobilenet_v2", "coco2017"): (80, 4_508_381, 1_983_835_568),
    ("mobilenet_v3_large", "voc0712"): (20, 4_286_441, 1_702_464_520),
    ("mobilenet_v3_large", "coco2017"): (80, 4_609_541, 1_920_515_080),
}


@pytest.mark.parametrize(("network", "dataset"), SIZES)
def test_a_config_is_the_papers_detector_and_the_recipe_of_gluoncv(tmp_path, network, dataset):
    config = load.load(FOLDER / f"{network}_{dataset}.toml")
    optim, detect, augment = config.optim, config.detect, config.augment
    recipe = (optim.epochs, optim.batch, optim.lr, optim.drops, optim.warmup_epochs)
    assert recipe == RECIPES[dataset]
    assert (optim.name, optim.momentum, optim.nesterov, optim.weight_decay, optim.decay) == (
        "sgd",
        0.9,
        False,
        5e-4,
        "all",
    )
    assert (optim.schedule, optim.drop_factor, optim.warmup_from, optim.label_smoothing) == ("steps", 0.1, 0, 0)
    assert (config.task, config.data.spec, config.model.name, config.model.width) == ("detect", dataset, network, 0.35)
    assert (detect.gain, detect.ignore_iou, detect.nms, detect.boxes) == (1, 0.7, 0.45, 100)
    assert (augment.expand, augment.expand_ratio, augment.iou_crop, augment.distort) == (0.5, 4, True, True)
    assert (augment.flip, augment.mixup, config.data.resize) == (True, 0, "stretch")
    count, parameters, multiplications = SIZES[network, dataset]
    classes = [f"class {number}" for number in range(count)]
    pairs = [(box_datasets.noise(n, (48, 40)), [Box(0, (1.0, 2.0, 30.0, 33.0))]) for n in range(12)]
    resolved = resolve(config, box_datasets.dataset(tmp_path, {"all": pairs}, classes))
    built = build_network(resolved, classes)
    assert sum(int(np.prod(variable.shape)) for variable in built.trainable_variables) == parameters
    assert macs.count(built) == multiplications
    assert [output.shape[1:] for output in built.outputs] == [(side, side, 3 * (5 + count)) for side in (13, 26, 52)]


def test_each_has_a_sentence_of_its_own():
    titles = {path.stem: library.title_of(path) for path in library.config_paths() if path.parent == FOLDER}
    assert set(titles) == {f"{network}_{dataset}" for network, dataset in SIZES}
    assert len(set(titles.values())) == 4
    assert titles["mobilenet_v2_voc0712"] == (
        "YOLOv3 with MobileNetV2 0.35 at 416x416 on VOC07+12: NetAug (Cai et al., 2022), Table 4."
    )
