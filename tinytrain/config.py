"""Configs: read from TOML, set by KEY=VALUE words, checked against `schema`, written.

A config is made of a TOML file, then flags, then KEY=VALUE words, later ones winning. The value "auto" of a key is
replaced, before anything is trained, by what the data, the model or the device asks for; the `config.toml` in a run
folder holds no "auto" and repeats the run by itself. Nothing here imports TensorFlow.
"""

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, Literal

import tomli_w

from tinytrain import dataset_table, rooms
from tinytrain.errors import UserError, is_utf8, nearest, readable, unknown
from tinytrain.schema import Config

UNIONS = (typing.Union, types.UnionType)


def keys() -> dict[str, dataclasses.Field]:
    """Returns every dotted key of the schema with its dataclass field, in the order of the schema."""
    found = {}
    for top in dataclasses.fields(Config):
        if dataclasses.is_dataclass(top.type):
            found.update({f"{top.name}.{leaf.name}": leaf for leaf in dataclasses.fields(typing.cast(Any, top.type))})
        else:
            found[top.name] = top
    return found


def load(path: Path | str | None = None, overrides: typing.Sequence[str] = ()) -> Config:
    """Returns a checked config, the digits demo if nothing is given.

    Args:
        path: a TOML file, or the name of a recipe such as "adaptive".
        overrides: KEY=VALUE words, such as "optim.epochs=3"; `tinytrain list keys` shows all keys.

    Raises UserError for a missing or malformed file, an unknown key or name, a wrong type or a value out of range.
    """
    config, path = Config(), path_of(path) if path else None
    for dotted, value in _read(path).items():
        set_key(config, dotted, value, where=f" in {path}")
    return apply(config, overrides)


def typed(path: Path | str | None = None, overrides: typing.Sequence[str] = ()) -> set[str]:
    """Returns the dotted keys that a file and KEY=VALUE words set, as `load` takes them; others have their default."""
    return {*_read(path_of(path) if path else None), *(word.partition("=")[0].strip() for word in overrides)}


def apply(config: Config, overrides: typing.Sequence[str]) -> Config:
    """Sets KEY=VALUE words in `config` in place, checks it and returns it; raises UserError as `load` does."""
    for word in overrides:
        dotted, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"cannot read '{word}': expected KEY=VALUE, such as optim.epochs=3")
        set_key(config, dotted.strip(), _parse(text.strip()))
    config.model.weights = absolute(config.model.weights)
    config.distill.teacher = _teacher(config)
    config.search.storage = absolute_database(config.search.storage)
    check(config)
    return config


def path_of(word: Path | str) -> Path:
    """Returns the path of a config file or, if there is none, of the recipe (configs/recipes) of this name."""
    path, recipe = Path(word), rooms.data_folder("configs") / "recipes" / f"{word}.toml"
    return recipe if not path.exists() and recipe.is_file() else path


def recipe(name: str) -> Path:
    """Returns the path of the recipe `name`; raises UserError, with the nearest name, if there is none."""
    folder = rooms.data_folder("configs") / "recipes"
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise unknown("recipe", name, known)
    return folder / f"{name}.toml"


def check(config: Config) -> None:
    """Raises UserError unless the model and the data source of `config` exist and its words can be written."""
    for dotted in keys():
        value = get_key(config, dotted)
        if isinstance(value, str) and not is_utf8(value):
            raise UserError(f"{dotted} = '{readable(value)}' is not UTF-8: rename the file or folder that it names")
    rooms.check("models", config.model.name)
    names = methods(config)
    if len(set(names)) < len(names) or "" in names:
        raise UserError(f"method = '{config.method}': expected names joined by +, each once, such as netaug+distill")
    for name in names:
        rooms.check("methods", name)
    room(config.data.spec)


def methods(config: Config) -> list[str]:
    """Returns the names of the training methods, the innermost first; none is plain training."""
    return [name.strip() for name in config.method.split("+")] if config.method else []


def room(spec: str) -> tuple[str, str]:
    """Returns (module in tinytrain/datasets, its argument) for a SPEC; raises UserError for an unknown word."""
    word, _, argument = spec.partition(":")
    if word in dataset_table.ROWS:
        return "named", spec
    if word not in rooms.names("datasets"):
        if Path(spec).expanduser().is_dir():
            raise UserError(f"'{spec}' is a folder: a folder of class folders is given as folder:{spec}")
        kinds = [name for name in rooms.names("datasets") if name != "named"]  # what holds the rows
        raise unknown("dataset", word, [*kinds, *dataset_table.ROWS])
    return word, argument


