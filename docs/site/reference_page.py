"""Writes docs/reference.md from the code: every command, every key of a config, every name.

    python docs/site/reference_page.py

The sources are those of `tinytrain COMMAND --help` and `tinytrain list`. tests/docs/test_reference.py fails while the
page says anything else than the code.
"""

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinytrain import tables
from tinytrain.cli import flags
from tinytrain.cli.commands import COMMANDS
from tinytrain.cli.lists import boards, names
from tinytrain.config import dataset_catalog, library, load, plugins, values
from tinytrain.config.schema import Config

PAGE = Path(__file__).parents[1] / "reference.md"
HEAD = """<!-- Written by `make reference` from the code: do not edit. -->

# Command and config reference

Every command, every key and every name, as this version of the code has them. Files, exit statuses and everything else
that scripts can rely on: [command-line.md](command-line.md)."""
EVERYWHERE = f"""Every command also takes `{flags.JSON.usage}`: {flags.JSON.meaning}. `tinytrain --version` prints the
version."""
PLUGINS = {  # the lists of what a config or a flag can name, each a folder of the package
    "Models": (
        "models",
        "`model.name`. Their parameters, sizes and the boards that they fit: `tinytrain list models`.",
    ),
    "Training methods": (
        "methods",
        "`method`. Several are joined by `+`, see [training-methods.md](training-methods.md).",
    ),
    "Optimizers": ("train.optimizers", "`optim.name`."),
    "Tasks": ("tasks", "`task`."),
    "Detection heads": ("heads", "`detect.head`, see [detection.md](detection.md)."),
    "Export targets": (plugins.TARGETS, "`export.target`, or `--target`."),
    "Kinds of data": ("datasets", "`data.spec`, or SPEC: the kind, then a path."),
}


def page() -> str:
    """Returns the whole page."""
    parts = [HEAD, "## Commands", EVERYWHERE]
    parts += [_command(name, command) for name, command in COMMANDS.items()]
    parts += ["## Config keys", _KEYS, *_sections(), "## Names", *_names()]
    return "\n\n".join(parts) + "\n"


_KEYS = """Keys of a TOML file or, as KEY=VALUE, of the command line, where later words win over earlier ones and over
the file. A range holds for each number of a list."""

_PLAIN: dict[Any, list[str]] = {
    bool: ["true", "false"],
    int: ["whole number"],
    float: ["number"],
    str: ["text"],
    list[float]: ["list of numbers"],
    list[int]: ["list of whole numbers"],
}


def _command(name: str, command: flags.Command) -> str:
    rows = [
        (_code(flag.usage), flag.meaning, flag.details, "" if flag.default in (None, False) else _code(flag.default))
        for flag in command.flags
    ]
    table = _table(("flag", "meaning", "values", "default"), rows) if rows else "It has no flags."
    return f"### tinytrain {name}\n\n{command.meaning}\n\n```text\n{flags.usage(name, command)}\n```\n\n{table}"


def _sections() -> Iterable[str]:
    """Yields a part for the keys without a section, then one for each section of the schema."""
    tops = dataclasses.fields(Config)
    alone = _key_table(top.name for top in tops if not dataclasses.is_dataclass(top.type))
    yield f"### Without a section\n\n{alone}"
    for top in tops:
        if dataclasses.is_dataclass(top.type):
            leaves = dataclasses.fields(typing.cast(Any, top.type))
            table = _key_table(f"{top.name}.{leaf.name}" for leaf in leaves)
            yield f"### {top.name}\n\n{top.type.__doc__}\n\n{table}"


def _key_table(dotted_keys: Iterable[str]) -> str:
    known, default = load.keys(), Config()
    rows = [
        (
            _code(dotted),
            kind(known[dotted].type),
            values.range_of(known[dotted]),
            _code(load.get_key(default, dotted)),
            names.meaning_of_key(dotted),
        )
        for dotted in dotted_keys
    ]
    return _table(("key", "type", "range", "default", "meaning"), rows)


def kind(annotation: Any) -> str:
    """Returns a type of the schema in words, such as "number or `auto`"."""
    words = [
        word
        for part in ([annotation] if annotation in _PLAIN else typing.get_args(annotation))
        for word in (_PLAIN[part] if part in _PLAIN else map(_code, typing.get_args(part) or (part,)))
    ]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _names() -> Iterable[str]:
    for title, (folder, use) in PLUGINS.items():
        found = {name: meaning for name, meaning in names.meanings(folder).items() if name != "named"}
        yield f"### {title}\n\n{use}\n\n{_name_table(found)}"
    known = {dataset_catalog.usage(name): row.meaning for name, row in dataset_catalog.ROWS.items()}
    yield f"### Named datasets\n\n`data.spec`, or SPEC.\n\n{_name_table(known)}"
    board_rows = [(_code(cells[0]), *cells[1:]) for cells in map(boards.cells, boards.rows())]
    yield f"### Boards\n\n`--mcu`: a board, or its microcontroller.\n\n{_table(boards.HEADINGS, board_rows)}"
    paths = library.sorted_paths([*library.config_paths(), *library.table_paths()])
    configs = {library.name_of(path): library.title_of(path) for path in paths}
    use = "Below `configs`: `recipes` for `--recipe`, `tables` for `reproduce`, the others for `fit` and `compare`."
    yield f"### Configs\n\n{use}\n\n{_name_table(configs)}"


def _name_table(meanings: Mapping[str, str]) -> str:
    return _table(("name", "meaning"), [(_code(name), meaning) for name, meaning in meanings.items()])


def _code(value: Any) -> str:
    """Returns a value in a code span as a config file has it, "" for an empty text."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else ""


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    escaped = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    return tables.markdown([headings, *escaped], "<" * len(headings))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
