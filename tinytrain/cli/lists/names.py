"""What `tinytrain list` shows. Only the tables that are counted from graphs start TensorFlow."""

import ast
import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinytrain.config import dataset_catalog, library, load, plugins, schema, values
from tinytrain.errors import UserError, unknown


def meanings(folder: str) -> dict[str, str]:
    """Returns {name: what it is} of the plug-ins in a folder: the first paragraph of the text that each begins with."""
    return {name: _first_paragraph(plugins.file(folder, name)) for name in plugins.names(folder)}


def meaning_of_key(dotted: str) -> str:
    """Returns what a key means, and what tasks begin with in place of its default."""
    return load.keys()[dotted].metadata["meaning"] + _begun_with(dotted)


def _first_paragraph(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def _plugins(folder: str) -> Callable[[], dict[str, str]]:
    return lambda: {name: f"{name:20} {meaning}" for name, meaning in meanings(folder).items()}


def _datasets() -> dict[str, str]:
    rows = {name: line for name, line in _plugins("datasets")().items() if name != "named"}
    table = {name: f"{dataset_catalog.usage(name):25} {row.meaning}" for name, row in dataset_catalog.ROWS.items()}
    return rows | table


def _boards() -> dict[str, str]:
    from tinytrain.cli.lists import boards

    rows = boards.rows()
    return dict(zip((row["name"] for row in rows), boards.as_text(rows)[1:], strict=True))


def _configs() -> dict[str, str]:
    """Returns the configs by their path below the folder, those in it first."""
    paths = library.sorted_paths([*library.config_paths(), *library.table_paths()])
    return {library.name_of(path): f"{library.name_of(path):45} {library.title_of(path)}" for path in paths}


def _keys() -> dict[str, str]:
    default = schema.Config()
    return {
        dotted: f"{dotted:27} {load.get_key(default, dotted)!s:15} {meaning_of_key(dotted)}{_limits(leaf)}"
        for dotted, leaf in load.keys().items()
    }


def _begun_with(dotted: str) -> str:
    """Returns what each task begins with in place of a default, of those that do: "; classify: adam"."""
    tasks = {task: getattr(plugins.load("tasks", task), "BEGUN_WITH", {}) for task in plugins.names("tasks")}
    return "".join(f"; {task}: {words[dotted]}" for task, words in tasks.items() if dotted in words)


def _limits(leaf: dataclasses.Field) -> str:
    limits = values.range_of(leaf)
    return f" ({limits})" if limits else ""


LISTS: dict[str, Callable[[], dict[str, str]]] = {
    "models": _plugins("models"),
    "datasets": _datasets,
    "methods": _plugins("methods"),
    "boards": _boards,
    "configs": _configs,
    "keys": _keys,
}
TABLES = ("models", "configs", "boards")


def show(operands: list[str], classes: int | None = None) -> tuple[Any, str]:
    """Returns what --json prints and the text, of the list that is named, or of all; `classes` is for "models"."""
    if len(operands) > 1 or (operands and operands[0] not in LISTS):
        raise unknown("list", " ".join(operands), LISTS)
    if classes is not None and operands != ["models"]:
        raise UserError(f"--classes {classes} is for `list models`, received `{' '.join(['list', *operands])}`")
    if operands and operands[0] in TABLES:
        return _table(operands[0], *([] if classes is None else [classes]))
    rows = {name: LISTS[name]() for name in operands or LISTS}
    text = "\n\n".join(
        "\n".join([f"{name}:", *(f"  {line}" for line in lines.values())]) for name, lines in rows.items()
    )
    return {name: list(lines) for name, lines in rows.items()}, text


def _table(name: str, *options: int) -> tuple[Any, str]:
    """Returns one of the lists that are tables."""
    if name != "boards":
        from tinytrain.quiet import import_tensorflow

        import_tensorflow()
    table = importlib.import_module(f"tinytrain.cli.lists.{name}")
    rows = table.rows(*options)
    return {name: rows}, "\n".join(table.as_text(rows))