def set_key(config: Config, dotted: str, value: Any, where: str = "") -> None:
    """Sets one dotted key of `config` in place after checking its name, type, choices and range."""
    known = keys()
    if dotted not in known:
        raise UserError(f"unknown config key '{dotted}'{where}{nearest(dotted, known) or _section_hint(dotted, known)}")
    section, _, name = dotted.rpartition(".")
    target = getattr(config, section) if section else config
    setattr(target, name, _checked(dotted, known[dotted], value, where))


def get_key(config: Config, dotted: str) -> Any:
    """Returns the value of one dotted key."""
    value: Any = config
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def absolute(weights: str) -> str:
    """Returns what may be a path made absolute if there is such a file, so that a run repeats from any folder."""
    path = Path(weights).expanduser()
    return str(path.absolute()) if weights not in ("", "imagenet") and path.exists() else weights


def _teacher(config: Config) -> str:
    """Returns distill.teacher with the seed in its place; a path is made absolute, be there such a file or not."""
    word = config.distill.teacher.replace("{seed}", str(config.seed))
    return word if not word or word.startswith("applications:") else str(Path(word).expanduser().absolute())


def absolute_database(url: str) -> str:
    """Returns the URL of a database with the path of an SQLite file made absolute, so that a run resumes anywhere."""
    scheme, found, path = url.partition("sqlite:///")
    plain = not scheme and found and path and not path.startswith((":", "file:"))
    return found + str(Path(path).expanduser().absolute()) if plain else url


def dump(config: Config) -> str:
    """Returns `config` as TOML text, every key of the schema included."""
    return tomli_w.dumps(dataclasses.asdict(config))


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"no config file '{path}': give the path of a TOML file, or none for the digits demo") from None
    except IsADirectoryError:
        raise UserError(f"'{path}' is a folder, not a config file: {_folder_hint(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the config file '{path}': {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"'{path}' is not a TOML file: {error}") from None
    if "arms" in found:
        raise UserError(f"'{path}' is a table of a paper, not a config: tinytrain reproduce {path} trains it")
    return dict(flat(found))


def _folder_hint(folder: Path) -> str:
    """Returns what to say in place of a folder that was given as a config file."""
    if (folder / "config.toml").is_file():
        return f"this run goes on with --out {folder} --resume; {folder}/config.toml repeats it"
    return f"images in a folder for each class are given as --data folder:{folder}"


def flat(table: dict[str, Any], prefix: str = "") -> typing.Iterator[tuple[str, Any]]:
    """Yields (dotted key, value) of nested tables, in order."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _parse(text: str) -> Any:
    """Returns a TOML value, or the bare text where it is none: `data.spec=digits` needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return {"True": True, "False": False}.get(text, text)


def _section_hint(dotted: str, known: dict[str, Any]) -> str:
    section = dotted.partition(".")[0]
    siblings = [name for name in known if name.startswith(section + ".")]
    return f" (known: {', '.join(siblings or known)})"


def _checked(dotted: str, leaf: dataclasses.Field, value: Any, where: str) -> Any:
    kinds = typing.get_args(leaf.type) if typing.get_origin(leaf.type) in UNIONS else (leaf.type,)
    choices = [word for kind in kinds if typing.get_origin(kind) is Literal for word in typing.get_args(kind)]
    plain = [kind for kind in kinds if isinstance(kind, type)]
    if any(type(value) is type(word) and value == word for word in choices):
        return value
    if list[float] in kinds and type(value) is list and value and {type(item) for item in value} <= {int, float}:
        return [_in_range(dotted, leaf, float(item), where) for item in value]
    if type(value) is int and float in plain:
        value = float(value)
    if type(value) not in plain:
        names = [kind.__name__ for kind in plain] + ["a list of numbers"] * (list[float] in kinds)
        wanted = " or ".join(names + [repr(word) for word in choices])
        hint = nearest(value, [str(word) for word in choices]) if isinstance(value, str) else ""
        raise UserError(f"{dotted} = {value!r}{where} is not of its type: expected {wanted}{hint}")
    return _in_range(dotted, leaf, value, where)


def _in_range(dotted: str, leaf: dataclasses.Field, value: Any, where: str) -> Any:
    low, high = leaf.metadata["minimum"], leaf.metadata["maximum"]
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        raise UserError(f"{dotted} = {value!r}{where} is out of range: expected {_range(low, high)}")
    return value


def _range(low: float | None, high: float | None) -> str:
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
