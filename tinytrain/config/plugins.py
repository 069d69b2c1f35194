"""Plug-in folders: a file's name is the word that a config uses. There is no registry.

A new model, data source, method, task, optimizer, export target or board is one new file.
Nothing here imports TensorFlow.
"""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from tinytrain.errors import unknown

PACKAGE = Path(__file__).parents[1]
FOLDERS = ("datasets", "models", "methods", "tasks", "heads")
TARGETS = "deploy.targets"  # a dash in the word for one, such as bare-metal, is an underscore in the name of its file


def data_folder(name: str) -> Path:
    """Returns the folder `firmware` or `configs`: beside the package in a checkout, inside it in a wheel."""
    installed = PACKAGE / "_data" / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def names(folder: str) -> list[str]:
    """Returns the names of the plug-ins in tinytrain/`folder`, sorted; `folder` may be dotted ("deploy.targets")."""
    found = (module.name for module in pkgutil.iter_modules([str(PACKAGE.joinpath(*folder.split(".")))]))
    return sorted(name.replace("_", "-") if folder == TARGETS else name for name in found)


def file(folder: str, name: str) -> Path:
    """Returns the file that holds `tinytrain.<folder>.<name>`: a module, or the first file of a package."""
    parent, module = PACKAGE.joinpath(*folder.split(".")), _module(folder, name)
    package = parent / module / "__init__.py"
    return package if package.is_file() else parent / f"{module}.py"


def check(folder: str, name: str) -> None:
    """Raises UserError, with the nearest name, unless `name` is a plug-in in `folder`. Imports nothing."""
    if name not in names(folder):
        raise unknown(folder.rpartition(".")[2].removesuffix("s"), name, names(folder))


def load(folder: str, name: str) -> ModuleType:
    """Returns the module `tinytrain.<folder>.<name>`."""
    check(folder, name)
    return importlib.import_module(f"tinytrain.{folder}.{_module(folder, name)}")


def _module(folder: str, name: str) -> str:
    return name.replace("-", "_") if folder == TARGETS else name
