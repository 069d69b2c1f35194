"""Lists the files below a folder that may be images, and names what is left out."""

import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from tinytrain.errors import UserError, is_utf8, readable

# What archivers, file servers and desktops leave behind, in lower case.
SYSTEM_FOLDERS = {
    "__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle", "__pycache__",
}  # fmt: skip
FolderId = tuple[int, int]  # device and inode number: the same for all paths to a folder


@dataclass
class Listing:
    """What a folder holds, sorted by name: subfolders, files, and "path: reason" of what is left out."""

    folders: dict[str, Path] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def list_folder(folder: Path) -> Listing:
    """Returns what is directly in `folder`; links are followed, except to a folder that holds this one.

    Raises:
        UserError: the folder cannot be read, or a name is not UTF-8.
    """
    listing = Listing()
    ancestors = _ancestors(folder)
    entries = _sorted(folder)
    _refuse_other_encodings(folder, [entry.name for entry in entries])
    for entry in entries:
        path = folder / entry.name
        if reason := _reason_to_skip(entry, ancestors):
            listing.left_out.append(f"{path}: {reason}")
        elif entry.is_dir():
            listing.folders[entry.name] = path
        else:
            listing.files.append(path)
    return listing


def list_tree(folder: Path) -> Listing:
    """Returns every file in `folder` and its subfolders, sorted; the listing has no folders.

    Raises:
        UserError: as `list_folder`.
    """
    tree, seen = Listing(), set[FolderId]()
    pending, links = [folder], list[Path]()
    while pending or links:  # links last, so that a folder that is reached twice has its own name
        path = pending.pop() if pending else links.pop(0)
        if _folder_id(path) in seen:
            tree.left_out.append(f"{path}: a link to a folder that is read already")
            continue
        seen.add(_folder_id(path))
        listing = list_folder(path)
        tree.files += listing.files
        tree.left_out += listing.left_out
        for child in listing.folders.values():
            (links if child.is_symlink() else pending).append(child)
    if len(seen) > 1:  # else they are sorted
        tree.files.sort()
    tree.left_out.sort()
    return tree


def by_composed_name(folders: dict[str, Path]) -> dict[str, Path]:
    """Returns `folders` under their names in composed characters (NFC), as file systems encode "ä" in two ways.

    Raises:
        UserError: two folders have the same name then.
    """
    composed: dict[str, Path] = {}
    for name, path in folders.items():
        name = unicodedata.normalize("NFC", name)
        if name in composed:
            raise UserError(f"there are two folders '{path}', whose letters are encoded in two ways: join them")
        composed[name] = path
    return composed


def _reason_to_skip(entry: os.DirEntry, ancestors: set[FolderId]) -> str:
    """Returns why what a folder holds is left out, or "" if it is not."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.name.lower() in SYSTEM_FOLDERS:
        return "a folder of the operating system"
    if entry.is_file(follow_symlinks=False):  # the folder says so: nothing else is asked for, of a million files
        return ""
    try:
        status = os.stat(entry.path)
    except OSError:
        return "a link to nothing"
    if stat.S_ISDIR(status.st_mode):
        return "a link to a folder that holds it" if (status.st_dev, status.st_ino) in ancestors else ""
    return "" if stat.S_ISREG(status.st_mode) else "neither a file nor a folder"


def _sorted(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(
            f"cannot read the folder '{folder}' ({error.strerror}): make it readable, or move it away"
        ) from None


def _refuse_other_encodings(folder: Path, names: list[str]) -> None:
    not_utf8 = [readable(name) for name in names if not is_utf8(name)]
    if not_utf8:
        listed = ", ".join(not_utf8[:3]) + (", …" if len(not_utf8) > 3 else "")
        raise UserError(
            f"'{folder}' holds names that are not UTF-8 ({listed}): rename them, as "
            f"`convmv -f latin1 -t utf8 -r --notest '{folder}'` does"
        )


def _folder_id(path: Path) -> FolderId:
    status = path.stat()
    return status.st_dev, status.st_ino


def _ancestors(folder: Path) -> set[FolderId]:
    """Returns the ids of `folder` and of all folders that hold it, by its path and by its path without links."""
    return {_folder_id(path) for start in (folder.absolute(), folder.resolve()) for path in (start, *start.parents)}
