"""Images in a folder for each class, with or without train, val and test folders above them: `folder:PATH`.

A class folder may hold subfolders; all images below it are of its class. Links to folders are followed.
"""

import re
from collections import defaultdict
from pathlib import Path

from tinytrain.config.schema import Data
from tinytrain.data import image_files, image_tree
from tinytrain.data.source import SHORT_NAMES, SPLIT_NAMES, Dataset, split_word
from tinytrain.errors import UserError

Folders = dict[str, Path]  # name: path


def load(argument: str, data: Data) -> Dataset:
    """Returns the images below the folder `argument`; raises UserError for what cannot be trained on."""
    root = _folder(argument)
    top = image_tree.level(root)
    places = _splits(root, top.folders)
    found = {split: _classes(root, path, top) for split, path in places.items()}
    classes = sorted({name for split in found.values() for name in split})
    _refuse_too_few(root, classes, top.folders)
    _refuse_missing_classes(places, found, classes)
    numbers = {name: number for number, name in enumerate(classes)}
    files: dict[str, list[tuple[Path, int]]] = {split: [] for split in found}
    for split, folders in found.items():
        for name, folder in folders.items():
            inside = image_tree.below(folder)
            files[split] += [(path, numbers[name]) for path in inside.files]
            top.left_out += inside.left_out
    return image_files.source(root, classes, files, data, top)


def _folder(argument: str) -> Path:
    root = Path(argument).expanduser()
    if not argument or not root.exists():
        raise UserError(f"no folder '{argument}': data.spec=folder:PATH wants a folder that holds one folder per class")
    if not root.is_dir():
        raise UserError(f"'{argument}' is a file: data.spec=folder:PATH wants a folder that holds one folder per class")
    return root


def _splits(root: Path, folders: Folders) -> Folders:
    """Returns {split: folder that holds its class folders}; {"all": root} where no split folders stand in `root`.

    Raises UserError where some folders are splits and others are not, for two folders of one split, and without train.
    """
    words = _words(folders)
    others = sorted(set(folders) - set(words))
    if others:
        words = {name: word for name, word in words.items() if word not in SHORT_NAMES}
    if not words:
        return {"all": root}
    if others:
        first = next(iter(words))
        raise UserError(
            f"'{root}' holds split folders ({', '.join(words)}) and others ({', '.join(others)}): move the others "
            f"away; or, where {first} is a class, give its folder another name, such as {first}s"
        )
    found: dict[str, list[str]] = defaultdict(list)
    for name, word in words.items():
        found[SPLIT_NAMES[word]].append(name)
    twice = [f"{split} ({', '.join(names)})" for split, names in found.items() if len(names) > 1]
    if twice:
        raise UserError(f"'{root}' holds more than one folder for {', '.join(twice)}: join them, or move one away")
    if "train" not in found:
        raise UserError(
            f"'{root}' holds split folders ({', '.join(words)}), but none for train: add one, or move the images into "
            "class folders without splits"
        )
    return {split: folders[names[0]] for split, names in found.items()}


def _words(folders: Folders) -> dict[str, str]:
    """Returns {folder: its word for a split}; seg_train is one if there is a seg_test or the like beside it."""
    words: dict[str, str] = {}
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for name in folders:
        prefix, last = re.fullmatch(r"(.*[ _.-])?(.*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
        if word := split_word(name):
            words[name] = word
        elif (word := split_word(last)) and word not in SHORT_NAMES:
            groups[prefix.casefold()][name] = word
    for group in groups.values():
        if len({SPLIT_NAMES[word] for word in group.values()}) > 1:
            words |= group
    return words


def _classes(root: Path, folder: Path, top: image_tree.Level) -> Folders:
    """Returns the class folders in `folder`; what else stands there is added to `top`."""
    if folder == root:
        return image_tree.by_name(top.folders)
    inside = image_tree.level(folder)
    top.files += inside.files
    top.left_out += inside.left_out
    return image_tree.by_name(inside.folders)


def _refuse_too_few(root: Path, classes: list[str], folders: Folders) -> None:
    if len(classes) < 2:
        listed = ", ".join(classes) or "none"
        inner = next((path for path in folders.values() if len(image_tree.level(path).folders) > 1), None)
        hint = f"; did you mean folder:{inner}?" if inner and len(folders) == 1 else ""
        raise UserError(
            f"'{root}' holds fewer than two class folders ({listed}): make one folder of images per class{hint}"
        )


def _refuse_missing_classes(places: Folders, found: dict[str, Folders], classes: list[str]) -> None:
    missing = [
        f"'{places[split] / name}'" for split, folders in found.items() for name in classes if name not in folders
    ]
    if missing:
        raise UserError(f"there is no folder {', '.join(missing)}: every split needs every class")
