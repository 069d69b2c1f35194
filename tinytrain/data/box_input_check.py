"""Checks of boxes as the network sees them: in pixels of its input, in its cells, beside its anchors."""

import math
from collections import Counter

import numpy as np

from tinytrain.config.schema import Config
from tinytrain.data import anchors, box_rows
from tinytrain.data.box_rows import BoxImages, BoxRows
from tinytrain.data.source import Finding, counted

LOST, LEARNABLE = 1, 8  # pixels: a shorter side is less than a pixel, or too short to be learnt
LARGEST_INPUT = 1024  # pixels, as model.resolution allows
NEARLY_ALL = 99  # percent, which a smaller resolution is named for
LISTED_CLASSES = 5  # in a sentence
COVERED = 0.9  # the share of the boxes that anchors ought to cover


def findings(images: BoxImages, classes: list[str], config: Config) -> list[Finding]:
    """Returns what is wrong with boxes at model.resolution; nothing while that is "auto".

    Args:
        images: of all splits.
        classes: the names of the classes.
        config: the run; without detect.strides no cells and anchors are looked at.
    """
    if "auto" in (config.model.resolution, config.data.resize):
        return []
    side = int(config.model.resolution)
    transforms = images.transforms(side, config.data.resize)
    rows = box_rows.at_input(images.annotations, transforms, side)
    result = _cut_off(images, rows, config.data.resize)
    rows = rows.take(rows.seen)
    result += _short_sides(images, rows, classes, config)
    if config.detect.strides == "auto":
        return result
    training = images.training
    by_stride = anchors.of_config(images.annotations[training], transforms[training], config)
    result += _same_cell(images, rows, by_stride, config)
    return result + (_uncovered(images, rows.take(training[rows.image]), by_stride) if by_stride else [])


def _cut_off(images: BoxImages, rows: BoxRows, resize: str) -> list[Finding]:
    lines = tuple(images.where(rows.take(~rows.seen)))
    what = f"{counted(len(lines), 'box', 'boxes')} outside the part of the images that the network sees"
    hint = "data.resize=pad or stretch keeps the whole image" if resize == "crop" else "remove them, or draw them again"
    return [Finding("cut off", what, hint, lines)] if lines else []


def _short_sides(images: BoxImages, rows: BoxRows, classes: list[str], config: Config) -> list[Finding]:
    """Returns the findings of boxes with a side below a pixel, and of those with one that is too short to be learnt."""
    shortest = _shortest(rows)
    kinds = (
        ("lost", LOST, shortest < LOST, "less than a pixel is left of them"),
        ("small", LEARNABLE, (shortest >= LOST) & (shortest < LEARNABLE), "too small to be learnt"),
    )
    result = []
    for kind, least, chosen, meaning in kinds:
        if chosen.any():
            few = rows.take(np.flatnonzero(chosen)[np.argsort(shortest[chosen], kind="stable")])
            by_class = Counter(few.label.tolist()).most_common()
            listed = ", ".join(f"{count:,} of {classes[label]}" for label, count in by_class[:LISTED_CLASSES])
            listed += f" and of {len(by_class) - LISTED_CLASSES} other classes" * (len(by_class) > LISTED_CLASSES)
            what = (
                f"{len(few.label):,} of {counted(len(rows.label), 'box', 'boxes')} with a side below {least} px at "
                f"model.resolution={config.model.resolution}, {meaning}: {listed}"
            )
            result.append(
                Finding(f"{kind} boxes", what, _resolutions(images, shortest, least, config), _sized(images, few))
            )
    return result


def _shortest(rows: BoxRows) -> np.ndarray:
    """Returns (n,) the shorter side of each box, without the rounding errors of float32."""
    return np.round(rows.sizes.min(axis=1), 3)


def _sized(images: BoxImages, rows: BoxRows) -> tuple[str, ...]:
    """Returns a line for each box: file and line, and its width and height."""
    pairs = zip(images.where(rows), rows.sizes.tolist(), strict=True)
    return tuple(f"{line}: {width:.1f}x{height:.1f} px" for line, (width, height) in pairs)


