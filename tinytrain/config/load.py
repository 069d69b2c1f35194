"""Configs: read from TOML, set by KEY=VALUE words, checked against `schema`, written.

A config is made of a TOML file, then flags, then KEY=VALUE words, later ones winning. The value "auto" of a key is
replaced, before anything is trained, by what the data, the model or the device asks for; the `config.toml` in a run
folder holds no "auto" and repeats the run by itself. Nothing here imports TensorFlow.
"""

import dataclasses
import re
import shlex
import tomllib
import types
import typing
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import tomli_w

from tinytrain.config import catalog, plugins
from tinytrain.config.schema import Config
from tinytrain.errors import UserError, is_utf8, nearest, readable, shown, unknown

_LARGEST_FILE = 1_000_000  # bytes
_LONGEST_TEXT, _LONGEST_LIST = 4096, 64  # characters, items
OLD_WORDS = {("model.init", "default"): "he"}  # values in the config.toml of older runs, which still mean the same
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
    path, recipe = Path(word), plugins.data_folder("configs") / "recipes" / f"{word}.toml"
    return recipe if not is_there(path) and is_there(recipe) else path


def recipe(name: str) -> Path:
    """Returns the path of the recipe `name`; raises UserError, with the nearest name, if there is none."""
    folder = plugins.data_folder("configs") / "recipes"
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise unknown("recipe", name, known)
    return folder / f"{name}.toml"


def check(config: Config) -> None:
    """Raises UserError unless model, target and data source of `config` exist and its words can be written."""
    for dotted in keys():
        value = get_key(config, dotted)
        if isinstance(value, str) and not is_utf8(value):
            raise UserError(f"{dotted} = '{readable(value)}' is not UTF-8: rename the file or folder that it names")
    plugins.check("models", config.model.name)
    plugins.check("deploy.targets", config.export.target)
    names = methods(config)
    if len(set(names)) < len(names) or "" in names:
        raise UserError(f"method = '{config.method}': expected names joined by +, each once, such as netaug+distill")
    for name in names:
        plugins.check("methods", name)
    room(config.data.spec)


def methods(config: Config) -> list[str]:
    """Returns the names of the training methods, the innermost first; none is plain training."""
    return [name.strip() for name in config.method.split("+")] if config.method else []


def room(spec: str) -> tuple[str, str]:
    """Returns (module in tinytrain/datasets, its argument) for a SPEC; raises UserError for an unknown word."""
    if not spec.strip():
        raise UserError(
            "the data source is empty: give digits, folder:PATH, csv:FILE or a name of `tinytrain list datasets`"
        )
    word, _, argument = spec.partition(":")
    if word in catalog.ROWS:
        return "named", spec
    if word not in plugins.names("datasets"):
        if is_there(path := expanded(spec)) and path.is_dir():
            raise UserError(
                f"'{spec}' is a folder: a folder of class folders is given as {shlex.quote(f'folder:{spec}')}"
            )
        kinds = [name for name in plugins.names("datasets") if name != "named"]  # what holds the rows
        raise unknown("dataset", word, [*kinds, *catalog.ROWS])
    expanded(argument)  # what begins with ~ is refused here if it names nobody
    return word, argument


def set_key(config: Config, dotted: str, value: Any, where: str = "") -> None:
    """Sets one dotted key of `config` in place after checking its name, type, choices and range."""
    known = keys()
    if dotted not in known:
        raise UserError(f"unknown config key '{dotted}'{where}{_nearest_key(dotted) or _section_hint(dotted, known)}")
    section, _, name = dotted.rpartition(".")
    target = getattr(config, section) if section else config
    value = OLD_WORDS.get((dotted, value), value) if isinstance(value, str) else value
    setattr(target, name, _checked(dotted, known[dotted], value, where))


def get_key(config: Config, dotted: str) -> Any:
    """Returns the value of one dotted key."""
    value: Any = config
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def absolute(weights: str) -> str:
    """Returns what may be a path made absolute if there is such a file, so that a run repeats from any folder."""
    if weights in ("", "imagenet"):
        return weights
    path = expanded(weights)
    return str(path.absolute()) if is_there(path) else weights


def _teacher(config: Config) -> str:
    """Returns distill.teacher with the seed in its place; a path is made absolute, be there such a file or not."""
    word = config.distill.teacher.replace("{seed}", str(config.seed))
    return word if not word or word.startswith("applications:") else str(expanded(word).absolute())


def is_there(path: Path) -> bool:
    """Returns whether there is a file or folder of this name; no file system has one whose name is too long for it."""
    try:
        return path.exists()
    except OSError:  # too long, or below a folder that may not be read
        return False


def expanded(word: str) -> Path:
    """Returns a path with ~ and ~name replaced; raises UserError for a person that this machine does not know."""
    try:
        return Path(word).expanduser()
    except RuntimeError:
        raise UserError(
            f"'{word}' names the home of a user who does not exist here: write ./{word} for a file of this name"
        ) from None


def absolute_database(url: str) -> str:
    """Returns the URL of a database with the path of an SQLite file made absolute, so that a run resumes anywhere."""
    scheme, found, path = url.partition("sqlite:///")
    plain = not scheme and found and path and not path.startswith((":", "file:"))
    return found + str(expanded(path).absolute()) if plain else url


def dump(config: Config) -> str:
    """Returns `config` as TOML text, every key of the schema included."""
    return tomli_w.dumps(dataclasses.asdict(config))


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    found = read_toml(path, "config file")
    if "arms" in found:
        raise UserError(
            f"'{path}' is a table of a paper, not a config: tinytrain reproduce {shlex.quote(str(path))} trains it"
        )
    return dict(flat(found))


