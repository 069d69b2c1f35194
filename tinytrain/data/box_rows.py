"""The boxes of many images, one row each, as the data check, the anchors and the charts use them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tinytrain.data import boxes, resizing
from tinytrain.data.facts import Facts
from tinytrain.data.source import Dataset

if TYPE_CHECKING:
    from tinytrain.data.splits import Subset  # splits imports check, which imports this module


@dataclass(frozen=True)
class BoxRows:
    """The boxes of several images, without those that mark a crowd: training leaves them out.

    image: (n,) int64, the number of the image; place: (n,) int64, which of its boxes; label: (n,) int64, class index;
    corners: (n, 4) float64, x0, y0, x1, y1 in pixels. The boxes of an image are together.
    """

    image: np.ndarray
    place: np.ndarray
    label: np.ndarray
    corners: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """(n, 2) float64, width and height in pixels."""
        return self.corners[:, 2:] - self.corners[:, :2]

    @property
    def centres(self) -> np.ndarray:
        """(n, 2) float64, x and y in pixels."""
        return (self.corners[:, :2] + self.corners[:, 2:]) / 2

    @property
    def seen(self) -> np.ndarray:
        """(n,) bool, whether anything is left of the box."""
        return self.sizes.min(axis=1) > 0

    def take(self, chosen: np.ndarray) -> "BoxRows":
        """Returns the boxes of a mask (n,) bool, or of numbers (m,)."""
        return BoxRows(self.image[chosen], self.place[chosen], self.label[chosen], self.corners[chosen])


def rows(annotations: np.ndarray) -> BoxRows:
    """Returns the boxes of annotations (N, M, FIELDS), in their order."""
    image, place = np.nonzero(boxes.learnt(annotations))
    chosen = annotations[image, place]
    return BoxRows(image, place, chosen[:, boxes.CLASS].astype(np.int64), chosen[:, boxes.CORNERS].astype(np.float64))


def at_input(annotations: np.ndarray, transforms: np.ndarray, side: int) -> BoxRows:
    """Returns the boxes in pixels of the network's input, clipped to it; one that is cut off has a side of 0.

    Args:
        annotations: (N, M, FIELDS).
        transforms: (N, 4), how each image is brought to the input (`resizing.Transform`).
        side: of the input.
    """
    moved = rows(boxes.transformed(annotations, transforms))
    return BoxRows(moved.image, moved.place, moved.label, np.clip(moved.corners, 0, side))


@dataclass(frozen=True)
class BoxImages:
    """The images of all splits, one after the other.

    splits: (N,) the name of the split of each; names: (N,) of the images; annotations: (N, M, FIELDS); sizes: (N, 2)
    width and height; written_at: for each of their boxes the file and line, None if the dataset does not know them.
    """

    splits: np.ndarray
    names: list[str]
    annotations: np.ndarray
    sizes: list[tuple[int, int]]
    written_at: list[list[str]] | None

    @classmethod
    def of(cls, dataset: Dataset, subsets: "dict[str, Subset]", image_infos: dict[str, Facts]) -> "BoxImages":
        """Returns the images of `subsets`; image_infos: what is known of the images of each set."""
        chosen = [
            (split, part.image_set, dataset.image_sets[part.image_set], index)
            for split, part in subsets.items()
            for index in part.indices.tolist()
        ]
        known = all(image_set.written_at is not None for _, _, image_set, _ in chosen)
        parts = [dataset.image_sets[part.image_set].annotations[part.indices] for part in subsets.values()]
        return cls(
            np.array([split for split, *_ in chosen], object),
            [image_set.names[index] for *_, image_set, index in chosen],
            boxes.join(parts),
            np.concatenate([image_infos[part.image_set].sizes[part.indices] for part in subsets.values()]).tolist(),
            [(image_set.written_at or [])[index] for *_, image_set, index in chosen] if known else None,
        )

    @property
    def training(self) -> np.ndarray:
        """(N,) bool, which images are trained on: all of them if the data cannot be split."""
        training = self.splits == "train"
        return training if training.any() else np.ones(len(training), bool)

    def transforms(self, side: int, resize: str) -> np.ndarray:
        """Returns (N, 4) float32, how they are brought to an input of `side` pixels; none is decoded for that."""
        return np.array([resizing.transform_of(size, side, resize) for size in self.sizes], np.float32).reshape(-1, 4)

    def where(self, rows: BoxRows) -> np.ndarray:
        """Returns (n,) texts, the file and line of each box."""
        pairs = zip(rows.image.tolist(), rows.place.tolist(), strict=True)
        if self.written_at is None:
            lines = [f"{self.names[image]}: box {place + 1}" for image, place in pairs]
        else:
            lines = [self.written_at[image][place] for image, place in pairs]
        return np.array(lines, object)
