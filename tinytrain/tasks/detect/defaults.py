"""What "auto" means in [detect]: by the head, the blocks of the network, and the boxes that are trained on."""

from itertools import pairwise

import numpy as np

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.heads import has_anchors
from tinytrain.config.schema import Config
from tinytrain.data import anchors, box_rows, check, splits
from tinytrain.data.source import Dataset
from tinytrain.errors import Mistakes, UserError
from tinytrain.nn import pretrained
from tinytrain.nn.taps import taps

HEAD = "yolo3_lite"
FINEST = 8  # pixels: smaller cells cost more than they find
LEAST_STRIDE = 4  # as detect.strides allows
LARGEST_CANVAS = 2  # times the input: a crop of half the side is then as sharp as the whole image


def resolve(config: Config, dataset: Dataset) -> None:
    """Replaces every "auto" of [detect] but the score, which the trained network tells.

    Raises:
        UserError: strides, channels or anchors that do not go together, or with the resolution.
    """
    detect, resolution = config.detect, int(config.model.resolution)
    detect.head = HEAD if detect.head == "auto" else detect.head
    usual = plugins.load("heads", detect.head).DEFAULTS
    if detect.strides == "auto":
        detect.strides = _strides(config, dataset, usual["strides"])
    if detect.channels == "auto":
        detect.channels = usual["channels"][: len(detect.strides)]  # of a network with fewer strides than the head's
    for name in ("depth", "fuse"):
        if getattr(detect, name) == "auto":
            setattr(detect, name, usual[name])
    if detect.canvas == "auto":
        detect.canvas = min(LARGEST_CANVAS * resolution, max(dataset.side, resolution) if dataset.side else 10**9)
    if detect.anchors == "auto":
        detect.anchors = _anchors(config, dataset) if has_anchors(detect.head) else "none"
    _check(config)


def _strides(config: Config, dataset: Dataset, usual: list[int]) -> list[int]:
    """Returns as many strides as the head has, the largest ones that the network has and the boxes allow.

    A cell should be no larger than the objects of the class with the smallest ones, by their median.
    """
    build = plugins.load("models", config.model.name).build
    there = list(taps(build(**pretrained.architecture_options(config.model) | {"classes": 2})))
    smallest = max(_smallest(config, dataset), FINEST)
    allowed = [stride for stride in there if LEAST_STRIDE <= stride <= max(usual)]
    if not allowed:
        raise UserError(
            f"the model {config.model.name} has blocks of stride {', '.join(map(str, there))} with model.stem="
            f"{config.model.stem}: the head {config.detect.head} expects some of {LEAST_STRIDE} to {max(usual)}"
        )
    while len(allowed) > len(usual) and allowed[-len(usual)] > smallest:
        allowed = allowed[:-1]
    return sorted(allowed[-len(usual) :], reverse=True)


def _smallest(config: Config, dataset: Dataset) -> float:
    """Returns the median side √(width·height), in pixels of the input, of the class for which it is least."""
    rows = box_rows.at_input(*_training(config, dataset), int(config.model.resolution))
    rows = rows.take(rows.seen)
    sides = np.sqrt(rows.sizes.prod(axis=1))
    return min((float(np.median(sides[rows.label == label])) for label in np.unique(rows.label)), default=0.0)


def _anchors(config: Config, dataset: Dataset) -> list[float]:
    """Returns the anchors of the training boxes, at the size that the network sees them."""
    return anchors.of_annotations(*_training(config, dataset), config)


def _training(config: Config, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns annotations (N, M, FIELDS) and transforms (N, 4) to the input of the training images."""
    try:
        part = splits.draw(dataset, config.data, splits.seed(config))["train"]
    except UserError:  # the training will be refused for it
        name = next(iter(dataset.image_sets))
        part = splits.Subset(name, np.arange(len(dataset.image_sets[name].names)))
    infos = check.infos(dataset.image_sets[part.image_set])
    images = box_rows.BoxImages.of(dataset, {"train": part}, {part.image_set: infos})
    return images.annotations, images.transforms(int(config.model.resolution), config.data.resize)


def _check(config: Config) -> None:
    """Raises UserError for all that is wrong with [detect]."""
    detect, resolution = config.detect, int(config.model.resolution)
    head, strides = plugins.load("heads", detect.head), list(map(int, detect.strides))
    count = 0 if detect.anchors == "none" else len(detect.anchors)
    wanted = 2 * len(strides) * detect.anchors_per_scale
    problems = {
        f"the head {detect.head} takes one stride, received detect.strides = {strides}": (
            len(strides) > 1 and getattr(head, "ONE_STRIDE", False)
        ),
        f"detect.strides = {strides}, expected the largest first, and each to be twice the next one": any(
            larger != 2 * smaller for larger, smaller in pairwise(strides)
        ),
        f"the head {detect.head} joins its scales by concat, received detect.fuse = {detect.fuse}": (
            getattr(head, "FUSE", detect.fuse) != detect.fuse
        ),
        f"detect.channels = {detect.channels}, expected {len(strides)} numbers, one for each of detect.strides = "
        f"{strides}": len(detect.channels) not in (1, len(strides)),
        f"detect.anchors has {count} numbers, expected {wanted}: width and height of {detect.anchors_per_scale} "
        f"anchors for each of {len(strides)} strides": has_anchors(detect.head) and count != wanted,
        f"the head {detect.head} has no anchors, received detect.anchors = {detect.anchors}, expected none": (
            count > 0 and not has_anchors(detect.head)
        ),
        f"model.resolution = {resolution}, expected a multiple of {strides[0]}, the largest of detect.strides": (
            resolution % strides[0] != 0
        ),
        f"detect.depth = {detect.depth}, expected an odd number": int(detect.depth) % 2 == 0,
        f"detect.canvas = {detect.canvas}, expected at least model.resolution = {resolution}": (
            int(detect.canvas) < resolution
        ),
    }
    Mistakes(sentence for sentence, wrong in problems.items() if wrong).raise_all()
    configs.check(config)
