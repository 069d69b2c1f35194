"""What `tinytrain data` says of a detection dataset, and the pictures that it draws of it."""

from pathlib import Path
from typing import Any

import numpy as np

from tinytrain import tables
from tinytrain.config.schema import Config
from tinytrain.data import anchors, box_class_check, box_rows, boxes, check, decoding
from tinytrain.data.augment import box_picture
from tinytrain.data.box_rows import BoxImages
from tinytrain.data.source import Dataset, counted
from tinytrain.data.splits import Subset
from tinytrain.tasks.detect import dataset_charts
from tinytrain.train import task

SAMPLES = box_picture.COLUMNS * box_picture.ROWS


def report(dataset: Dataset, subsets: dict[str, Subset], config: Config, out: Path) -> dict[str, Any]:
    """Counts the boxes of a dataset and draws them, in three PNG files.

    `out` shows training images with their boxes, OUT-boxes the sides, centres and classes of the training boxes, and
    OUT-augmented the same images as they are trained on.

    Args:
        dataset: the dataset.
        subsets: which of its images are in which split.
        config: the run without "auto".
        out: the first of the files.

    Returns:
        {"boxes": {split: {class: boxes}}, "split_images", "background": {split: images, those without a box},
        "most_boxes": of an image, "difficult", "crowd": boxes, "resolution", "anchors": {stride: [[width, height]]} in
        pixels of the input, "coverage": {"all" or stride: share of the training boxes, or of those at that stride, that
        have an IoU of at least .5 with their anchor}, "picture", "charts", "augmented"}.
    """
    image_infos = {part.image_set: check.infos(dataset.image_sets[part.image_set]) for part in subsets.values()}
    images, side = BoxImages.of(dataset, subsets, image_infos), int(config.model.resolution)
    training, transforms = images.training, images.transforms(side, config.data.resize)
    rows = box_rows.at_input(images.annotations[training], transforms[training], side)
    rows = rows.take(rows.seen)
    by_stride = anchors.of_config(images.annotations[training], transforms[training], config)
    charts, augmented = (out.with_name(f"{out.stem}-{name}.png") for name in ("boxes", "augmented"))
    dataset_charts.write(charts, rows, side, by_stride, dataset.classes)
    _draw_samples(dataset, subsets.get("train") or next(iter(subsets.values())), config, out, augmented)
    an_image = np.bincount(box_rows.rows(images.annotations).image, minlength=len(images.names))
    flags = images.annotations[..., boxes.FLAG][images.annotations[..., boxes.CLASS] != boxes.NO_BOX]
    return {
        "boxes": box_class_check.box_counts(dataset, subsets),
        "split_images": {split: len(part.indices) for split, part in subsets.items()},
        "background": {split: int((an_image[images.splits == split] == 0).sum()) for split in subsets},
        "most_boxes": int(an_image.max(initial=0)),
        "difficult": int((flags == boxes.DIFFICULT).sum()),
        "crowd": int((flags == boxes.CROWD).sum()),
        "resolution": side,
        "anchors": {
            str(stride): np.round(sizes.astype(float), 2).tolist() for stride, sizes in (by_stride or {}).items()
        },
        "coverage": _coverage(rows.sizes, by_stride) if by_stride else {},
        "picture": str(out),
        "charts": str(charts),
        "augmented": str(augmented),
    }


def _coverage(sizes: np.ndarray, by_stride: dict[int, np.ndarray]) -> dict[str, float]:
    counts = anchors.coverage(sizes, by_stride)
    named = {"all": (len(sizes), sum(covered for _, covered in counts.values()))}
    named |= {str(stride): pair for stride, pair in counts.items()}
    return {name: round(covered / assigned, 4) for name, (assigned, covered) in named.items() if assigned}


def _draw_samples(dataset: Dataset, part: Subset, config: Config, out: Path, augmented: Path) -> None:
    """Writes the pictures of some images of a split with their boxes, as they are and as they are trained on."""
    image_set, detection = dataset.image_sets[part.image_set], task.of(config, dataset.classes)
    chosen = np.sort(part.indices[_chosen(image_set.annotations[part.indices], config.seed)])
    shards, transforms = decoding.decode(image_set, detection.canvas, int(config.model.channels), config.data.resize)
    pixels, targets = shards[chosen], detection.encode(image_set.annotations[chosen], transforms[chosen]).numpy()
    box_picture.draw_boxes(out, pixels, targets, dataset.classes)
    box_picture.draw_samples(augmented, pixels, targets, dataset.classes, config, config.seed)


def _chosen(annotations: np.ndarray, seed: int) -> np.ndarray:
    """Returns the numbers of up to 16 images: one of each class, the rarest first, then any, with boxes if possible."""
    order = np.random.default_rng(seed).permutation(len(annotations))
    labels = np.where(boxes.learnt(annotations), annotations[..., boxes.CLASS], boxes.NO_BOX)[order]
    present, counts = np.unique(labels[labels != boxes.NO_BOX], return_counts=True)
    firsts = [int((labels == label).any(axis=1).argmax()) for label in present[np.argsort(counts, kind="stable")]]
    empty = (labels == boxes.NO_BOX).all(axis=1)
    ranked = dict.fromkeys([*firsts, *np.flatnonzero(~empty).tolist(), *np.flatnonzero(empty).tolist()])
    return order[list(ranked)[:SAMPLES]]


def lines(result: dict[str, Any]) -> list[str]:
    """Returns what the command prints of `report`: sums, anchors and a table of the classes."""
    splits, boxes_ = result["split_images"], result["boxes"]
    total = {split: sum(row.values()) for split, row in boxes_.items()}
    without = ", ".join(f"{count:,} of {split}" for split, count in result["background"].items() if count)
    flags = [f"{result[flag]:,} {flag}" for flag in ("difficult", "crowd") if result[flag]]
    images = sum(splits.values())
    return [
        f"{counted(sum(total.values()), 'box', 'boxes')}, {sum(total.values()) / max(1, images):.1f} an image and at "
        f"most {result['most_boxes']:,}; images without a box: {without or 'none'}"
        + (f"; boxes that are {' and '.join(flags)}" if flags else ""),
        *_anchor_lines(result),
        "",
        *_table(result["splits"], boxes_, total),
    ]


def _anchor_lines(result: dict[str, Any]) -> list[str]:
    """Returns the anchors of each stride, and the share of the boxes that they cover."""
    covered = result["coverage"]
    if not covered:
        return []
    result_lines = [
        f"anchors at {result['resolution']} px, which cover {100 * covered['all']:.1f} % of the training boxes "
        f"(IoU of at least {anchors.COVERED_IOU}):"
    ]
    for stride, sizes in result["anchors"].items():
        listed = " ".join(f"{width:.0f}x{height:.0f}" for width, height in sizes)
        share = f"{100 * covered[stride]:.1f} % of their boxes" if stride in covered else "no box"
        result_lines.append(f"  stride {stride}: {listed}, {share}")
    return result_lines


def _table(images: dict[str, dict[str, int]], boxes_: dict[str, dict[str, int]], total: dict[str, int]) -> list[str]:
    """Returns the table of images and boxes of each class in each split, and their share of its boxes in percent."""
    rows = [["class"], *([name] for name in next(iter(boxes_.values())))]
    for split, counts in boxes_.items():
        rows[0] += [split, "boxes", "%"]
        for row in rows[1:]:
            count = counts[row[0]]
            row += [f"{images[split][row[0]]:,}", f"{count:,}", f"{100 * count / max(1, total[split]):.2f}"]
    return tables.aligned(rows, ["<24", *[">9", ">9", ">7"] * len(boxes_)])
