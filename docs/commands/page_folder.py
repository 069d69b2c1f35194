"""The folder in which the commands of a page run: a copy of the repository with made images, and nothing else."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from markdown_commands import REPOSITORY, blocks
from PIL import Image

# Folders of images in place of the reader's: classes, images of each.
IMAGES = {"images": 4, "cells": 3, "cifar10": 10}
COUNT = 30


def make(folder: Path) -> None:
    """Makes `folder`: the files of the repository as they are now, `.venv`, folders of images and images.csv."""
    listed = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, capture_output=True, check=True, text=True).stdout.split("\0"):
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(folder / name, (0, 0))  # so that make holds .venv for up to date
    for name, classes in IMAGES.items():
        images(folder / name, classes)
    table(folder / "images.csv", folder / "images")


def images(folder: Path, classes: int) -> None:
    """Writes COUNT images of each class, (32, 32, 3) uint8 noise around a color of their class."""
    random = np.random.default_rng(0)
    for number in range(classes):
        (folder / f"class{number}").mkdir(parents=True)
        for i in range(COUNT):
            pixels = random.integers(0, 80, (32, 32, 3), dtype=np.uint8)
            pixels[..., number % 3] += np.uint8(40 + 40 * (number // 3))
            Image.fromarray(pixels).save(folder / f"class{number}" / f"{i:03d}.png")


def table(path: Path, folder: Path) -> None:
    """Writes the images of a folder of class folders as a table of path and label."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for image in sorted(folder.rglob("*.png")):
            rows.writerow([image.relative_to(path.parent).as_posix(), image.parent.name])


def write_files(folder: Path, files: dict[str, str], page: Path) -> None:
    """Writes files that a page tells its reader to write: {path: "LANGUAGE N", its N-th block of that language}."""
    for name, block in files.items():
        language, number = block.split()
        texts = [text for found, text in blocks(page.read_text()) if found == language]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(texts[int(number) - 1] + "\n")


def environment(folder: Path) -> dict[str, str]:
    """Returns the variables of a command: tinytrain is the copy in `folder`, home and caches lie beside it."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    own = {"PATH": f"{folder}/.venv/bin:{os.environ['PATH']}", "PYTHONPATH": str(folder), "HOME": str(home)}
    return os.environ | own | {"XDG_CACHE_HOME": str(home / "cache"), "TF_CPP_MIN_LOG_LEVEL": "2"}