def _folder_hint(folder: Path) -> str:
    """Returns what to say in place of a folder that was given as a config file."""
    if (folder / "config.toml").is_file():
        quoted = shlex.quote(str(folder))
        return f"this run goes on with --out {quoted} --resume; {quoted}/config.toml repeats it"
    return f"images in a folder for each class are given as --data {shlex.quote(f'folder:{folder}')}"


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Returns the tables of a TOML file; raises UserError, in which it is called `what`, if it is none."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise UserError(f"'{path}' is no {what}: it has more than {_LARGEST_FILE:,} bytes")
        return _loads(content.decode())
    except FileNotFoundError:
        raise UserError(f"no {what} '{path}': give the path of a TOML file, or none for the digits demo") from None
    except IsADirectoryError:
        raise UserError(f"'{path}' is a folder, not a {what}: {_folder_hint(path)}") from None
    except OSError as error:
        raise UserError(f"cannot read the {what} '{path}': {error.strerror}") from None
    except ValueError as error:  # of tomllib, of decode, of a NUL in the path
        raise UserError(f"'{path}' is not a TOML file: {error}") from None


def _loads(text: str) -> dict[str, Any]:
    """Returns the tables of TOML text; raises ValueError if it is none, also where tomllib raises something else."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it nests too deep") from None


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
        found = _loads(f"value = {text}")
    except ValueError:  # also of a number of thousands of digits
        found = {}
    if list(found) != ["value"]:  # a line break could bring further keys
        return {"True": True, "False": False}.get(text, text)
    return found["value"]


def is_nearly_a_key(word: str) -> bool:
    """Returns whether `word` is a key, of the section of one, or so near to one that it is meant."""
    known = keys()
    sections = {dotted.partition(".")[0] for dotted in known}
    near = bool(re.fullmatch(r"[A-Za-z_][\w.-]*", word)) and bool(_nearest_key(word))
    return word in known or word.partition(".")[0] in sections or near


def _nearest_key(word: str) -> str:
    """Returns "; did you mean 'optim.epochs'?" for "epochs" or "optim.epoch", "" if no key is near.

    Of a key without its section, such as qat.epochs and optim.epochs, that of the training is meant.
    """
    known = list(keys())
    if "." not in word:
        last = get_close_matches(word.lower(), [dotted.rpartition(".")[2] for dotted in known], n=1, cutoff=0.7)
        same = [dotted for dotted in known if last and dotted.rpartition(".")[2] == last[0]]
        if same:
            return nearest(same[0], [next((key for key in same if key.startswith("optim.")), same[0])], cutoff=0)
    return nearest(word, known)


def _section_hint(dotted: str, known: dict[str, Any]) -> str:
    section = dotted.partition(".")[0]
    siblings = [name for name in known if name.startswith(section + ".")]
    return f" (known: {', '.join(siblings)})" if siblings else "; `tinytrain list keys` shows all"


def _checked(dotted: str, leaf: dataclasses.Field, value: Any, where: str) -> Any:
    kinds = typing.get_args(leaf.type) if typing.get_origin(leaf.type) in UNIONS else (leaf.type,)
    choices = [word for kind in kinds if typing.get_origin(kind) is Literal for word in typing.get_args(kind)]
    plain = [kind for kind in kinds if isinstance(kind, type)]
    if any(type(value) is type(word) and value == word for word in choices):
        return value
    if list[float] in kinds and type(value) is list and value and {type(item) for item in value} <= {int, float}:
        if len(value) > _LONGEST_LIST:
            raise UserError(f"{dotted}{where} has {len(value):,} numbers: expected at most {_LONGEST_LIST}")
        return [float(_in_range(dotted, leaf, item, where)) for item in value]
    if type(value) is int and float in plain:
        value = float(_in_range(dotted, leaf, value, where))
    if isinstance(value, str) and (len(value) > _LONGEST_TEXT or "\0" in value):
        raise UserError(
            f"{dotted} = {shown(value)}{where} is no text for it: expected at most {_LONGEST_TEXT:,} characters, no NUL"
        )
    if type(value) not in plain:
        names = [kind.__name__ for kind in plain] + ["a list of numbers"] * (list[float] in kinds)
        wanted = " or ".join(names + [repr(word) for word in choices])
        hint = nearest(value, [str(word) for word in choices]) if isinstance(value, str) else ""
        raise UserError(f"{dotted} = {shown(value)}{where} is not of its type: expected {wanted}{hint}")
    return _in_range(dotted, leaf, value, where)


def _in_range(dotted: str, leaf: dataclasses.Field, value: Any, where: str) -> Any:
    low, high = leaf.metadata["minimum"], leaf.metadata["maximum"]
    if type(value) in (int, float) and not low <= value <= high:  # nan is in no range
        raise UserError(f"{dotted} = {shown(value)}{where} is out of range: expected {_range(low, high)}")
    return value


def _range(low: float, high: float) -> str:
    return " to ".join(f"{int(end):,}" if end == int(end) else f"{end:g}" for end in (low, high))


def range_of(leaf: dataclasses.Field) -> str:
    """Returns "1 to 10,000" for a key that takes numbers, "" for one that takes none."""
    low, high = leaf.metadata["minimum"], leaf.metadata["maximum"]
    return "" if low is None else _range(low, high)
