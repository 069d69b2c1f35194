"""The official splits of Pascal VOC: ImageSets/Main/{train,val,test,trainval}.txt, a picture on each line."""

import re
from collections.abc import Callable
from pathlib import Path

from tinytrain.data.box_names import Finder, Named
from tinytrain.data.box_problems import Problems
from tinytrain.data.box_tree import Tree, split_of_part

FOLDER = ("imagesets", "main")
MOST_BYTES = 50_000_000


def splits(tree: Tree, problems: Problems) -> Callable[[Path], list[str]]:
    """Returns a function that gives the splits of a picture: "train", "val", "test", or "all" for none.

    Without lists they follow from the folders. A picture beside lists that do not name it is in no split.
    """
    by_scope: dict[Path, dict[Path, list[str]]] = {}  # folder above ImageSets -> {picture: its splits}
    for folder in sorted({path.parent for path in tree.with_suffix(".txt")}):
        if tuple(part.lower() for part in folder.parts[-2:]) == FOLDER:
            pictures = _listed(tree, folder, problems)
            if pictures:
                by_scope[folder.parents[1]] = pictures

    def splits_of(picture: Path) -> list[str]:
        scope = next((folder for folder in picture.parents if folder in by_scope), None)
        return by_scope[scope].get(picture, ["all"]) if scope else [tree.split(picture)]

    return splits_of


def _listed(tree: Tree, folder: Path, problems: Problems) -> dict[Path, list[str]]:
    """Returns {picture: its splits} of the lists in a folder; trainval stands for what the other two leave out."""
    lists: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        split = "trainval" if path.stem.lower() == "trainval" else split_of_part(path.stem)
        if split and path.suffix.lower() == ".txt" and path.is_file():
            lists[split] = _pictures(tree, path, problems)
    rest = set(lists.pop("trainval", ())) - set(lists.get("train", ())) - set(lists.get("val", ()))
    if "train" not in lists and rest:
        lists["train"] = sorted(rest)
    elif "val" not in lists and rest:
        lists["val"] = sorted(rest)
    result: dict[Path, list[str]] = {}
    for split, pictures in lists.items():
        for picture in dict.fromkeys(pictures):
            result.setdefault(picture, []).append(split)
    return result


def _pictures(tree: Tree, path: Path, problems: Problems) -> list[Path]:
    """Returns the pictures that a list names; a line may have a number behind the name, as the lists of a class do."""
    if path.stat().st_size > MOST_BYTES:
        problems.add("unreadable annotation", f"{tree.name(path)}: more than {MOST_BYTES:,} bytes")
        return []
    named = []
    for line, text in enumerate(path.read_bytes().decode("utf-8-sig", "replace").splitlines(), 1):
        name = text.strip()
        if not name:
            continue
        if not tree.pictures_of(name, path):
            name = re.sub(r"\s+-?[01]$", "", name)
        named.append(Named(name, f"{tree.name(path)}, line {line}", path))
    return [picture for picture in Finder(tree, problems).take(named) if picture]
