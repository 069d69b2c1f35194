"""What can be typed at each place of a command line, in terms that all shells share.

A place is named by the words that lead to it:

    tinytrain           the first word: a command
    COMMAND             a word that is no flag
    COMMAND --          a flag
    COMMAND --FLAG      the value of a flag
    = KEY               the value of KEY=

What stands for the values in the usage of a command, such as BOARD, says which words they are.
"""

import dataclasses
import functools
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union

from absl import flags as absl_flags

from tinytrain.cli.flags import JSON, Command, Flag
from tinytrain.config import dataset_catalog, library, load, plugins
from tinytrain.deploy import boards
from tinytrain.experiments.papers import tables

AUTO = "auto"
FREE = ("S", "R,R…", "ARM,ARM…", "URL")  # what stands for values of which no word is known


@dataclass(frozen=True)
class Place:
    """What can stand at a place.

    words: after one that ends in ":" a path has to follow, after one that ends in "=" a value; after another one ":"
    and a path may follow; paths: whether "files" or "folders" can stand there too, "" for neither; separator: joins
    several values, "" if there is but one.
    """

    words: tuple[str, ...] = ()
    paths: str = ""
    separator: str = ""

    def __or__(self, other: "Place") -> "Place":
        paths = "files" if "files" in (self.paths, other.paths) else self.paths or other.paths
        return Place((*self.words, *other.words), paths, self.separator or other.separator)

    def assigned(self, name: str) -> str:
        """Returns the assignments of bash and zsh that set `name`, paths and separator to what is not empty."""
        values = {name: " ".join(self.words), "paths": self.paths, "separator": self.separator}
        return "".join(f"{variable}='{value}' " for variable, value in values.items() if value)


def places(commands: Mapping[str, Command]) -> dict[str, Place]:
    """Returns {name of a place: what can stand there} for all places of these commands."""
    known = load.keys()
    found = {"tinytrain": Place((*commands, "--help", "--version"))}
    for name, command in commands.items():
        flags = (*command.flags, JSON)
        found[name] = _of_usage(re.sub(r"\(--[^)]*\)|--\S+ \S+", "", command.operands))
        if command.overrides:
            found[name] |= Place(tuple(f"{dotted}=" for dotted in known))
        found[f"{name} --"] = Place((*(f"--{flag.name}{'=' * (flag.parser is not None)}" for flag in flags), "--help"))
        found |= {f"{name} --{flag.name}": _of_flag(flag) for flag in flags if flag.parser is not None}
    return found | {f"= {dotted}": _of_key(dotted, leaf) for dotted, leaf in known.items()}


def _of_flag(flag: Flag) -> Place:
    if isinstance(flag.parser, absl_flags.EnumParser):
        return Place(tuple(flag.parser.enum_values))
    if isinstance(flag.parser, absl_flags.IntegerParser | absl_flags.FloatParser):
        return Place()
    return _models() | Place((AUTO,)) if flag.name == "model" else _of_usage(flag.value)


def _of_usage(usage: str) -> Place:
    """Returns the place of operands or of a value, from the words that stand for them, such as "RUN|MODEL.tflite"."""
    place = Place(separator="," if re.fullmatch(r"\w+,\w+…", usage) else "")
    for word in re.findall(r"[\w.-]+", usage) if usage not in FREE else ():
        place |= _named()[word] if word in _named() else Place((word,))
    return Place(tuple(dict.fromkeys(place.words)), place.paths, place.separator)


@functools.cache
def _named() -> dict[str, Place]:
    """Returns {what stands in a usage: the words that it stands for}."""
    folders, files = Place(paths="folders"), Place(paths="files")
    return {
        "CONFIG": Place(tuple(library.recipe_names()), "files"),
        "RECIPE": Place(tuple(library.recipe_names())),
        "TABLE": Place(tuple(tables.names()), "files"),
        "SPEC": Place(_specs()),
        "BOARD": Place(tuple(boards.names())),
        "DEVICE": files,
        **dict.fromkeys(("RUN", "EXPORT", "DIR"), folders),
        **dict.fromkeys(("MODEL.tflite", "IMAGE", "FILE", "HTML", "PNG"), files),
    }


def _specs() -> tuple[str, ...]:
    """Returns the names of data sources, with ":" where a path has to follow."""
    kinds = [name for name in plugins.names("datasets") if name != "named"]
    needs_path = {name: name != "digits" for name in kinds}
    needs_path |= {name: f"{name}:" in dataset_catalog.usage(name) for name in dataset_catalog.ROWS}
    return tuple(f"{name}:" if needed else name for name, needed in needs_path.items())


def _models() -> Place:
    return Place(tuple(plugins.names("models")))


def _of_key(dotted: str, leaf: dataclasses.Field) -> Place:
    """Returns the place of the value of a key."""
    known = {
        "data.spec": lambda: Place(_specs()),
        "model.name": _models,
        "model.weights": lambda: Place(("imagenet",), "files"),
        "distill.teacher": lambda: Place(paths="files"),
        "method": lambda: Place(tuple(plugins.names("methods")), separator="+"),
        "task": lambda: Place((AUTO, *plugins.names("tasks"))),
        "detect.head": lambda: Place((AUTO, *plugins.names("heads"))),
        "optim.name": lambda: Place(tuple(plugins.names("train.optimizers"))),
        "export.target": lambda: Place(tuple(plugins.names("deploy.targets"))),
    }
    return known[dotted]() if dotted in known else Place(tuple(_choices(leaf.type)))


def _choices(kind: Any) -> list[str]:
    """Returns the words that a type of the schema takes: those of its literals, and true and false."""
    if kind is bool:
        return ["true", "false"]
    if typing.get_origin(kind) is Literal:
        return list(map(str, typing.get_args(kind)))
    is_union = typing.get_origin(kind) in (Union, type(int | str))
    return [word for one in typing.get_args(kind) if is_union for word in _choices(one)]
