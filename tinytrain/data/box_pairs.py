"""Which annotation file belongs to which picture where only names tell it, and several folders have the same ones."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from tinytrain.data.box_problems import Problems
from tinytrain.data.box_tree import Tree

Pair = tuple[Path, Path]  # annotation file and picture, or their folders


def without_far(tree: Tree, pairs: list[Pair], problems: Problems, own: Sequence[Pair] = ()) -> list[Pair]:
    """Returns the pairs but for those of folders of which one has a nearer partner, with as many pairs or more.

    The picture of such an annotation file is missing, and one of another folder only has its name.

    Args:
        tree: the files.
        pairs: annotation files and pictures of the same name.
        problems: collects annotation files without a picture.
        own: pairs that are sure; their folders count as near.
    """
    nearness = {_folders(pair): _nearness(tree, *pair) for pair in pairs}
    nearness |= {_folders(pair): math.inf for pair in own}
    counts = Counter(_folders(pair) for pair in [*pairs, *own])
    most: dict[tuple[int, Path], dict[float, int]] = defaultdict(dict)  # pairs of a folder, by nearness
    for folders, near in nearness.items():
        for side in enumerate(folders):
            most[side][near] = max(most[side].get(near, 0), counts[folders])
    kept = []
    for pair in pairs:
        folders = _folders(pair)
        others = [item for side in enumerate(folders) for item in most[side].items()]
        if any(near > nearness[folders] and count >= counts[folders] for near, count in others):
            name, only = map(tree.name, pair)
            problems.add("no picture", f"{name}: no picture of that name near it, only {only}")
        else:
            kept.append(pair)
    return kept


def _folders(pair: Pair) -> Pair:
    return pair[0].parent, pair[1].parent


def _nearness(tree: Tree, file: Path, picture: Path) -> float:
    """Returns how many folders a file and a picture have in common; infinity for one beside the other."""
    return math.inf if file.parent == picture.parent else tree.common(file, picture)
