"""Rooms: folders in which a file's name is the word that a config uses. There is no registry.

A new model, dataset, method or board is one new file. Nothing here imports TensorFlow.
"""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from tinytrain.errors import unknown

PACKAGE = Path(__file__).parents[1]
ROOMS = ("datasets", "models", "methods")


def data_folder(name: str) -> Path:
    """Returns the folder `firmware` or `configs`: beside the package in a checkout, inside it in a wheel."""
    installed = PACKAGE / "_data" / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def names(room: str) -> list[str]:
    """Returns the words that `room` knows: its module names, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules([str(PACKAGE.joinpath(*room.split(".")))]))


def file(room: str, name: str) -> Path:
    """Returns the file that holds `tinytrain.<room>.<name>`: a module, or the first file of a package."""
    package = PACKAGE / room / name / "__init__.py"
    return package if package.is_file() else PACKAGE / room / f"{name}.py"


def check(room: str, name: str) -> None:
    """Raises UserError, naming the nearest word, unless `name` is a module of `room`. Imports nothing."""
    if name not in names(room):
        raise unknown(room.rpartition(".")[2].removesuffix("s"), name, names(room))


def load(room: str, name: str) -> ModuleType:
    """Returns the module `tinytrain.<room>.<name>`."""
    check(room, name)
    return importlib.import_module(f"tinytrain.{room}.{name}")
