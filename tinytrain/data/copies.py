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

from tinytrain.data.names import Names
from tinytrain.data.source import split_word
from tinytrain.errors import UserError

VARIANT = re.compile(r"(.+)\.rf\.[^./\\]+\.\w+")


def group_equal(digests: np.ndarray) -> np.ndarray:
    """Returns the group of each image, (N,) int64: the index of the first image with the same digest (N, 2) uint64."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal ones stay in their order
    ordered = digests[order]
    starts = np.ones(len(order), bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    groups = np.empty(len(order), np.int64)
    groups[order] = np.repeat(order[starts], np.diff(np.append(np.flatnonzero(starts), len(order))))
    return groups


def group_copies(digests: np.ndarray, names: Sequence[str] = ()) -> np.ndarray:
    """Returns the group of each image, (N,) int64: the index of its first image.

    Args:
        digests: (N, 2) uint64 (`Facts.digests`); images with the same digest are in the same group.
        names: of the N images, if they are known; variants of the same image are in the same group.
    """
    groups, first = group_equal(digests), dict[str, int]()
    if not Names.of(names).contain(".rf."):
        return groups
    for index, name in enumerate(names):
        if original := _original(name):
            groups[index] = _smallest(groups, index)
            other = _smallest(groups, first.setdefault(original, index))
            groups[max(groups[index], other)] = min(groups[index], other)
    while (groups[groups] != groups).any():  # a first image may have joined an earlier one since
        groups = groups[groups]
    return groups


def _original(name: str) -> str:
    """Returns the name that the variants of an image share, in whichever split they are; "" for other images."""
    match = VARIANT.fullmatch(name)
    return "/".join(part for part in match[1].split("/") if not split_word(part)) if match else ""


def _smallest(groups: np.ndarray, index: int) -> int:
    """Returns the first image of the group of an image, where `groups` may name another image of it."""
    while groups[index] != index:
        index = int(groups[index])
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
        group_sizes = np.bincount(groups, minlength=1)
        self.single = group_sizes[groups] == 1  # (N,) images without copies: most of them, held out as arrays
        self.members: dict[int, dict[int, int]] = {}  # group of copies -> {class: images}
        for group, label in zip(groups[~self.single].tolist(), labels[~self.single].tolist(), strict=True):
            class_sizes = self.members.setdefault(group, {})
            class_sizes[label] = class_sizes.get(label, 0) + 1
        present, class_counts = np.unique(labels, return_counts=True)
        self.sizes = dict(zip(present.tolist(), class_counts.tolist(), strict=True))
        group_counts = Counter(label for class_sizes in self.members.values() for label in class_sizes)
        group_counts.update(Counter(dict(zip(*_counted(labels[self.single]), strict=True))))
        self.spare = {  # class -> groups that may still be held out
            label: number - leave if number < self.sizes[label] else number for label, number in group_counts.items()
        }
        self.held: dict[int, int] = dict.fromkeys(counts, 0)  # class -> images held out
        self.is_held = np.zeros(len(group_sizes), bool)  # by group
        self.is_kept = np.zeros(len(group_sizes), bool)  # groups that are not held out: reserved, or passed over
        reserved_groups = np.array(sorted(reserved), np.int64)
        self.is_reserved = self.is_kept.copy()
        self.is_reserved[reserved_groups[reserved_groups < len(group_sizes)]] = True
        self.is_kept |= self.is_reserved

    def hold_out_classes(self, order: dict[int, np.ndarray]) -> None:
        """Holds out the wanted number of images of each class, as nearly as whole groups allow.

        Args:
            order: {class index: a permutation of the indices of its images}.

        Raises:
            OnlyCopies: a class has too few groups to be on both sides, where it must be.
        """
        for label, permutation in order.items():
            free = permutation[~self.is_reserved[self.groups[permutation]]]
            start = 0
            for place in [*np.flatnonzero(~self.single[free]).tolist(), len(free)]:
                self._hold_singles(label, free[start:place])
                if place < len(free) and self.held[label] < self.wanted[label]:
                    group = int(self.groups[free[place]])
                    if self._is_free(group) and self._fits(group):
                        self._hold(group)
                start = place + 1
            if self.wanted[label] and not self.held[label]:
                self._hold_smallest(label, permutation)
            passed = self.groups[permutation]
            self.is_kept[passed[~self.is_held[passed]]] = True

    def correct_total(self, order: dict[int, np.ndarray]) -> None:
        """Corrects the total number of images held out, with images that have no copies, of any class.

        Args:
            order: as for `hold_out_classes`, which comes first.
        """
        missing = sum(self.wanted.values()) - sum(self.held.values())
        for label, permutation in order.items():
            singles = permutation[self.single[permutation]]
            own = self.groups[singles]
            if missing > 0:
                number = min(missing, self.spare[label], self.sizes[label] - 1 - self.held[label])
                own = own[~self.is_held[own] & ~self.is_reserved[own]][: max(0, number)]
                self.is_held[own], missing = True, missing - len(own)
                self.held[label], self.spare[label] = self.held[label] + len(own), self.spare[label] - len(own)
            elif missing < 0:
                number = min(-missing, self.held[label] - 1)
                own = own[self.is_held[own]][::-1][: max(0, number)]
                self.is_held[own], missing = False, missing + len(own)
                self.held[label], self.spare[label] = self.held[label] - len(own), self.spare[label] + len(own)

    @property
    def mask(self) -> np.ndarray:
        """(N,) bool: which images are held out."""
        return self.is_held[self.groups]

    def _hold_singles(self, label: int, images: np.ndarray) -> None:
        """Holds out the first of these images of a class without copies, as many as are wanted still."""
        number = min(self.wanted[label] - self.held[label], self.spare[label], len(images))
        if number > 0:
            self.is_held[self.groups[images[:number]]] = True
            self.held[label] += number
            self.spare[label] -= number

    def _is_free(self, group: int) -> bool:
        return not self.is_held[group] and not self.is_kept[group]

    def _fits(self, group: int) -> bool:
        return all(
            self.held[label] + count <= self.wanted[label] and self.spare[label] > 0
            for label, count in self.members[group].items()
        )

    def _hold(self, group: int) -> None:
        self.is_held[group] = True
        for label, count in self.members[group].items():
            self.held[label] += count
            self.spare[label] -= 1

    def _hold_smallest(self, label: int, permutation: np.ndarray) -> None:
        """Holds out the smallest group of a class that leaves enough of every class, or raises OnlyCopies."""
        own = self.groups[permutation]
        members = {group: self.members.get(group, {label: 1}) for group in dict.fromkeys(own.tolist())}
        for group, class_sizes in sorted(members.items(), key=lambda pair: sum(pair[1].values())):
            if self._is_free(group) and all(self.spare[other] > 0 for other in class_sizes):
                self.members[group] = class_sizes
                self._hold(group)
                return
        if self.strict:
            raise OnlyCopies(label)


def _counted(labels: np.ndarray) -> tuple[list[int], list[int]]:
    values, counts = np.unique(labels, return_counts=True)
    return values.tolist(), counts.tolist()


class OnlyCopies(UserError):
    """A class has too few different images to stand on both sides of a split."""

    def __init__(self, label: int) -> None:
        super().__init__(f"class {label} has too few different images")
        self.label = label
