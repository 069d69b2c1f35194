"""Copies of an image: images that decode to the same pixels, and a draw that never parts them.

Where some copies are trained on and others are tested with, the test figures are too good. So what is held out is drawn
in units, each an image with all its copies. Without copies the draw is the plain one: the first so many of a
permutation of each class.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tinytrain.errors import UserError


def units_of(contents: Sequence[str]) -> np.ndarray:
    """Returns (N,) int64 for the contents of N images: the place of the first image of the same content."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(content, place) for place, content in enumerate(contents)], np.int64)


class Draw:
    """Images that are held out of some, whole units only.

    Args:
        labels: (N,) the class of each image.
        units: (N,) the unit of each image.
        counts: {class: how many images of it to hold out}.
        leave: how many units of a class with copies are not held out, so that other draws after this one have theirs.
    """

    def __init__(self, labels: np.ndarray, units: np.ndarray, counts: dict[int, int], leave: int) -> None:
        self.units, self.wanted = units, counts
        self.members: dict[int, dict[int, int]] = {}  # unit -> {class: images}
        for unit, label in zip(units.tolist(), labels.tolist(), strict=True):
            row = self.members.setdefault(unit, {})
            row[label] = row.get(label, 0) + 1
        self.sizes = dict(Counter(labels.tolist()))
        different = Counter(label for row in self.members.values() for label in row)
        self.spare = {  # class -> units that may still be held out
            label: number - leave if number < self.sizes[label] else number for label, number in different.items()
        }
        self.held: dict[int, int] = dict.fromkeys(counts, 0)  # class -> images held out
        self.units_held: set[int] = set()
        self.units_kept: set[int] = set()

    def classes(self, order: dict[int, np.ndarray]) -> None:
        """Holds the wanted number of every class out, as near as whole units allow; `order`: {class: permutation}."""
        for label, permuted in order.items():
            for unit in dict.fromkeys(self.units[permuted].tolist()):
                if self.held[label] >= self.wanted[label]:
                    break
                if self._free(unit) and self._fits(unit):
                    self._hold(unit)
            if self.wanted[label] and not self.held[label]:
                self._hold_smallest(label, permuted)
            self.units_kept.update(set(self.units[permuted].tolist()) - self.units_held)

    def settle(self, order: dict[int, np.ndarray]) -> None:
        """Makes up for what `classes` lacks or exceeds in all, with images of other classes that have no copies."""
        missing = sum(self.wanted.values()) - sum(self.held.values())
        for label, permuted in order.items():
            for unit in self.units[permuted if missing > 0 else permuted[::-1]].tolist():
                if missing == 0:
                    return
                alone = sum(self.members[unit].values()) == 1
                room = self.spare[label] > 0 and self.held[label] + 1 < self.sizes[label]
                if missing > 0 and alone and room and unit not in self.units_held:
                    self._hold(unit)
                    missing -= 1
                elif missing < 0 and alone and unit in self.units_held and self.held[label] > 1:
                    self.units_held.discard(unit)
                    self.held[label] -= 1
                    self.spare[label] += 1
                    missing += 1

    @property
    def chosen(self) -> np.ndarray:
        """(N,) bool: which images are held out."""
        return np.isin(self.units, list(self.units_held))

    def _free(self, unit: int) -> bool:
        return unit not in self.units_held and unit not in self.units_kept

    def _fits(self, unit: int) -> bool:
        return all(
            self.held[label] + count <= self.wanted[label] and self.spare[label] > 0
            for label, count in self.members[unit].items()
        )

    def _hold(self, unit: int) -> None:
        self.units_held.add(unit)
        for label, count in self.members[unit].items():
            self.held[label] += count
            self.spare[label] -= 1

    def _hold_smallest(self, label: int, permuted: np.ndarray) -> None:
        """Holds the smallest unit of a class out that leaves enough of every class, or raises OnlyCopies."""
        units = dict.fromkeys(self.units[permuted].tolist())
        for unit in sorted(units, key=lambda unit: sum(self.members[unit].values())):
            if self._free(unit) and all(self.spare[other] > 0 for other in self.members[unit]):
                self._hold(unit)
                return
        raise OnlyCopies(label)


class OnlyCopies(UserError):
    """A class has too few different images to stand on both sides of a split."""

    def __init__(self, label: int) -> None:
        super().__init__(f"class {label} has too few different images")
        self.label = label
