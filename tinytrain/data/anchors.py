"""Anchors: the widths and heights that a detector's boxes are measured against."""

import numpy as np

from tinytrain.config.heads import has_anchors
from tinytrain.config.schema import Config
from tinytrain.data import box_rows
from tinytrain.data.size_clusters import by_area, iou, kmeans
from tinytrain.errors import UserError

# Of YOLOv3 at an input of 416 pixels (Redmon and Farhadi, 2018; arXiv 1804.02767), for VOC and COCO alike.
PAPER_ANCHORS = [
    [10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119], [116, 90], [156, 198], [373, 326],
]  # fmt: skip
PAPER_SIDE = 416
PAPER_DATA = ("voc0712", "coco2017")
COVERED_IOU = 0.5
SMALLEST, LARGEST = 1.0, 2048.0  # pixels, as detect.anchors allows


def of_annotations(annotations: np.ndarray, transforms: np.ndarray, config: Config) -> list[float]:
    """Returns the anchors that detect.anchors = "auto" stands for: width, height, … in pixels, smallest first.

    They are the k-means of the boxes, and for the papers' own datasets by name those of YOLOv3, scaled to the input.

    Args:
        annotations: (N, M, FIELDS) of the training images.
        transforms: (N, 4), how each image is brought to the input (`resizing.Transform`).
        config: the run, with model.resolution and detect.strides known.

    Raises:
        UserError: the training images have no box.
    """
    side, strides = int(config.model.resolution), list(config.detect.strides)
    count = len(strides) * config.detect.anchors_per_scale
    if config.data.spec.partition(":")[0] in PAPER_DATA and count == len(PAPER_ANCHORS):
        anchors = np.array(PAPER_ANCHORS) * side / PAPER_SIDE
    else:
        anchors = kmeans(np.maximum(_sizes(annotations, transforms, config), SMALLEST), count, config.seed)
    return np.round(np.clip(anchors, SMALLEST, LARGEST), 2).ravel().tolist()


def of_config(annotations: np.ndarray, transforms: np.ndarray, config: Config) -> dict[int, np.ndarray] | None:
    """Returns the anchors of a run as `by_stride` does: detect.anchors, or what "auto" stands for.

    None if there are none: the head tells centres without sizes, the training images have no box, or the strides or
    the resolution are still "auto". The arguments are those of `of_annotations`.
    """
    detect = config.detect
    if detect.strides == "auto" or config.model.resolution == "auto" or detect.anchors == "none":
        return None
    if detect.head != "auto" and not has_anchors(detect.head):
        return None
    if detect.anchors == "auto" and not len(_sizes(annotations, transforms, config)):
        return None
    flat = of_annotations(annotations, transforms, config) if detect.anchors == "auto" else detect.anchors
    return by_stride(flat, list(detect.strides), detect.anchors_per_scale)


def _sizes(annotations: np.ndarray, transforms: np.ndarray, config: Config) -> np.ndarray:
    """Returns (n, 2) width and height of the boxes at the input, without those that are cut off."""
    rows = box_rows.at_input(annotations, transforms, int(config.model.resolution))
    return rows.take(rows.seen).sizes


def by_stride(flat: list[float], strides: list[int], per_scale: int) -> dict[int, np.ndarray]:
    """Returns {stride: (per_scale, 2) float32 width and height}, the smallest anchors at the smallest stride.

    Args:
        flat: width, height, … in pixels.
        strides: of the outputs; the result has their order.
        per_scale: anchors of an output.

    Raises:
        UserError: `flat` has another number of anchors.
    """
    expected = 2 * per_scale * len(strides)
    if len(flat) != expected:
        raise UserError(
            f"detect.anchors has {len(flat)} numbers: expected {expected}, width and height of {per_scale} anchors for "
            f"each of the strides {', '.join(map(str, strides))}; or auto"
        )
    groups = np.split(by_area(np.array(flat, np.float32).reshape(-1, 2)), len(strides))
    smallest_first = dict(zip(sorted(strides), groups, strict=True))
    return {stride: smallest_first[stride] for stride in strides}


def best(sizes: np.ndarray, anchors: dict[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each of `sizes` (n, 2) the anchor that a box of it is assigned to.

    Returns:
        stride (n,) int64; number (n,) int64 of the anchor at that stride; IoU (n,) float64 with it.
    """
    strides = np.repeat(list(anchors), [len(group) for group in anchors.values()])
    numbers = np.concatenate([np.arange(len(group)) for group in anchors.values()])
    overlaps = iou(sizes, np.concatenate(list(anchors.values())))
    chosen = overlaps.argmax(axis=1)
    return strides[chosen], numbers[chosen], overlaps[np.arange(len(sizes)), chosen]


def coverage(sizes: np.ndarray, anchors: dict[int, np.ndarray]) -> dict[int, tuple[int, int]]:
    """Returns {stride: (boxes assigned to it, those of them whose best anchor has an IoU of at least .5)}.

    Args:
        sizes: (n, 2) width and height of the boxes in pixels of the input.
        anchors: {stride: (A, 2)}.
    """
    strides, _, overlaps = best(sizes, anchors)
    covered = overlaps >= COVERED_IOU
    return {stride: (int((strides == stride).sum()), int(covered[strides == stride].sum())) for stride in anchors}
