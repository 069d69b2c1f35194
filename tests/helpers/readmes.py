"""README.txt of a folder, against what the folder holds."""

import re


def unexplained(folder):
    """Returns the names of those files and folders in `folder` about which its README.txt has no line.

    Words in capital letters of a line, such as BOARD, stand for anything, and a folder ends in "/". Hidden files need
    no line, such as the lock of a test that runs beside this one.
    """
    lines = (folder / "README.txt").read_text().splitlines()[2:-2]
    names = [name for line in lines for name in line.partition("  ")[0].split(", ")]
    tops = ["".join(name.partition("/")[:2]) for name in names]  # of CONFIG/DATA/ the folder CONFIG/
    patterns = ["[^/]+".join(map(re.escape, re.split(r"\b[A-Z]{3,}\b", top))) for top in tops]
    entries = {path.name + "/" * path.is_dir() for path in folder.iterdir() if path.name[0] != "."}
    entries -= {"README.txt"}
    return sorted(entry for entry in entries if not any(re.fullmatch(pattern, entry) for pattern in patterns))
