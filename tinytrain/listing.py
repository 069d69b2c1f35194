"""What `tinytrain list` shows. Nothing here imports TensorFlow."""

import ast
from collections.abc import Callable
from pathlib import Path

from tinytrain import config, dataset_table, rooms, schema


def _first_sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def _room(name: str) -> Callable[[], dict[str, str]]:
    def rows() -> dict[str, str]:
        return {word: f"{word:20} {_first_sentence(rooms.PACKAGE / name / f'{word}.py')}" for word in rooms.names(name)}

    return rows


def _datasets() -> dict[str, str]:
    rows = {word: line for word, line in _room("datasets")().items() if word != "named"}
    table = {word: f"{dataset_table.usage(word):25} {row.meaning}" for word, row in dataset_table.ROWS.items()}
    return rows | table


def _boards() -> dict[str, str]:
    from tinytrain import board_table

    rows = board_table.rows()
    return dict(zip((row["name"] for row in rows), board_table.as_text(rows)[1:], strict=True))


def _configs() -> dict[str, str]:
    """Returns the configs by their path below the folder, those in it first."""
    folder = rooms.data_folder("configs")
    paths = sorted(folder.rglob("*.toml"), key=lambda path: (len(path.relative_to(folder).parts), path))
    names = {path.relative_to(folder).with_suffix("").as_posix(): path for path in paths}
    return {name: f"{name:45} {path.read_text().splitlines()[0].lstrip('# ')}" for name, path in names.items()}


def _keys() -> dict[str, str]:
    default = schema.Config()
    return {
        dotted: f"{dotted:27} {config.get_key(default, dotted)!s:15} {leaf.metadata['meaning']}"
        for dotted, leaf in config.keys().items()
    }


LISTS: dict[str, Callable[[], dict[str, str]]] = {
    "models": _room("models"),
    "datasets": _datasets,
    "methods": _room("methods"),
    "boards": _boards,
    "configs": _configs,
    "keys": _keys,
}