def _resolutions(images: BoxImages, shortest: np.ndarray, least: int, config: Config) -> str:
    """Returns which resolutions bring the shorter sides (n,) of all boxes, or of nearly all, to `least` pixels."""
    side = int(config.model.resolution)
    step = 1 if config.detect.strides == "auto" else max(config.detect.strides)

    def needed(percent: float) -> int:
        """Returns the resolution, a multiple of the largest stride, at which `percent` of the boxes are shorter."""
        length = float(np.percentile(shortest, percent, method="lower"))
        resolution = step * math.ceil(round(side * least / length / step, 6)) if length else LARGEST_INPUT + 1
        while resolution <= LARGEST_INPUT:  # borders of whole pixels change a side by a little
            rows = box_rows.at_input(images.annotations, images.transforms(resolution, config.data.resize), resolution)
            if np.percentile(_shortest(rows.take(rows.seen)), percent, method="lower") >= least:
                break
            resolution += step
        return resolution

    every, most = needed(0), needed(100 - NEARLY_ALL)
    words = f"model.resolution={every} makes all sides {least} px or more"
    if every > LARGEST_INPUT:
        words = f"no model.resolution up to {LARGEST_INPUT:,} makes all sides {least} px or more"
    return words + (f", {most} those of {NEARLY_ALL} % of the boxes" if side < most < min(every, LARGEST_INPUT) else "")


def _same_cell(
    images: BoxImages, rows: BoxRows, by_stride: dict[int, np.ndarray] | None, config: Config
) -> list[Finding]:
    """Returns the finding of boxes that have cell and anchor in common, of which only the last is learnt."""
    if by_stride:
        strides, numbers, _ = anchors.best(rows.sizes, by_stride)
    else:
        strides, numbers = np.full(len(rows.label), min(config.detect.strides)), np.zeros(len(rows.label), np.int64)
    cells = np.floor(rows.centres / strides[:, None]).astype(np.int64)
    keys = np.stack([rows.image, strides, numbers, *cells.T], axis=1)
    _, group, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    if not (counts > 1).any():
        return []
    groups = np.split(images.where(rows)[np.argsort(group, kind="stable")], np.cumsum(counts)[:-1])
    lines = tuple(" = ".join(places) for places in groups if len(places) > 1)
    extra, shared = int((counts - 1).sum()), "cell and anchor" if by_stride else "a cell"
    what = (
        f"{extra:,} of {counted(len(rows.label), 'box', 'boxes')} share{'s' * (extra == 1)} {shared} with another box "
        f"at model.resolution={config.model.resolution}, so only one box of each group is learnt"
    )
    same = "[" + ",".join(map(str, config.detect.strides)) + "]"  # auto might take larger ones, with fewer cells
    hint = f"a larger model.resolution with detect.strides={same} has more cells"
    hint += ", a larger detect.anchors_per_scale more anchors" if by_stride else ""
    return [Finding("same cell", what, hint, lines)]


def _uncovered(images: BoxImages, rows: BoxRows, by_stride: dict[int, np.ndarray]) -> list[Finding]:
    """Returns the finding that too few training boxes are like an anchor in width and height."""
    covered = anchors.coverage(rows.sizes, by_stride)
    share = sum(count for _, count in covered.values()) / max(1, len(rows.label))
    if share >= COVERED or not len(rows.label):
        return []
    listed = ", ".join(f"{count:,} of {all_:,} at stride {stride}" for stride, (all_, count) in covered.items())
    what = (
        f"the anchors cover {100 * share:.1f} % of the training boxes (IoU of at least {anchors.COVERED_IOU} by width "
        f"and height), below {100 * COVERED:.0f} %: {listed}"
    )
    _, _, overlaps = anchors.best(rows.sizes, by_stride)
    order = np.argsort(overlaps, kind="stable")[: int((overlaps < anchors.COVERED_IOU).sum())]
    hint = "detect.anchors=auto fits them to these boxes, a larger detect.anchors_per_scale covers more"
    return [Finding("anchors", what, hint, _sized(images, rows.take(order)))]
