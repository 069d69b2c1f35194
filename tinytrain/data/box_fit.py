"""Fits the boxes of a picture as a file holds them to the picture as it is decoded: upright, clipped, each once."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from tinytrain.data.box_problems import Problems
from tinytrain.data.boxes import Box
from tinytrain.data.facts import ImageInfo

SLACK = 1.0  # pixels beyond the border that are clipped silently: tools round in their own ways
Corners = tuple[float, float, float, float]
Size = tuple[float, float]


@dataclass
class Annotated:
    """A picture and its boxes, as a file holds them.

    picture: its file; boxes: in pixels, or in shares of the width and the height; split: "train", "val", "test" or, if
    none is told, "all"; size: (width, height) that the file declares, None if it does not; where: the file, and the
    line, that declares it; shares: whether the boxes are in shares.
    """

    picture: Path
    boxes: list[Box] = field(default_factory=list)
    split: str = "all"
    size: Size | None = None
    where: str = ""
    shares: bool = False


def fit(annotated: Annotated, info: ImageInfo, name: str, problems: Problems) -> list[Box]:
    """Returns the boxes in pixels of the upright picture, without those that have no area or lie outside.

    Args:
        annotated: the boxes as a file holds them.
        info: of the picture.
        name: of the picture, for findings.
        problems: collects what is wrong with them.
    """
    boxes = _turned(annotated, _in_pixels(annotated, info), info, name, problems)
    fitted = []
    for box in boxes:
        if (clipped := _clipped(box, info.size, problems)) is not None:
            fitted.append(clipped)
    return fitted


def without_repeats(boxes: list[Box], problems: Problems) -> list[Box]:
    """Returns the boxes of a picture, one of those that have the same class and corners; a crowd is no box.

    Of a difficult box and another one, the other one is kept.
    """
    kept: dict[tuple[int, Corners, bool], Box] = {}
    for box in boxes:
        key = box.label, box.corners, box.is_learnt
        known = kept.setdefault(key, box)
        if known is not box:
            problems.add("same box", f"{box.where}: as {known.where}")
            kept[key] = min(known, box, key=lambda one: one.flag)
    return list(kept.values())


def turn(corners: Corners, size: Size, orientation: int) -> Corners:
    """Returns a box of a picture as its file holds it, in pixels of the upright picture.

    Args:
        corners: x0, y0, x1, y1.
        size: (width, height) of the picture in the file.
        orientation: 1 to 8, as EXIF defines them.
    """
    (x0, y0, x1, y1), (width, height) = corners, size
    if orientation in (2, 3, 7, 8):  # mirrored left to right
        x0, x1 = width - x1, width - x0
    if orientation in (3, 4, 6, 7):  # upside down
        y0, y1 = height - y1, height - y0
    return (y0, x0, y1, x1) if orientation >= 5 else (x0, y0, x1, y1)


def _in_pixels(annotated: Annotated, info: ImageInfo) -> list[Box]:
    """Returns the boxes in pixels of the picture, upright or as its file holds it, whichever they were drawn on."""
    if not annotated.shares:
        return annotated.boxes
    width, height = info.size
    if _drawn_before_turning(annotated, info):
        width, height = height, width
    return [
        replace(box, corners=(x0 * width, y0 * height, x1 * width, y1 * height))
        for box in annotated.boxes
        for x0, y0, x1, y1 in [box.corners]
    ]


def _drawn_before_turning(annotated: Annotated, info: ImageInfo) -> bool:
    """Returns whether the declared size is that of the picture on its side, as its file holds it."""
    return info.orientation >= 5 and annotated.size == info.size[::-1] != info.size


def _turned(annotated: Annotated, boxes: list[Box], info: ImageInfo, name: str, problems: Problems) -> list[Box]:
    """Returns the boxes turned upright where they were drawn on a picture that EXIF turns; judges the declared size."""
    declared = annotated.size
    if _drawn_before_turning(annotated, info):
        problems.add("boxes turned", f"{name}: EXIF orientation {info.orientation}")
        return [replace(box, corners=turn(box.corners, info.size[::-1], info.orientation)) for box in boxes]
    inside = all(_excess(box.corners, info.size) <= SLACK for box in boxes)
    if declared is not None and declared != info.size:
        sizes = "the file says {:g}x{:g}, the picture has {}x{}".format(*declared, *info.size)
        kind = "size" if inside or annotated.shares else "EXIF" if info.orientation > 1 else "resized"
        problems.add(kind, f"{annotated.where or name}: {sizes}")
    elif info.orientation > 1:
        kind = "EXIF kept" if inside or declared is not None or annotated.shares else "EXIF"
        problems.add(kind, f"{name}: EXIF orientation {info.orientation}")
    return boxes


def _excess(corners: Corners, size: Size) -> float:
    """Returns by how many pixels a box reaches beyond a picture of `size`."""
    return max(_beyond(corners, size))


def _beyond(corners: Corners, size: Size) -> Corners:
    """Returns by how many pixels a box reaches beyond the left, upper, right and lower border; below 0: not."""
    return -corners[0], -corners[1], corners[2] - size[0], corners[3] - size[1]


def _clipped(box: Box, size: Size, problems: Problems) -> Box | None:
    """Returns a box clipped to a picture of `size`, None if nothing of it is left."""
    x0, y0, x1, y1 = box.corners
    drawn = box.written or ", ".join(f"{value:g}" for value in box.corners)
    if x1 <= x0 or y1 <= y0:
        swapped = x1 < x0 or y1 < y0
        problems.add("swapped" if swapped else "no area", f"{box.where}: {drawn}")
        return None
    excess, sizes = _excess(box.corners, size), "{}x{}".format(*size)
    if excess <= 0:
        return box
    corners = max(0.0, x0), max(0.0, y0), min(float(size[0]), x1), min(float(size[1]), y1)
    if corners[2] <= corners[0] or corners[3] <= corners[1]:
        problems.add("outside", f"{box.where}: {drawn}, the picture has {sizes}")
        return None
    if excess > SLACK:
        far = any(2 * beyond > side for beyond, side in zip(_beyond(box.corners, size), size * 2, strict=True))
        problems.add("far beyond" if far else "clipped", f"{box.where}: {drawn}, the picture has {sizes}")
    return replace(box, corners=corners)
