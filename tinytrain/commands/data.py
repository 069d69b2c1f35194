"""`tinytrain data`: what is in a data source, what is wrong with it, and a picture of it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tinytrain import files, progress, tables
from tinytrain.config.schema import Config
from tinytrain.data import check, decoding, splits
from tinytrain.data.augment import picture
from tinytrain.data.augment.picture import font
from tinytrain.data.load import read_dataset
from tinytrain.data.source import Dataset, Finding, counted
from tinytrain.errors import UserError
from tinytrain.files import write_atomically
from tinytrain.tasks.detect import dataset_report
from tinytrain.train.resolve import resolve

LISTED = 20  # files of a finding: where every image has a size of its own, all of them would be
PICTURE_BYTES = 12_000_000  # about: three PNGs
PER_CLASS, MOST_CLASSES, LABEL_WIDTH = 8, 50, 160  # images, rows, pixels


def report(config: Config, out: Path) -> dict[str, Any]:
    """Looks at the data of `config` and writes two pictures of training images as PNG.

    `out` has a row for each class; OUT-augmented.png beside it shows what each augmentation makes of eight images.
    Returns {"data", "images", "size", "classes", "splits": {split: {class: images}}, "mean", "deviation", "findings":
    [{"kind", "what", "hint", "files", "severe"}], "resolution", "picture", "augmented"}; the size is the width and
    height of all images, None if they differ, mean and deviation are those of the training pixels, in 0..1 per channel,
    the resolution that of the network. Of images with boxes it returns and writes what `dataset_report.report` says,
    too.

    Raises UserError for data that cannot be read at all; what `fit` would refuse is among the findings otherwise.
    """
    if not out.parent.is_dir():
        raise UserError(f"cannot write '{out}': there is no folder '{out.parent}'; make it or name another with --out")
    files.require_space(out.parent, PICTURE_BYTES, "the picture", "name another file with --out")
    written, source = config, read_dataset(config)
    config = resolve(config, source)
    with progress.stage("splitting the images"):
        subsets, refused = _subsets(source, config)
    with progress.stage("computing the mean and the deviation"):
        mean, deviation = check.statistics(source, subsets.get("train") or subsets["all"])
    with progress.stage("checking the images"):
        findings = [*refused, *check.findings(source, subsets, written, config)]
    draw = dataset_report.report if source.task == "detect" else _draw_classes
    with progress.stage("drawing the images"):
        drawn = draw(source, subsets, config, out)
    return {
        "data": config.data.spec,
        "images": sum(len(part.indices) for part in subsets.values()),
        "size": check.common_size(source, subsets),
        "classes": len(source.classes),
        "splits": check.class_counts(source, subsets),
        "mean": [round(value, 4) for value in mean],
        "deviation": [round(value, 4) for value in deviation],
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "resolution": int(config.model.resolution),
        **drawn,
    }


def _draw_classes(source: Dataset, subsets: dict[str, splits.Subset], config: Config, out: Path) -> dict[str, Any]:
    """Writes the pictures of a classification dataset, and returns their names."""
    first = subsets.get("train") or subsets["all"]
    pool, labels = source.image_sets[first.image_set], source.image_sets[first.image_set].strata
    shown = np.random.default_rng(config.seed).permutation(first.indices)[: picture.COLUMNS]
    sampled = [
        first.indices[labels[first.indices] == label][:PER_CLASS] for label in range(len(source.classes[:MOST_CLASSES]))
    ]
    numbers = np.unique(np.concatenate([shown, *sampled]))  # no others are decoded
    images = decoding.read(pool, numbers, int(config.model.resolution), int(config.model.channels), config.data.resize)
    write_picture(out, images, np.where(np.isin(numbers, np.concatenate(sampled)), labels[numbers], -1), source.classes)
    augmented = out.with_name(f"{out.stem}-augmented.png")
    examples = images[np.searchsorted(numbers, shown)]
    picture.write(augmented, examples, labels[shown], len(source.classes), config.augment, config.seed)
    return {"picture": str(out), "augmented": str(augmented)}


def _subsets(source: Dataset, config: Config) -> tuple[dict[str, splits.Subset], list[Finding]]:
    """Returns the split, or the data as it comes and why it cannot be split."""
    try:
        return splits.draw(source, config.data, splits.seed(config)), []
    except UserError as error:
        unsplit = {
            name: splits.Subset(name, np.arange(len(pool.annotations))) for name, pool in source.image_sets.items()
        }
        return unsplit, [Finding("no split", str(error), "add images of these classes, or leave them out", severe=True)]


def as_text(result: dict[str, Any]) -> str:
    """Returns what the command prints."""
    parts, with_boxes = result["splits"], "boxes" in result
    total = result["split_images"] if with_boxes else {split: sum(row.values()) for split, row in parts.items()}
    size = f" of {result['size'][0]}x{result['size'][1]} pixels" if result["size"] else ""
    lines = [
        f"{result['data']}: {counted(result['images'], 'image')}{size} in "
        + f"{counted(result['classes'], 'class', 'classes')}, "
        + ", ".join(f"{count:,} {split}" for split, count in total.items()),
        f"training pixels per channel, in 0..1: mean {result['mean']}, standard deviation {result['deviation']}",
        *(dataset_report.lines(result) if with_boxes else ["", *_counts(parts, total)]),
        "",
    ]
    findings = check.as_lines([check.Finding(**finding) for finding in result["findings"]], LISTED)
    if any(len(finding["files"]) > LISTED for finding in result["findings"]):
        findings.append("--json names all files")
    shown = picture.caption(result["resolution"])
    pictures = f"samples of each class: {result['picture']}, augmented: {result['augmented']}; {shown}"
    if with_boxes:
        pictures = (
            f"samples: {result['picture']}, augmented: {result['augmented']}, charts: {result['charts']}\n"
            f"at {result['resolution']} px; unless model.resolution is set, fit --mcu takes the largest one that fits"
        )
    return "\n".join([*lines, *(findings or ["no problems were found"]), "", pictures])


def _counts(parts: dict[str, dict[str, int]], total: dict[str, int]) -> list[str]:
    """Returns the table of the images of each class in each split, and their share of the split in percent."""
    rows = [["class"], *([name] for name in next(iter(parts.values())))]
    for split, counts in parts.items():
        rows[0] += [split, "%"]
        for row in rows[1:]:
            row += [f"{counts[row[0]]:,}", f"{100 * counts[row[0]] / max(1, total[split]):.2f}"]
    return tables.aligned(rows, ["<24", *[">9", ">7"] * len(parts)])


def write_picture(out: Path, images: np.ndarray, labels: np.ndarray, classes: list[str]) -> None:
    """Writes up to 8 images (N, R, R, C) uint8 of each of the first 50 classes as a PNG.

    Args:
        out: the file.
        images: (N, R, R, C) uint8.
        labels: (N,) their class indices; -1 for those that are not shown.
        classes: the names of the classes.
    """
    rows, side, top = classes[:MOST_CLASSES], picture.cell_side(images.shape[1]), picture.LINE_HEIGHT
    sheet = Image.new("RGB", (LABEL_WIDTH + side * PER_CLASS, top + side * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.font = font()
    draw.text((LABEL_WIDTH, 6), picture.caption(images.shape[1]), fill="black")
    for row, name in enumerate(rows):
        draw.text((4, top + row * side + side // 2 - 6), name, fill="black")
        for column, index in enumerate(np.flatnonzero(labels == row)[:PER_CLASS]):
            image = Image.fromarray(np.squeeze(images[index])).convert("RGB").resize((side, side), Image.Resampling.BOX)
            sheet.paste(image, (LABEL_WIDTH + column * side, top + row * side))
    write_atomically(out, lambda file: sheet.save(file, "PNG"))
