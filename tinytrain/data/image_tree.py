"""What lies below a folder: the files that may be images, and by name what is left out."""

import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from tinytrain.errors import UserError, is_utf8, readable

# What archivers, file servers and desktops leave behind, in lower case.
SYSTEM = {
    "__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle", "__pycache__",
}  # fmt: skip
Place = tuple[int, int]  # device and number: what a folder is, whatever it is called


@dataclass
class Level:
    """The content of one folder: subfolders and files by name, sorted, and "path: why" of what is left out."""

    folders: dict[str, Path] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def level(folder: Path) -> Level:
    """Returns what stands directly in `folder`; links are followed, except to a folder that holds this one.

    Raises UserError for a folder that cannot be read, and for names that are not UTF-8.
    """
    found = Level()
    above = _above(folder)
    paths = _sorted(folder)
    _refuse_other_encodings(folder, [path.name for path in paths])
    for path in paths:
        if why := _reason(path, above):
            found.left_out.append(f"{path}: {why}")
        elif path.is_dir():
            found.folders[path.name] = path
        else:
            found.files.append(path)
    return found


def below(folder: Path) -> Level:
    """Returns every file in `folder` and its subfolders, sorted; `folders` is empty. Raises UserError as `level`."""
    found, seen = Level(), set[Place]()
    waiting, links = [folder], list[Path]()
    while waiting or links:  # links last: a folder that is reached twice keeps its own name
        path = waiting.pop() if waiting else links.pop(0)
        if _place(path) in seen:
            found.left_out.append(f"{path}: a link to a folder that is read already")
            continue
        seen.add(_place(path))
        inside = level(path)
        found.files += inside.files
        found.left_out += inside.left_out
        for child in inside.folders.values():
            (links if child.is_symlink() else waiting).append(child)
    found.files.sort()
    found.left_out.sort()
    return found


def by_name(folders: dict[str, Path]) -> dict[str, Path]:
    """Returns `folders` under their names in composed characters: "ä" is one class, however a file system spells it.

    Raises UserError where two of them have the same name then.
    """
    named: dict[str, Path] = {}
    for name, path in folders.items():
        composed = unicodedata.normalize("NFC", name)
        if composed in named:
            raise UserError(f"there are two folders '{path}', whose letters are encoded in two ways: join them")
        named[composed] = path
    return named


def _reason(path: Path, above: set[Place]) -> str:
    """Returns why `path` is left out, "" if it is not."""
    if path.name.startswith("."):
        return "hidden"
    if path.name.lower() in SYSTEM:
        return "a folder of the operating system"
    try:
        found = path.stat()
    except OSError:
        return "a link to nothing"
    if stat.S_ISDIR(found.st_mode):
        return "a link to a folder that holds it" if (found.st_dev, found.st_ino) in above else ""
    return "" if stat.S_ISREG(found.st_mode) else "neither a file nor a folder"


def _sorted(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UserError(
            f"cannot read the folder '{folder}' ({error.strerror}): make it readable, or move it away"
        ) from None


def _refuse_other_encodings(folder: Path, names: list[str]) -> None:
    wrong = [readable(name) for name in names if not is_utf8(name)]
    if wrong:
        listed = ", ".join(wrong[:3]) + (", …" if len(wrong) > 3 else "")
        raise UserError(
            f"'{folder}' holds names that are not UTF-8 ({listed}): rename them, as "
            f"`convmv -f latin1 -t utf8 -r --notest '{folder}'` does"
        )


def _place(path: Path) -> Place:
    found = path.stat()
    return found.st_dev, found.st_ino


def _above(folder: Path) -> set[Place]:
    """Returns the places of `folder` and of all that it is in, by its path as well as by where its links lead."""
    return {_place(path) for start in (folder.absolute(), folder.resolve()) for path in (start, *start.parents)}
