"""Keeps copies of an image, which decode to the same pixels, together when images are held out.

Test figures are too good if some copies of an image are trained on and others are tested with. So images are held out
in groups: an image with all its copies. Without copies this is a plain stratified draw, the first images of a
permutation of each class.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tinytrain.errors import UserError


def group_copies(digests: Sequence[str]) -> np.ndarray:
    """Returns the group of each image, (N,) int64: the index of the first image with the same digest."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(digest, index) for index, digest in enumerate(digests)], np.int64)


class GroupedHoldout:
    """Chooses the images to hold out, in whole groups of copies.

    Args:
        labels: (N,) the class index of each image.
        groups: (N,) the group of each image, as `group_copies` returns them.
        counts: {class index: how many images of it to hold out}.
        leave: how many groups of a class with copies must remain, so that later holdouts and training get some.
    """

    def __init__(self, labels: np.ndarray, groups: np.ndarray, counts: dict[int, int], leave: int) -> None:
        self.groups, self.wanted = groups, counts
        self.members: dict[int, dict[int, int]] = {}  # group -> {class: images}
        for group, label in zip(groups.tolist(), labels.tolist(), strict=True):
            class_sizes = self.members.setdefault(group, {})
            class_sizes[label] = class_sizes.get(label, 0) + 1
        self.sizes = dict(Counter(labels.tolist()))
        group_counts = Counter(label for class_sizes in self.members.values() for label in class_sizes)
        self.spare = {  # class -> groups that may still be held out
            label: number - leave if number < self.sizes[label] else number for label, number in group_counts.items()
        }
        self.held: dict[int, int] = dict.fromkeys(counts, 0)  # class -> images held out
        self.groups_held: set[int] = set()
        self.groups_kept: set[int] = set()

    def hold_out_classes(self, order: dict[int, np.ndarray]) -> None:
        """Holds out the wanted number of images of each class, as nearly as whole groups allow.

        Args:
            order: {class index: a permutation of the indices of its images}.

        Raises:
            OnlyCopies: a class has too few groups to be on both sides.
        """
        for label, permutation in order.items():
            for group in dict.fromkeys(self.groups[permutation].tolist()):
                if self.held[label] >= self.wanted[label]:
                    break
                if self._is_free(group) and self._fits(group):
                    self._hold(group)
            if self.wanted[label] and not self.held[label]:
                self._hold_smallest(label, permutation)
            self.groups_kept.update(set(self.groups[permutation].tolist()) - self.groups_held)

    def correct_total(self, order: dict[int, np.ndarray]) -> None:
        """Corrects the total number of images held out, with images that have no copies, of any class.

        Args:
            order: as for `hold_out_classes`, which comes first.
        """
        missing = sum(self.wanted.values()) - sum(self.held.values())
        for label, permutation in order.items():
            for group in self.groups[permutation if missing > 0 else permutation[::-1]].tolist():
                if missing == 0:
                    return
                single = sum(self.members[group].values()) == 1
                has_spare = self.spare[label] > 0 and self.held[label] + 1 < self.sizes[label]
                if missing > 0 and single and has_spare and group not in self.groups_held:
                    self._hold(group)
                    missing -= 1
                elif missing < 0 and single and group in self.groups_held and self.held[label] > 1:
                    self.groups_held.discard(group)
                    self.held[label] -= 1
                    self.spare[label] += 1
                    missing += 1

    @property
    def mask(self) -> np.ndarray:
        """(N,) bool: which images are held out."""
        return np.isin(self.groups, list(self.groups_held))

    def _is_free(self, group: int) -> bool:
        return group not in self.groups_held and group not in self.groups_kept

    def _fits(self, group: int) -> bool:
        return all(
            self.held[label] + count <= self.wanted[label] and self.spare[label] > 0
            for label, count in self.members[group].items()
        )

    def _hold(self, group: int) -> None:
        self.groups_held.add(group)
        for label, count in self.members[group].items():
            self.held[label] += count
            self.spare[label] -= 1

    def _hold_smallest(self, label: int, permutation: np.ndarray) -> None:
        """Holds out the smallest group of a class that leaves enough of every class, or raises OnlyCopies."""
        groups = dict.fromkeys(self.groups[permutation].tolist())
        for group in sorted(groups, key=lambda group: sum(self.members[group].values())):
            if self._is_free(group) and all(self.spare[other] > 0 for other in self.members[group]):
                self._hold(group)
                return
        raise OnlyCopies(label)


class OnlyCopies(UserError):
    """A class has too few different images to stand on both sides of a split."""

    def __init__(self, label: int) -> None:
        super().__init__(f"class {label} has too few different images")
        self.label = label
