"""Keeps copies of an image together when images are held out: those of the same pixels, and Roboflow's variants.

Test figures are too good if some copies of an image are trained on and others are tested with. So images are held out
in groups: an image with all its copies. Without copies this is a plain stratified draw, the first images of a
permutation of each class.

Roboflow writes each augmented variant of photo.jpg as photo_jpg.rf.HASH.jpg.
"""

import re
from collections import Counter
from collections.abc import Sequence, Set

import numpy as np

from tinytrain.data.source import split_word
from tinytrain.errors import UserError

VARIANT = re.compile(r"(.+)\.rf\.[^./\\]+\.\w+")


def group_copies(digests: Sequence[str], names: Sequence[str] = ()) -> np.ndarray:
    """Returns the group of each image, (N,) int64: the index of its first image.

    Args:
        digests: of the N images; those with the same digest are in the same group.
        names: of the N images, if they are known; variants of the same image are in the same group.
    """
    first: dict[str, int] = {}
    groups = [first.setdefault(digest, index) for index, digest in enumerate(digests)]
    first = {}
    for index, name in enumerate(names):
        if original := _original(name):
            groups[index] = _smallest(groups, index)
            other = _smallest(groups, first.setdefault(original, index))
            groups[max(groups[index], other)] = min(groups[index], other)
    return np.array([_smallest(groups, index) for index in range(len(groups))], np.int64)


def _original(name: str) -> str:
    """Returns the name that the variants of an image share, in whichever split they are; "" for other images."""
    match = VARIANT.fullmatch(name)
    return "/".join(part for part in match[1].split("/") if not split_word(part)) if match else ""


def _smallest(groups: list[int], index: int) -> int:
    """Returns the first image of the group of an image, where `groups` may name another image of it."""
    while groups[index] != index:
        index = groups[index]
    return index


class GroupedHoldout:
    """Chooses the images to hold out, in whole groups of copies.

    Args:
        labels: (N,) the class index of each image.
        groups: (N,) the group of each image, as `group_copies` returns them.
        counts: {class index: how many images of it to hold out}.
        leave: how many groups of a class with copies must remain, so that later holdouts and training get some.
        strict: whether a class must be on both sides.
        reserved: groups that are not held out.
    """

    def __init__(
        self,
        labels: np.ndarray,
        groups: np.ndarray,
        counts: dict[int, int],
        leave: int,
        strict: bool = True,
        reserved: Set[int] = frozenset(),
    ) -> None:
        self.groups, self.wanted, self.strict = groups, counts, strict
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
        self.reserved = reserved
        self.groups_kept: set[int] = set(reserved)

    def hold_out_classes(self, order: dict[int, np.ndarray]) -> None:
        """Holds out the wanted number of images of each class, as nearly as whole groups allow.

        Args:
            order: {class index: a permutation of the indices of its images}.

        Raises:
            OnlyCopies: a class has too few groups to be on both sides, where it must be.
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
                is_kept = group not in self.groups_held and group not in self.reserved
                if missing > 0 and single and has_spare and is_kept:
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
        if self.strict:
            raise OnlyCopies(label)


class OnlyCopies(UserError):
    """A class has too few different images to stand on both sides of a split."""

    def __init__(self, label: int) -> None:
        super().__init__(f"class {label} has too few different images")
        self.label = label
