"""The papers' tables: a file in configs/tables each, read and checked. Nothing here imports TensorFlow.

    title, paper, tables, claim    what it is: "003" and [4]; a list where settings and results stand in several
    base                           the config that all arms share, a path below configs/
    data                           the paper's datasets, by name; without it the base's
    columns, order                 what is compared (`table_columns`); the column that says which arm is better
    figures                        what is drawn beside the table: those of FIGURES
    ran                            at which scale we ran it last: "scale E,I; N seeds; DATA; commit C"; without it never
    [set]                          keys of a config, for every arm
    [arms."LABEL"]                 set: keys of its own; paper: {COLUMN: number}; base: another config;
                                   against: the arm that it is held against, without it the first one;
                                   datasets: those it is trained on, without it all
    [datasets.NAME]                set: keys on one of the datasets; base: a config that takes the place of the table's
                                   and the arm's keys there, of a transfer say

In strings {out}, {arm}, {data}, {first}, {model} and {seed} stand for the folder of all runs, the arm's name in it,
the dataset's, that of the first dataset, the architecture and the seed: {out}/teacher/{data}/seed{seed} is a run.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinytrain.config import load as configs
from tinytrain.config import plugins, toml_files
from tinytrain.config.schema import Config
from tinytrain.errors import UserError, unknown
from tinytrain.experiments.papers import columns as table_columns

KEYS = {
    *("title", "paper", "tables", "claim", "base", "data", "columns", "order", "figures"),
    *("ran", "set", "arms", "datasets"),
}
ARM_KEYS = {"set", "paper", "base", "against", "datasets"}
STEP_KEYS = {"set", "base"}
RAN = re.compile(r"scale [\d.]+(,[\d.]+)?; (1 seed|\d+ seeds); [^;]+; commit [0-9a-f]{7,40}")
FIGURES = ("accuracy", "rates", "mixup", "classes")  # functions of figures.py, which imports TensorFlow


@dataclass(frozen=True)
class Step:
    """What is trained on one dataset: another config than the table's (""), and keys beside it."""

    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One row: its label, its keys, the paper's figures by column, the label of the arm it is held against.

    datasets: the paper's names of those that it is trained on; none means all.
    """

    label: str
    base: str
    settings: Mapping[str, Any]
    paper: Mapping[str, float]
    against: str
    datasets: list[str]

    @property
    def folder(self) -> str:
        """What its runs are called on the disk."""
        return re.sub(r"[^\w.+-]+", "_", self.label).strip("_")


@dataclass(frozen=True)
class Table:
    """One experiment of a paper, as its file holds it."""

    path: Path
    title: str
    paper: str
    numbers: list[int]
    claim: str
    base: str
    data: list[str]
    columns: list[table_columns.Column]
    order: str
    figures: list[str]
    settings: Mapping[str, Any]
    arms: list[Arm]
    steps: Mapping[str, Step]
    ran: str = ""

    @property
    def name(self) -> str:
        """The word that means it on the command line."""
        return self.path.stem.replace("_", "-")

    @property
    def heading(self) -> str:
        """Paper, numbers and title."""
        several = len(self.numbers) > 1
        return f"Seed {self.paper}, {'Tables' if several else 'Table'} {_spoken(self.numbers)}: {self.title}"


def folder() -> Path:
    """Returns the folder of the table files."""
    return plugins.data_folder("configs") / "tables"


def names() -> dict[str, Path]:
    """Returns {word: file}: seed003-table4 for each of the tables that a file holds."""
    return {
        f"seed{table.paper}-table{number}": table.path
        for path in sorted(folder().glob("*.toml"))
        for table in [load_file(path)]
        for number in table.numbers
    }


def load(word: str) -> Table:
    """Returns the table that "seed003-table4", "003/4" or a path means; raises UserError with the nearest name."""
    if word.endswith(".toml"):
        return load_file(Path(word))
    known = names()
    short = re.fullmatch(r"(?:seed)?(\d{1,3})[-_/ ](?:table)?[-_ ]?(\d+)", word.lower())
    name = f"seed{int(short[1]):03d}-table{short[2]}" if short else word
    if name not in known:
        raise unknown("table", name, known)
    return load_file(known[name])


def load_file(path: Path) -> Table:
    """Returns the table of one file; raises UserError for what is missing, unknown or of no use."""
    found = toml_files.read(path, "table")
    _refuse_unknown(path, found, KEYS, "key of a table")
    if missing := {"title", "paper", "tables", "base", "columns", "arms"} - set(found):
        raise UserError(f"'{path}' is no table of a paper: it lacks {', '.join(sorted(missing))}")
    columns = [table_columns.parse(word, path) for word in found["columns"]]
    arms = [_arm(path, label, values, next(iter(found["arms"])), columns) for label, values in found["arms"].items()]
    for arm in arms:
        if arm.against not in found["arms"]:
            raise unknown(f"arm in '{path}'", arm.against, found["arms"])
    _refuse_mistakes(path, found)
    steps = {
        name: Step(step.get("base", ""), dict(toml_files.flat(step.get("set", {}))))
        for name, step in found.get("datasets", {}).items()
    }
    return Table(
        path,
        found["title"],
        found["paper"],
        found["tables"],
        found.get("claim", ""),
        found["base"],
        found.get("data", []),
        columns,
        found.get("order", columns[0].word),
        found.get("figures", []),
        dict(toml_files.flat(found.get("set", {}))),
        arms,
        steps,
        found.get("ran", ""),
    )


def _refuse_mistakes(path: Path, found: dict[str, Any]) -> None:
    """Raises UserError for an order, a figure, numbers or datasets that nothing could be made of."""
    order = found.get("order", found["columns"][0])
    if order not in found["columns"]:
        raise unknown(f"column in the order of '{path}'", order, found["columns"])
    for name in found.get("figures", []):
        if name not in FIGURES:
            raise unknown(f"figure in '{path}'", name, FIGURES)
    ran = found.get("ran")
    if ran is not None and not (isinstance(ran, str) and RAN.fullmatch(ran)):
        raise UserError(
            f"'{path}' has ran = {ran!r}: expected such as \"scale 0.5,0.1; 1 seed; CIFAR-10; commit 500ea18\""
        )
    numbers = found["tables"]
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise UserError(f"'{path}' has tables = {numbers!r}: expected a list of numbers, such as [4]")
    for name, step in found.get("datasets", {}).items():
        if name not in found.get("data", [name]):
            raise unknown(f"dataset in '{path}'", name, found["data"])
        _refuse_unknown(path, step, STEP_KEYS, f"key of the dataset {name}")


def config_of(table: Table, arm: Arm, spec: str, dataset: str, places: Mapping[str, str], seed: int) -> Config:
    """Returns the config, at full size, of an arm on the data `spec` that stands for the paper's `dataset`.

    places: what {out}, {arm}, {data} and {first} stand for. data.split is of the paper's own data only: what stands in
    place of it is split as it comes.
    """
    step = table.steps.get(dataset, Step())
    own = _loaded(arm.base or table.base, {})
    settings = {**table.settings, **arm.settings}
    places = {**places, "model": settings.get("model.name", own.model.name), "seed": str(seed)}
    config = _loaded(step.base, places) if step.base else own
    for dotted, value in {**({} if step.base else settings), **step.settings}.items():
        configs.set_key(config, dotted, _filled(value, places), where=f" in {table.path}")
    config.seed, config.data.spec = seed, spec
    if not stands_for_itself(spec, dataset):
        config.data.split = "auto"
    return configs.apply(config, [])


def stands_for_itself(spec: str, dataset: str) -> bool:
    """Returns whether the data `spec` is the paper's own `dataset`."""
    return spec.partition(":")[0] == dataset


