"""The files below the folder of a detection dataset: which picture belongs to which annotation, and to which split.

A name that a file gives is only compared with the files that were listed, so that none, such as ../../x.jpg or one of
another computer, leads out of the folder.
"""

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePosixPath

from tinytrain.config import box_formats
from tinytrain.data import image_tree, reading
from tinytrain.data.box_problems import Problems
from tinytrain.data.source import SHORT_NAMES, SPLIT_NAMES, split_word
from tinytrain.errors import UserError, near

PICTURE_FOLDERS = {"images", "image", "imgs", "img", "jpegimages", "pictures", "photos"}


class Tree:
    """The files below a folder.

    Args:
        root: the folder.
        skipped_folders: names of folders, in small letters, whose pictures are none of the dataset: masks.
    """

    def __init__(self, root: Path, skipped_folders: Iterable[str] = ()) -> None:
        self.root = root
        listing = image_tree.list_tree(root)
        self.files, self.left_out = listing.files, listing.left_out
        suffixes, skipped = reading.image_suffixes(), set(skipped_folders)
        self.pictures = [
            path
            for path in self.files
            if path.suffix.lower() in suffixes and not skipped & {part.lower() for part in self._folders(path)}
        ]
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.pictures:
            self._by_stem[folded(path.stem)].append(path)

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Returns the files with one of these suffixes, in small or capital letters."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def name(self, path: Path) -> str:
        """Returns the path below the root, for findings."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def split(self, path: Path) -> str:
        """Returns the split that the first folder with such a name above `path` stands for, else "all"."""
        return next((split for part in self._folders(path) if (split := split_of_part(part))), "all")

    def pictures_of(self, name: str, near: Path, split: str = "") -> list[Path]:
        """Returns the pictures that a name in a file can mean: one, none, or several where that is not clear.

        Args:
            name: a path as the file has it, or the name of a picture, with or without its suffix.
            near: the file; of several pictures of that name the one that lies best for it is taken.
            split: of the picture, if the folders above the file do not say it.
        """
        wanted = parts(name)
        if not wanted:
            return []
        stem = PurePosixPath(wanted[-1]).stem
        candidates = [path for path in self._by_stem.get(stem, []) if folded(path.name) == wanted[-1]]
        if not candidates:  # a stem, in which a dot need not begin a suffix
            candidates = self._by_stem.get(wanted[-1], [])
        split = split or self.split(near)
        return self._best([path for path in candidates if self._fits(path, wanted, split)], wanted, near, split)

    def _fits(self, path: Path, wanted: list[str], split: str) -> bool:
        """Returns whether a picture can be one of a split: not if it lies in another split and that one has its own."""
        own = self.split(path)
        if own == split or "all" in (own, split) or split not in self._splits:
            return True
        count = trailing(path, wanted)  # a name that says the other split means it
        return any(split_of_part(part) for part in wanted[:-1][len(wanted) - 1 - count :])

    @cached_property
    def _splits(self) -> set[str]:
        """The splits that pictures lie in."""
        return {self.split(path) for path in self.pictures}

    def _best(self, candidates: list[Path], wanted: list[str], near: Path, split: str) -> list[Path]:
        """Returns those of the candidates that lie best for the file `near`: one, or several equally good ones."""

        def rank(path: Path) -> tuple[int, bool, bool, bool, int]:
            beside, same_split = path.parent == near.parent, self.split(path) == split
            usual = path.parent.name.lower() in PICTURE_FOLDERS
            return trailing(path, wanted), beside, same_split, usual, self.common(path, near)

        ranks = [rank(path) for path in candidates]
        return [path for path, one in zip(candidates, ranks, strict=True) if one == max(ranks)]

    def take(self, name: str, near: Path, where: str, problems: Problems, split: str = "") -> Path | None:
        """Returns the picture that a name in a file means; None, with a problem at `where`, if that is not clear."""
        found = self.pictures_of(name, near, split)
        if len(found) > 1:
            problems.add("two pictures", f"{where}: {' and '.join(map(self.name, found))}")
        elif not found:
            problems.add("no picture", f"{where}: {self.nothing(name)}")
        return found[0] if len(found) == 1 else None

    def nothing(self, name: str) -> str:
        """Returns the words for a picture that is not there."""
        return f"no picture '{name}' in '{self.root}'"

    def common(self, path: Path, other: Path) -> int:
        """Returns how many folders below the root two files have in common."""
        pairs = zip(self._folders(path), self._folders(other), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def _folders(self, path: Path) -> tuple[str, ...]:
        return path.relative_to(self.root).parts[:-1] if path.is_relative_to(self.root) else ()


def parts(name: str) -> list[str]:
    """Returns the folders of a name in a file, and the name of the picture, as they are compared."""
    normal = PurePosixPath(posixpath.normpath(name.replace("\\", "/")))
    return [folded(part) for part in normal.parts if part not in ("..", "/", "//")]


def trailing(path: Path, wanted: list[str]) -> int:
    """Returns how many of the folders that a name gives, counted from its end, a picture lies in."""
    folders, given = [folded(part) for part in path.parts[:-1]], wanted[:-1]
    return next((n for n in range(len(given), 0, -1) if folders[-n:] == given[-n:]), 0)


def split_of_part(part: str) -> str | None:
    """Returns the split that a folder or file is named after, such as train2017 or valid; no short word is taken."""
    word = split_word(part)
    return SPLIT_NAMES[word] if word and word not in SHORT_NAMES else None


def split_of_file(path: Path) -> str | None:
    """Returns the split that a word in the name of a file stands for: train for instances_train2017.json."""
    return next((split for part in re.split(r"[_\W]", path.name) if (split := split_of_part(part))), None)


def open_folder(argument: str, kind: str, needs: str) -> Path:
    """Returns the folder `argument`.

    Args:
        argument: what follows the colon of the SPEC.
        kind: what stands before it.
        needs: what the folder must hold.

    Raises:
        UserError: there is no such folder.
    """
    root = Path(argument).expanduser()
    if not argument or not root.exists():
        raise UserError(f"no folder '{argument}': data.spec={kind}:PATH needs a folder with {needs}{near(root)}")
    if not root.is_dir():
        raise UserError(f"'{argument}' is a file: data.spec={kind}:PATH needs a folder with {needs}")
    return root


def none_found(root: Path, kind: str, needs: str) -> UserError:
    """Returns the error about a folder without annotations of a kind, which names the kind that it holds instead."""
    other = box_formats.kind_of(root)
    if other and other != kind:
        return UserError(
            f"'{root}' holds no {kind} annotations but {other} ones: give it as {box_formats.spec(other, root)}"
        )
    return UserError(f"'{root}' holds no {kind} annotations: data.spec={kind}:PATH needs a folder with {needs}")


def folded(name: str) -> str:
    """Returns a name as it is compared: in composed characters and small letters."""
    return unicodedata.normalize("NFC", name).casefold()
