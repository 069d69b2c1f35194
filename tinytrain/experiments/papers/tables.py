"""The papers' tables: each is a file in configs/tables, read and checked here. TensorFlow is not imported.

    title, paper, tables, claim    the paper "003" and its tables [4]; several if settings and results stand apart
    figure                         in place of tables: the number of a figure
    base                           the config that all arms share, a path below configs/
    data                           the names of the paper's datasets; by default the dataset of the base
    columns, order                 what is compared (see columns.py); the column that says which arm is better
    figures                        the charts drawn beside the table, of FIGURES
    ran                            how we ran it: a list of "scale S; N seeds; DATA; commit C", with "; equal time"
                                   behind DATA for --budget time; where nothing is trained of "MACHINE; commit C"
    [set]                          keys of a config, for every arm
    [arms."LABEL"]                 set: keys of its own; paper: {COLUMN: number}; base: another config;
                                   against: the arm it is compared to, by default the first one;
                                   datasets: those it is trained on, by default all;
                                   resolutions: it is trained at each of them, as a curve of the figure "macs";
                                   curve: the label that it shares with arms of other lengths, in the figure "epochs"
    [datasets.NAME]                set: keys for one of the datasets; base: a config that replaces that of the table
                                   and of the arm on this dataset, for a transfer for example

Strings may hold {out}, {arm}, {data}, {first}, {model} and {seed}: the folder of all runs, the names of the arm's and
of the dataset's folders in it, the name of the first dataset, the architecture and the seed. A run is in
{out}/{arm}/{data}/seed{seed}.
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
from tinytrain.experiments.papers import curves

KEYS = {
    *("title", "paper", "tables", "figure", "claim", "base", "data", "columns", "order", "figures"),
    *("ran", "set", "arms", "datasets"),
}
ARM_KEYS = {"set", "paper", "base", "against", "datasets", "curve"}
DATASET_KEYS = {"set", "base"}
RAN = re.compile(
    r"(scale [\d.]+(,[\d.]+){0,2}; (1 seed|\d+ seeds); )?[^;]+(; equal time)?; commit [0-9a-f]{7,40}(, [0-9a-f]{7,40})*"
)
RUNTIME = "openvino"  # that the papers' networks run in on a CPU
FIGURES = (
    "accuracy",
    "gap",
    "epochs",
    "bars",
    "rates",
    "mixup",
    "classes",
    "macs",
)  # functions in charts.py, which imports TensorFlow


@dataclass(frozen=True)
class DatasetSettings:
    """What differs on one dataset: a config in place of the table's ("" for none), and keys."""

    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One arm of the experiment.

    Attributes:
        label: its name in the table.
        base: a config in place of the table's, "" for none.
        settings: {key of a config: value}.
        paper: {column: the paper's figure}.
        against: the label of the arm that it is compared to.
        datasets: the paper's names of the datasets that it is trained on; empty for all.
        curve: the label that it shares with itself at other resolutions or of other lengths, "" for none.
    """

    label: str
    base: str
    settings: Mapping[str, Any]
    paper: Mapping[str, float]
    against: str
    datasets: list[str]
    curve: str = ""

    @property
    def folder(self) -> str:
        """The name of the folder of its runs."""
        return re.sub(r"[^\w.+-]+", "_", self.label).strip("_")


@dataclass(frozen=True)
class Table:
    """One experiment of a paper; the attributes are the keys of its file, see the module's docstring."""

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
    dataset_settings: Mapping[str, DatasetSettings]
    ran: list[str] = field(default_factory=list)
    figure: int = 0

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.path.stem.replace("_", "-")

    @property
    def trains(self) -> bool:
        """Whether its figures are of trained networks; else nothing is trained for it, and deployed.py measures it."""
        return not any(column.measure.of_network for column in self.columns)

    @property
    def heading(self) -> str:
        """Paper, numbers and title in words."""
        if self.figure:
            return f"Paper {self.paper}, Figure {self.figure}: {self.title}"
        several = len(self.numbers) > 1
        return f"Paper {self.paper}, {'Tables' if several else 'Table'} {_in_words(self.numbers)}: {self.title}"


def folder() -> Path:
    """Returns the folder of the table files."""
    return plugins.data_folder("configs") / "tables"


def names() -> dict[str, Path]:
    """Returns {name such as "seed003-table4": file} of all tables; a file may hold several, or a part of one."""
    files = [load_file(path) for path in sorted(folder().glob("*.toml"))]
    own = {table.name: table.path for table in files}
    others = {f"seed{table.paper}-table{number}": table.path for table in files for number in table.numbers}
    return {name: path for name, path in others.items() if name not in own} | own


def load(name_or_path: str) -> Table:
    """Returns the table that "seed003-table4", "003/4" or a path means; raises UserError with the nearest name."""
    if name_or_path.endswith(".toml"):
        return load_file(Path(name_or_path))
    known = names()
    match = re.fullmatch(r"(?:seed)?(\d{1,3})[-_/ ](?:table)?[-_ ]?(\d+)", name_or_path.lower())
    name = f"seed{int(match[1]):03d}-table{match[2]}" if match else name_or_path
    if name not in known:
        raise unknown("table", name, known)
    return load_file(known[name])


def load_file(path: Path) -> Table:
    """Returns the table in a file; raises UserError for keys that are missing, unknown or invalid."""
    content = toml_files.read(path, "table")
    _refuse_unknown(path, content, KEYS, "key of a table")
    numbered = {"figure" if "figure" in content else "tables"}
    if missing := ({"title", "paper", "base", "columns", "arms"} | numbered) - set(content):
        raise UserError(f"'{path}' is not a table of a paper: it lacks {', '.join(sorted(missing))}")
    content["arms"] = curves.expanded(content["arms"])
    columns = [table_columns.parse(name, path) for name in content["columns"]]
    if len({column.measure.of_network for column in columns}) > 1:
        raise UserError(f"'{path}' has columns of trained and of untrained networks: expected one kind")
    arms = [
        _arm(path, label, values, next(iter(content["arms"])), columns) for label, values in content["arms"].items()
    ]
    for arm in arms:
        if arm.against not in content["arms"]:
            raise unknown(f"arm in '{path}'", arm.against, content["arms"])
    _refuse_mistakes(path, content)
    dataset_settings = {
        name: DatasetSettings(values.get("base", ""), dict(toml_files.flat(values.get("set", {}))))
        for name, values in content.get("datasets", {}).items()
    }
    return Table(
        path,
        content["title"],
        content["paper"],
        content.get("tables", []),
        content.get("claim", ""),
        content["base"],
        content.get("data", []),
        columns,
        content.get("order", columns[0].name),
        content.get("figures", []),
        dict(toml_files.flat(content.get("set", {}))),
        arms,
        dataset_settings,
        content.get("ran", []),
        content.get("figure", 0),
    )


def _refuse_mistakes(path: Path, content: dict[str, Any]) -> None:
    """Raises UserError for an invalid order, figure, "ran", list of numbers or dataset."""
    order = content.get("order", content["columns"][0])
    if order not in content["columns"]:
        raise unknown(f"column in the order of '{path}'", order, content["columns"])
    for name in content.get("figures", []):
        if name not in FIGURES:
            raise unknown(f"figure in '{path}'", name, FIGURES)
    ran = content.get("ran", [])
    if not isinstance(ran, list) or not all(isinstance(one, str) and RAN.fullmatch(one) for one in ran):
        raise UserError(
            f"'{path}' has ran = {ran!r}: expected a list such as [\"scale 0.5,0.1; 1 seed; cifar10; commit 500ea18\"]"
        )
    numbers = content.get("tables", [])
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise UserError(f"'{path}' has tables = {numbers!r}: expected a list of numbers, such as [4]")
    for name, values in content.get("datasets", {}).items():
        if name not in content.get("data", [name]):
            raise unknown(f"dataset in '{path}'", name, content["data"])
        _refuse_unknown(path, values, DATASET_KEYS, f"key of the dataset {name}")


def config_of(table: Table, arm: Arm, spec: str, dataset: str, placeholders: Mapping[str, str], seed: int) -> Config:
    """Returns the config of a run at full size.

    The table's data.split holds for the paper's own dataset only; other data gets "auto", unless it is "shuffled".

    Args:
        table: the table.
        arm: one of its arms.
        spec: the data to train on.
        dataset: the name of the paper's dataset that `spec` stands for.
        placeholders: {"out", "arm", "data", "first"}: text.
        seed: of the run.
    """
    on_dataset = table.dataset_settings.get(dataset, DatasetSettings())
    arm_config = _loaded(arm.base or table.base, {})
    settings = {**table.settings, **arm.settings}
    model = settings.get("model.name", arm_config.model.name)
    placeholders = {**placeholders, "model": model, "seed": str(seed)}
    config = _loaded(on_dataset.base, placeholders) if on_dataset.base else arm_config
    for dotted, value in {**({} if on_dataset.base else settings), **on_dataset.settings}.items():
        configs.set_key(config, dotted, _filled(value, placeholders), where=f" in {table.path}")
    config.seed, config.data.spec = seed, spec
    if not stands_for_itself(spec, dataset) and config.data.split != "shuffled":
        config.data.split = "auto"
    return configs.apply(config, [])


def stands_for_itself(spec: str, dataset: str) -> bool:
    """Returns whether the data `spec` is the paper's own `dataset`."""
    return spec.partition(":")[0] == dataset


def only(table: Table, words: list[str]) -> Table:
    """Returns the table with some of its arms, and with those that they are compared to or learn from.

    Args:
        table: the table.
        words: an arm is taken if its label or its folder begins with one of them, in capitals or not.

    Raises:
        UserError: no label begins with one of the words.
    """
    taken: list[Arm] = []
    for word in words:
        beginning = word.strip().lower()
        found = [
            arm
            for arm in table.arms
            if beginning in (arm.label[: len(beginning)].lower(), arm.folder[: len(beginning)].lower())
        ]
        if not word.strip() or not found:
            labels = "; ".join(arm.label for arm in table.arms)
            raise UserError(f"no arm of {table.name} begins with '{word}': expected the beginning of one of {labels}")
        taken += found
    for arm in taken:  # grows meanwhile: what a teacher learns from is taken, too
        settings = " ".join(map(str, arm.settings.values()))
        for other in table.arms:
            is_compared_to = other.label == arm.against and other.paper
            if other not in taken and (is_compared_to or f"{{out}}/{other.folder}/" in settings):
                taken.append(other)
    return dataclasses.replace(table, arms=[arm for arm in table.arms if arm in taken])


def taught_by(table: Table, teacher: str) -> Table:
    """Returns the table with `teacher` in place of the networks that it trains only to teach others.

    Args:
        table: the table.
        teacher: for distill.teacher; "{seed}" stands for the seed of the student.

    Raises:
        UserError: no arm of the table is taught.
    """
    key = "distill.teacher"
    own = {arm.settings[key] for arm in table.arms if key in arm.settings}
    if not own:
        raise UserError(f"no arm of {table.name} learns from a teacher, received --teacher {teacher}: leave it out")
    arms = [
        dataclasses.replace(arm, settings={**arm.settings, key: teacher}) if key in arm.settings else arm
        for arm in table.arms
        if arm.paper or not any(f"{{out}}/{arm.folder}/" in path for path in own)
    ]
    return dataclasses.replace(table, arms=arms)


def every_config(table: Table) -> Iterator[tuple[Arm, Config]]:
    """Yields (arm, config at full size with seed 0) for every arm on each of the paper's datasets it is trained on."""
    datasets = papers_data(table)
    for arm in table.arms:
        for dataset in arm.datasets or datasets:
            placeholders = {"out": "", "arm": arm.folder, "data": dataset, "first": datasets[0]}
            yield arm, config_of(table, arm, dataset, dataset, placeholders, 0)


def begins_from_the_first(table: Table) -> bool:
    """Returns whether runs on other datasets start from a network trained on the first one."""
    first = papers_data(table)[0]
    elsewhere = [arm.settings for arm in table.arms if arm.datasets and first not in arm.datasets]
    elsewhere += [changes.settings for changes in table.dataset_settings.values()]
    return any("{first}" in str(value) for settings in elsewhere for value in settings.values())


def papers_data(table: Table) -> list[str]:
    """Returns the names of the paper's datasets."""
    return table.data or [_loaded(table.base, {}).data.spec]


def batch(table: Table) -> int:
    """Returns the batch size that all arms share."""
    config = _loaded(table.base, {})
    for dotted, value in table.settings.items():
        configs.set_key(config, dotted, value)
    return config.optim.batch


def varied(table: Table) -> set[str]:
    """Returns the keys in which arms or datasets differ, so that no override may set them for all."""
    first, *others = [dict(toml_files.flat(dataclasses.asdict(config))) for _, config in every_config(table)]
    return {dotted for dotted in first if any(other[dotted] != first[dotted] for other in others)}


def _loaded(base: str, placeholders: Mapping[str, str]) -> Config:
    return configs.load(plugins.data_folder("configs") / _filled(base, placeholders))


def _filled(value: Any, placeholders: Mapping[str, str]) -> Any:
    """Returns a string with its {placeholders} filled in, any other value as it is."""
    if not isinstance(value, str):
        return value
    for name, text in placeholders.items():
        value = value.replace(f"{{{name}}}", text)
    return value


def _arm(path: Path, label: str, values: dict, first: str, columns: list[table_columns.Column]) -> Arm:
    _refuse_unknown(path, values, ARM_KEYS, f"key of the arm '{label}'")
    paper = values.get("paper", {})
    _refuse_unknown(path, paper, {column.name for column in columns}, f"column of the arm '{label}'")
    settings = dict(toml_files.flat(values.get("set", {})))
    against, datasets = values.get("against", first), values.get("datasets", [])
    return Arm(label, values.get("base", ""), settings, paper, against, datasets, values.get("curve", ""))


def _refuse_unknown(path: Path, content: Mapping[str, Any], known: set[str], kind: str) -> None:
    for key in content:
        if key not in known:
            raise UserError(f"'{path}': {unknown(kind, key, known)}")


def _in_words(numbers: list[int]) -> str:
    """Returns "4", "4 and 6" or "4 to 6"."""
    is_range = numbers == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 2
    return f"{numbers[0]} to {numbers[-1]}" if is_range else " and ".join(map(str, numbers))
