"""Images in a folder for each class, with or without train, val and test folders above them: `folder:PATH`.

A class folder may have subfolders; all images below it belong to its class. Links to folders are followed.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tinytrain.config import box_formats
from tinytrain.config.schema import Data
from tinytrain.data import image_files, image_tree, reading
from tinytrain.data.source import SHORT_NAMES, SPLIT_NAMES, Dataset, split_word
from tinytrain.errors import UserError, near

Folders = dict[str, Path]  # name: path


def load(argument: str, data: Data) -> Dataset:
    """Returns the images below the folder `argument`.

    Raises:
        UserError: the folder cannot be read, its splits or classes are not clear, or it holds no readable image.
    """
    root = _root(argument)
    top = image_tree.list_folder(root)
    _refuse_boxes(root)
    split_folders = _split_folders(root, top.folders)
    class_folders = {split: _class_folders(root, path, top) for split, path in split_folders.items()}
    classes = sorted({name for folders in class_folders.values() for name in folders})
    _refuse_too_few(root, classes, top.folders)
    _refuse_missing_classes(split_folders, class_folders, classes)
    index_of = {name: index for index, name in enumerate(classes)}

    def files_of(folders: Folders) -> Iterator[tuple[Path, int]]:
        for name, folder in folders.items():
            tree = image_tree.list_tree(folder)
            top.left_out += tree.left_out
            yield from ((path, index_of[name]) for path in tree.files)

    files = {split: files_of(folders) for split, folders in class_folders.items()}
    return image_files.load_files(root, classes, files, data, top)


def _root(argument: str) -> Path:
    root = Path(argument).expanduser()
    if not argument or not root.exists():
        raise UserError(
            f"no folder '{argument}': data.spec=folder:PATH needs a folder that holds one folder per class{near(root)}"
        )
    if not root.is_dir():
        raise UserError(f"'{argument}' is a file: data.spec=folder:PATH needs a folder that holds one folder per class")
    return root


def _refuse_boxes(root: Path) -> None:
    """Raises UserError if there are annotations of boxes in folders of their own, or no two folders of images."""
    kind = box_formats.kind_of(root)
    if not kind:
        return
    files, suffixes = image_tree.list_tree(root).files, reading.image_suffixes()
    with_images = {path.parent for path in files if path.suffix.lower() in suffixes}
    with_boxes = {path.parent for path in files if path.suffix.lower() in box_formats.suffixes(kind)} - {root}
    paths = [[part for part in folder.relative_to(root).parts if not split_word(part)] for folder in with_images]
    if with_boxes - with_images or len({parts[0] for parts in paths if parts}) < 2:
        raise UserError(f"'{root}' holds boxes, not a folder for each class: give it as {box_formats.spec(kind, root)}")


def _split_folders(root: Path, folders: Folders) -> Folders:
    """Returns {split: the folder of its class folders}, or {"all": root} if `root` has no split folders.

    Raises:
        UserError: only some of the folders are splits, two are the same split, or there is none for train.
    """
    split_words = _split_words(folders)
    others = sorted(set(folders) - set(split_words))
    if others:
        split_words = {name: word for name, word in split_words.items() if word not in SHORT_NAMES}
    if not split_words:
        return {"all": root}
    if others:
        first = next(iter(split_words))
        raise UserError(
            f"'{root}' holds split folders ({', '.join(split_words)}) and others ({', '.join(others)}): move the "
            f"others away; or, if {first} is a class, give its folder another name, such as {first}s"
        )
    names_of: dict[str, list[str]] = defaultdict(list)  # split -> folder names
    for name, word in split_words.items():
        names_of[SPLIT_NAMES[word]].append(name)
    repeated = [f"{split} ({', '.join(names)})" for split, names in names_of.items() if len(names) > 1]
    if repeated:
        raise UserError(f"'{root}' holds more than one folder for {', '.join(repeated)}: join them, or move one away")
    if "train" not in names_of:
        raise UserError(
            f"'{root}' holds split folders ({', '.join(split_words)}), but none for train: add one, or move the images "
            "into class folders without splits"
        )
    return {split: folders[names[0]] for split, names in names_of.items()}


def _split_words(folders: Folders) -> dict[str, str]:
    """Returns {folder name: the word in it that names a split}.

    A prefix, as in seg_train, is accepted if another split has the same prefix.
    """
    split_words: dict[str, str] = {}
    with_prefix: dict[str, dict[str, str]] = defaultdict(dict)  # prefix -> {folder name: word}
    for name in folders:
        prefix, last = re.fullmatch(r"(.*[ _.-])?(.*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
        if word := split_word(name):
            split_words[name] = word
        elif (word := split_word(last)) and word not in SHORT_NAMES:
            with_prefix[prefix.casefold()][name] = word
    for group in with_prefix.values():
        if len({SPLIT_NAMES[word] for word in group.values()}) > 1:
            split_words |= group
    return split_words


def _class_folders(root: Path, folder: Path, top: image_tree.Listing) -> Folders:
    """Returns the class folders in `folder`; other files there are added to the listing `top`."""
    if folder == root:
        return image_tree.by_composed_name(top.folders)
    listing = image_tree.list_folder(folder)
    top.files += listing.files
    top.left_out += listing.left_out
    return image_tree.by_composed_name(listing.folders)


def _refuse_too_few(root: Path, classes: list[str], folders: Folders) -> None:
    if len(classes) < 2:
        listed = ", ".join(classes) or "none"
        inner = next((path for path in folders.values() if len(image_tree.list_folder(path).folders) > 1), None)
        hint = f"; did you mean folder:{inner}?" if inner and len(folders) == 1 else ""
        raise UserError(
            f"'{root}' holds fewer than two class folders ({listed}): make one folder of images per class{hint}"
        )


def _refuse_missing_classes(split_folders: Folders, class_folders: dict[str, Folders], classes: list[str]) -> None:
    missing = [
        f"'{split_folders[split] / name}'"
        for split, folders in class_folders.items()
        for name in classes
        if name not in folders
    ]
    if missing:
        raise UserError(f"there is no folder {', '.join(missing)}: every split needs every class")
