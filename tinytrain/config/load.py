"""Configs: read from TOML, set by KEY=VALUE words, checked against `schema`, written.

A config is made of a TOML file, then flags, then KEY=VALUE words, later ones winning. The value "auto" of a key is
replaced, before anything is trained, by what the data, the model or the device asks for; the `config.toml` in a run
folder holds no "auto", but in a section that its task does not use, and repeats the run by itself. Nothing here
imports TensorFlow.
"""

import dataclasses
import itertools
import re
import shlex
import typing
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomli_w

from tinytrain.config import box_formats, dataset_catalog, grid, library, old_keys, paths, plugins, toml_files, values
from tinytrain.config.fields import is_hundredths
from tinytrain.config.schema import Config, Optim
from tinytrain.errors import UserError, is_utf8, nearest, readable, unknown


def keys() -> dict[str, dataclasses.Field]:
    """Returns every dotted key of the schema with its dataclass field, in the order of the schema."""
    fields = {}
    for top in dataclasses.fields(Config):
        if dataclasses.is_dataclass(top.type):
            fields.update({f"{top.name}.{leaf.name}": leaf for leaf in dataclasses.fields(typing.cast(Any, top.type))})
        else:
            fields[top.name] = top
    return fields


def load(path: Path | str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Returns a checked config, the digits demo if nothing is given.

    Args:
        path: a TOML file, or the name of a recipe such as "adaptive".
        overrides: KEY=VALUE words, such as "optim.epochs=3"; `tinytrain list keys` shows all keys.

    Raises:
        UserError: a missing or malformed file, an unknown key or name, a wrong type or a value out of range.
    """
    config, path = Config(), library.path_of(path) if path else None
    for dotted, value in _read(path).items():
        set_key(config, dotted, value, where=f" in {path}")
    return apply(config, overrides)


def typed(path: Path | str | None = None, overrides: Sequence[str] = ()) -> set[str]:
    """Returns the dotted keys that a file and KEY=VALUE words set, as `load` takes them; others have their default."""
    return {*_read(library.path_of(path) if path else None), *map(key_of, overrides)}


def key_of(override: str) -> str:
    """Returns the dotted key of a KEY=VALUE word."""
    return override.partition("=")[0].strip()


def apply(config: Config, overrides: Sequence[str]) -> Config:
    """Sets KEY=VALUE words in `config` in place, checks it and returns it; raises UserError as `load` does."""
    for override in overrides:
        _, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"cannot read '{override}': expected KEY=VALUE, such as optim.epochs=3")
        set_key(config, key_of(override), values.parse(text.strip()))
    config.model.weights = paths.absolute_weights(config.model.weights)
    config.distill.teacher = paths.absolute_teacher(config.distill.teacher, config.seed)
    config.search.storage = paths.absolute_database(config.search.storage)
    check(config)
    return config


def check(config: Config) -> None:
    """Raises UserError unless model, target and data source of `config` exist and its words can be written."""
    for dotted in keys():
        value = get_key(config, dotted)
        if isinstance(value, str) and not is_utf8(value):
            raise UserError(f"{dotted} = '{readable(value)}' is not UTF-8: rename the file or folder that it names")
    plugins.check("models", config.model.name)
    if config.task != "auto":
        plugins.check("tasks", config.task)
    if config.detect.head != "auto":
        plugins.check("heads", config.detect.head)
    plugins.check(plugins.TARGETS, config.export.target)
    if config.optim.name != "auto":
        plugins.check("train.optimizers", config.optim.name)
    names = methods(config)
    if len(set(names)) < len(names) or "" in names:
        raise UserError(f"method = '{config.method}': expected names joined by +, each once, such as netaug+distill")
    for name in names:
        plugins.check("methods", name)
    _check_drops(config.optim)
    _check_cycle(config.optim.cycle_momentum)
    if not is_hundredths(config.detect.nms):
        raise UserError(
            f"detect.nms = {config.detect.nms}: expected a number of whole hundredths, which the firmware compares"
        )
    parse_spec(config.data.spec)


def _check_drops(optim: Optim) -> None:
    """Raises UserError for optim.drops that do not go with the other keys."""
    drops, steps = optim.drops, optim.schedule == "steps"
    if isinstance(drops, str):
        if steps:
            raise UserError(
                f"optim.schedule = 'steps' needs optim.drops, received {drops!r}: expected the epochs after which the "
                f"rate falls, such as [{0.8 * optim.epochs:g}, {0.9 * optim.epochs:g}]"
            )
        return
    written = f"optim.drops = [{', '.join(f'{drop:g}' for drop in drops)}]"
    if not steps:
        raise UserError(
            f"{written} needs optim.schedule = 'steps', received '{optim.schedule}': set that schedule, or no drops"
        )
    ends = [0.0, *drops, float(optim.epochs)]
    if any(drop >= later for drop, later in itertools.pairwise(ends)):
        raise UserError(f"{written}: expected rising epochs, all above 0 and below optim.epochs, {optim.epochs}")


def _check_cycle(momentum: list[float]) -> None:
    """Raises UserError for an optim.cycle_momentum that is no low and high one."""
    if len(momentum) != 2 or momentum[0] > momentum[1]:
        raise UserError(
            f"optim.cycle_momentum = [{', '.join(f'{one:g}' for one in momentum)}]: expected two numbers, the "
            "momentum at the peak of the rate and the higher one at both ends, such as [0.85, 0.95]"
        )


def methods(config: Config) -> list[str]:
    """Returns the names of the training methods, the innermost first; none is plain training."""
    return [name.strip() for name in config.method.split("+")] if config.method else []


def parse_spec(spec: str) -> tuple[str, str]:
    """Returns (plug-in in tinytrain/datasets, its argument) for a SPEC; raises UserError for an unknown name."""
    if not spec.strip():
        raise UserError(
            "the data source is empty: give digits, folder:PATH, csv:FILE or a name of `tinytrain list datasets`"
        )
    name, _, argument = spec.partition(":")
    if name in dataset_catalog.ROWS:
        return "named", spec
    if name not in plugins.names("datasets"):
        if paths.is_there(path := paths.expanded(spec)) and path.is_dir():
            if kind := box_formats.kind_of(path):
                raise UserError(f"'{spec}' is a folder with boxes: give it as {box_formats.spec(kind, spec)}")
            raise UserError(f"'{spec}' is a folder: give a folder of class folders as {shlex.quote(f'folder:{spec}')}")
        kinds = [name for name in plugins.names("datasets") if name != "named"]  # which holds the rows
        raise unknown("dataset", name, [*kinds, *dataset_catalog.ROWS])
    paths.expanded(argument)  # what begins with ~ is refused here if it names nobody
    return name, argument


def set_key(config: Config, dotted: str, value: Any, where: str = "") -> None:
    """Sets one dotted key of `config` in place after checking its name, type, choices and range.

    Args:
        config: the config.
        dotted: the key.
        value: what was read or typed.
        where: " in FILE", for the error.

    Raises:
        UserError: an unknown key, or a value that it does not take.
    """
    known = keys()
    if dotted not in known:
        hint = old_keys.hint(dotted) or _nearest_key(dotted) or _section_hint(dotted, known)
        raise UserError(f"unknown config key '{dotted}'{where}{hint}")
    section, _, name = dotted.rpartition(".")
    target = getattr(config, section) if section else config
    setattr(target, name, values.checked(dotted, known[dotted], value, where))


def get_key(config: Config, dotted: str) -> Any:
    """Returns the value of one dotted key."""
    value: Any = config
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def dump(config: Config) -> str:
    """Returns `config` as TOML text, every key of the schema included."""
    return tomli_w.dumps(dataclasses.asdict(config))


def is_nearly_a_key(text: str) -> bool:
    """Returns whether `text` is a key, of the section of one, or so near to one that it is meant."""
    known = keys()
    sections = {dotted.partition(".")[0] for dotted in known}
    near = bool(re.fullmatch(r"[A-Za-z_][\w.-]*", text)) and bool(_nearest_key(text))
    return text in known or text.partition(".")[0] in sections or near


def _read(path: Path | None) -> dict[str, Any]:
    """Returns {dotted key: value} of a config file or of a row of a grid."""
    if path is None:
        return {}
    if (row := grid.settings(path)) is not None:
        return row
    tables = toml_files.read(path, "config file")
    if "arms" in tables:
        raise UserError(
            f"'{path}' is a table of a paper, not a config: tinytrain reproduce {shlex.quote(str(path))} trains it"
        )
    if grid.is_grid(tables):
        names = grid.paths(path, tables)
        raise UserError(f"'{path}' holds {len(names)} configs: give the name of one of them, such as {names[0]}")
    return old_keys.translated(dict(toml_files.flat(tables)), path)


def _nearest_key(text: str) -> str:
    """Returns "; did you mean 'optim.epochs'?" for "epochs" or "optim.epoch", "" if no key is near.

    Of a key without its section, such as qat.epochs and optim.epochs, that of the training is meant.
    """
    known = list(keys())
    if "." not in text:
        last = get_close_matches(text.lower(), [dotted.rpartition(".")[2] for dotted in known], n=1, cutoff=0.7)
        same = [dotted for dotted in known if last and dotted.rpartition(".")[2] == last[0]]
        if same:
            return nearest(same[0], [next((key for key in same if key.startswith("optim.")), same[0])], cutoff=0)
    return nearest(text, known)


def _section_hint(dotted: str, known: dict[str, Any]) -> str:
    section = dotted.partition(".")[0]
    siblings = [name for name in known if name.startswith(section + ".")]
    return f" (known: {', '.join(siblings)})" if siblings else "; `tinytrain list keys` shows all"
