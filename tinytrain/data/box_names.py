"""Which pictures the names in annotation files mean, so that the boxes of a missing one are not put on another one."""

import re
from dataclasses import dataclass
from pathlib import Path

from tinytrain.data.box_problems import Problems
from tinytrain.data.box_tree import Tree, parts, trailing


@dataclass(frozen=True)
class Named:
    """A name of a picture in a file.

    name: as the file has it; where: file and line; near: the file; split: of the picture, if the folders do not say it;
    picture: the one that lies exactly there, if that is known.
    """

    name: str
    where: str
    near: Path
    split: str = ""
    picture: Path | None = None

    @property
    def is_absolute(self) -> bool:
        """Whether it is a path of a whole computer, of which only the end is known here."""
        return self.name.startswith(("/", "\\")) or bool(re.match(r"[A-Za-z]:", self.name))


class Finder:
    """Finds the pictures below a folder.

    Args:
        tree: the files of the folder.
        problems: collects names without a picture, or with several, and pictures with several names.
    """

    def __init__(self, tree: Tree, problems: Problems) -> None:
        self.tree, self.problems = tree, problems
        self._first: dict[Path, Named] = {}

    def take(self, named: list[Named]) -> list[Path | None]:
        """Returns the picture of each name, None where that is not clear.

        Args:
            named: all names of a file. Where some lie in the folders that they give, the others have to as well.
        """
        found = [
            one.picture or self.tree.take(one.name, one.near, one.where, self.problems, one.split) for one in named
        ]
        for is_absolute in (False, True):
            for number in _strays(named, found, is_absolute):
                self.problems.add("no picture", f"{named[number].where}: {self.tree.nothing(named[number].name)}")
                found[number] = None
        for one, picture in zip(named, found, strict=True):
            if picture is not None:
                self._compare(one, picture)
        return found

    def _compare(self, one: Named, picture: Path) -> None:
        """Adds the problem that a picture was found by another name before: one of the two is missing."""
        first = self._first.setdefault(picture, one)
        if parts(first.name)[:-1] != parts(one.name)[:-1]:
            names = f"'{first.name}' ({first.where}) and '{one.name}' ({one.where})"
            self.problems.add("two names", f"{self.tree.name(picture)}: {names}")


def _strays(named: list[Named], found: list[Path | None], is_absolute: bool) -> list[int]:
    """Returns the numbers of names whose pictures lie in other folders than they give, while those of others do not.

    What stands before the root is the same in all relative names; of absolute ones it can differ.
    """
    wanted = {
        number: (len(given) - 1, trailing(picture, given))
        for number, (one, picture) in enumerate(zip(named, found, strict=True))
        if picture is not None and one.is_absolute == is_absolute
        for given in [parts(one.name)]
    }
    if not any(count for _, count in wanted.values()):
        return []  # the pictures were moved together
    least = min(folders - count for folders, count in wanted.values())
    return [
        number
        for number, (folders, count) in wanted.items()
        if (count == 0 if is_absolute else folders - count > least)
    ]
