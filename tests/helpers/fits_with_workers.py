"""Trains methods, a detector and searches as one of several workers: python fits_with_workers.py OUT VOC [all].

With "all" every method and every kind of search and detector, which takes minutes; else what other tests leave out.
"""

import sys
from pathlib import Path

from tinytrain.commands.fit import fit
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.data.load import load_dataset
from tinytrain.nn.build import build_model
from tinytrain.train.resolve import resolve
from tinytrain.workers import cluster, collectives

OUT, VOC = map(Path, sys.argv[1:3])
ALL = "all" in sys.argv[3:]
WORKERS = collectives.begin(cluster.of_environment())
TINY = ["model.name=mobilenet_v2_tiny", "model.width=0.1", "model.resolution=16", "model.stem=cifar"]
SMALL = ["model.name=resnet8", "model.width=0.25", "model.resolution=16", "model.stem=cifar"]
SHORT = ["optim.epochs=1", "optim.batch=32", "data.train_images=64", "data.check=false", "optim.warmup_epochs=0"]
BOXES = [f"data.spec=voc:{VOC}", "model.name=resnet8", "model.width=0.25", "model.resolution=64"]
BOXES += ["model.stem=imagenet", "optim.batch=8", "optim.epochs=1", "data.check=false", "optim.lr=0.001"]
SEARCH = ["search.points=2", "search.epochs=1", "search.trials=2", "search.high=0.05"]


def network(words):
    """Returns the file of an untrained network; each worker makes its own, and all have the same weights."""
    config = configs.load(None, words)
    path = OUT / f"network-{WORKERS.number}.keras"
    build_model(resolve(config, load_dataset(config)), classes=10).save(path)
    return path


def runs():
    """Yields the keys of each training."""
    for name in plugins.names("methods") if ALL else ["dropblock+distill"]:
        words = [*(TINY if name == "tinytl" else SMALL), *SHORT, f"method={name}"]
        if name == "tinytl" or "distill" in name:
            words.append(f"{'model.weights' if name == 'tinytl' else 'distill.teacher'}={network(words[:-1])}")
        yield words
    yield [*BOXES, "detect.head=yolo3_lite", "detect.strides=[8,4]", "augment.mixup=1.5", "augment.mix_off_epochs=0"]
    yield [*SMALL, *SHORT, *SEARCH, "search.algorithm=tpe"]
    if ALL:
        yield [*SMALL, *SHORT, *SEARCH, "search.algorithm=grid"]
        yield [*SMALL, *SHORT, "augment.mixup=1.0", "augment.cutmix=1.0", "optim.schedule=plateau"]
        yield [*BOXES, "task=centroids"]
    yield [*SMALL, *SHORT, "optim.batch=2", "search.algorithm=range", "search.low=0.0001"]


for number, words in enumerate(runs()):
    run = fit(configs.load(None, words), OUT / f"run-{number}")
    assert (run is not None) == WORKERS.chief, words
    if run:
        assert run.finished, words
        assert len(run.history()) == 1, words