def every_config(table: Table) -> Iterator[tuple[Arm, Config]]:
    """Yields every arm on each of its datasets, the paper's own, with its config at full size and seed 0."""
    datasets = papers_data(table)
    for arm in table.arms:
        for dataset in arm.datasets or datasets:
            places = {"out": "", "arm": arm.folder, "data": dataset, "first": datasets[0]}
            yield arm, config_of(table, arm, dataset, dataset, places, 0)


def begins_from_the_first(table: Table) -> bool:
    """Returns whether runs on other datasets begin from what was trained on the first one."""
    return any("{first}" in str(value) for step in table.steps.values() for value in step.settings.values())


def papers_data(table: Table) -> list[str]:
    """Returns the names of the paper's datasets."""
    return table.data or [_loaded(table.base, {}).data.spec]


def batch(table: Table) -> int:
    """Returns the images a step of the table's base."""
    config = _loaded(table.base, {})
    for dotted, value in table.settings.items():
        configs.set_key(config, dotted, value)
    return config.optim.batch


def varied(table: Table) -> set[str]:
    """Returns the keys in which arms or datasets differ, which no word may set for all of them."""
    found = [dict(toml_files.flat(dataclasses.asdict(config))) for _, config in every_config(table)]
    return {dotted for dotted in found[0] if any(other[dotted] != found[0][dotted] for other in found)}


def _loaded(base: str, places: Mapping[str, str]) -> Config:
    return configs.load(plugins.data_folder("configs") / _filled(base, places))


def _filled(value: Any, places: Mapping[str, str]) -> Any:
    """Returns a string with its {places} filled in, any other value as it is."""
    if not isinstance(value, str):
        return value
    for word, text in places.items():
        value = value.replace(f"{{{word}}}", text)
    return value


def _arm(path: Path, label: str, values: dict, first: str, columns: list[table_columns.Column]) -> Arm:
    _refuse_unknown(path, values, ARM_KEYS, f"key of the arm '{label}'")
    paper = values.get("paper", {})
    _refuse_unknown(path, paper, {column.word for column in columns}, f"column of the arm '{label}'")
    settings = dict(toml_files.flat(values.get("set", {})))
    against, datasets = values.get("against", first), values.get("datasets", [])
    return Arm(label, values.get("base", ""), settings, paper, against, datasets)


def _refuse_unknown(path: Path, found: Mapping[str, Any], known: set[str], what: str) -> None:
    for word in found:
        if word not in known:
            raise UserError(f"'{path}': {unknown(what, word, known)}")


def _spoken(numbers: list[int]) -> str:
    runs = numbers == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 2
    return f"{numbers[0]} to {numbers[-1]}" if runs else " and ".join(map(str, numbers))
