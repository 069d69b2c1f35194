"""`tinytrain reproduce`: a table of one of the papers, trained as `compare` trains, beside the paper's figures.

A table of what networks cost (Table.trains is false) is measured without a training: experiments/papers/deployed.py.

Every arm of the table's file is trained on every dataset with every seed in OUT/ARM/DATA/seedK, all runs with seed 0
first, so that tables compare like with like from early on. The same command, run again, continues.
"""

import copy
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytrain.config import box_formats, dataset_catalog
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data import splits
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset, counted
from tinytrain.errors import UserError
from tinytrain.experiments import budget as budgets
from tinytrain.experiments import forecast, runs
from tinytrain.experiments.papers import charts, deployed, order, results, scaling, tables
from tinytrain.experiments.papers.reproduction import Reproduction
from tinytrain.experiments.papers.tables import Table
from tinytrain.experiments.planned import Planned


@dataclass(frozen=True)
class Assignment:
    """One of the paper's datasets, the SPEC that stands for it and what that is called."""

    dataset: str
    spec: str

    @property
    def name(self) -> str:
        """What its folders are called."""
        return runs.data_name(self.spec)


def reproduce(
    table_name: str,
    data: list[str] | None = None,
    scale: str | float | None = None,
    seeds: int = 1,
    out: Path | str | None = None,
    overrides: list[str] | None = None,
    batch: int | None = None,
    dry_run: bool = False,
    budget: str = budgets.EPOCHS,
    arms: list[str] | None = None,
    teacher: str | None = None,
) -> tuple[dict[str, Any], str]:
    """Trains the arms of the table and returns (result, the table in Markdown).

    Args:
        table_name: its name (seed003-table4, 003/4) or the path of a table's file.
        data: SPECs that replace the paper's datasets: by name where a name is the same, else in order.
        scale: the share of the work, such as 0.1, from fewer epochs and narrower networks on all images; or shares of
            the epochs and of the training images, "0.2,0.05", or three with that of the resolution; by default all.
        seeds: 0 … `seeds` − 1.
        out: the folder of the runs, of results.csv (a row a run), table.csv, table.md and figures/.
        overrides: KEY=VALUE words for every arm; keys of data are set before the scale, others after it. Keys that
            the arms differ in are refused.
        batch: images per step of the table's base, at least 8, None as in the paper; the batches of the arms and their
            rates change in the same proportion.
        budget: as in `compare`.
        arms: only those whose label begins with one of these words, and what they need (`tables.only`).
        teacher: a run or .keras file that teaches in place of the networks that the table trains for it. "{seed}" in
            it stands for the seed of the student.
        dry_run: train and write nothing, and return what would be trained instead (`forecast.of_plan`).

    The result is {"table", "out", "rows" as experiments/papers/results.py gives them, "comparisons" as order.py does,
    "figures": their paths}.

    Of a table that trains nothing it is what `deployed.reproduce` returns.

    Raises UserError as `compare.compare` does, before anything is trained.
    """
    shares, overrides = scaling.parse(scale), list(overrides or [])
    table = tables.load(table_name)
    out = Path(out) if out else Path("reproduce") / table.name
    if not table.trains:
        _refuse_all(
            table,
            {
                "--data": data,
                "--scale": scale,
                "--batch": batch,
                "--seeds": seeds != 1,
                "--budget": budget != "epochs",
                "--arms": arms,
                "--teacher": teacher,
                "--dry-run": dry_run,
                ", ".join(overrides): overrides,
            },
        )
        return deployed.reproduce(table, out, f"tinytrain reproduce {shlex.join([table_name, '--out', str(out)])}")
    if teacher:
        table = tables.taught_by(table, _existing(teacher, seeds))
    whole = table
    if arms:
        table = tables.only(table, arms)
    _refuse_overrides(table, overrides, seeds, batch)
    assignments = assign(table, data)
    if shares.width < 1 and _begins_from_published(table, overrides):
        shares = shares.at_full_width()
    plan, papers = _plan(table, assignments, shares, seeds, out.absolute(), overrides, batch)
    plan, of_budget = budgets.applied(budget, plan, out, write=not dry_run)
    if dry_run:
        return forecast.of_plan(plan, out)
    command = _command(table_name, data, shares, seeds, out, overrides, batch, budget, arms, teacher)
    left_out = [arm.label for arm in whole.arms if arm not in table.arms]
    stated = [f"Arms left out: {'; '.join(left_out)}."] if left_out else []
    stated += [f"`{teacher}` teaches."] if teacher else []
    stated += [*_stated(table, assignments, shares, overrides, batch), *filter(None, [of_budget]), f"`{command}`"]
    datasets = {assignment.name: assignment.dataset for assignment in assignments}
    settings: dict[str, Any] = {
        "command": command,
        "scale": "1" if shares.full else shares.text,
        "data": list(datasets),
    }
    settings |= {"seeds": seeds, "budget": budget, "planned": len(plan)}
    reproduced = results.Results(out, Reproduction(table, [], papers, datasets), stated, settings)
    try:
        runs.train_all(plan, out / "table.md", reproduced.update)
    finally:  # if some runs failed, the figures show the others
        drawn = charts.write(table, reproduced.reproduction.finished, out / "figures") if reproduced.runs else []
    result = {
        "table": table.name,
        "out": str(out),
        "rows": reproduced.rows,
        "comparisons": order.comparisons(reproduced.reproduction),
        "figures": list(map(str, drawn)),
    }
    return result, reproduced.text


def _existing(teacher: str, seeds: int) -> str:
    """Returns the absolute path of the teacher; raises UserError if there is none for one of the seeds."""
    for seed in range(seeds):
        path = Path(teacher.replace("{seed}", str(seed)))
        if not path.exists():
            raise UserError(f"--teacher: no '{path}': expected the folder of a run or a .keras file")
    return str(Path(teacher).absolute())


def _begins_from_published(table: Table, overrides: list[str]) -> bool:
    """Returns whether a network of the table begins from published weights, unless `overrides` say otherwise."""
    every = (configs.apply(config, overrides) for _, config in tables.every_config(table))
    return any(config.model.weights == "imagenet" for config in every)


def _refuse_all(table: Table, given: dict[str, Any]) -> None:
    """Raises UserError for words about trainings, {word: what was given}, where nothing is trained."""
    if refused := [word for word, value in given.items() if value]:
        raise UserError(f"{table.name} trains nothing, received {', '.join(refused)}: it takes only --out")


def assign(table: Table, data: list[str] | None) -> list[Assignment]:
    """Returns which SPEC stands for which of the paper's datasets: those of its name first, then in order.

    A SPEC with boxes stands for a dataset with boxes. Datasets of the paper that no SPEC is left for are left out.
    Raises UserError for more SPECs than datasets, if one is named twice, if one stands for none, if none is left for
    the one that networks are transferred from, and if no column could be filled.
    """
    datasets = tables.papers_data(table)
    if not data:
        return [Assignment(dataset, dataset) for dataset in datasets]
    if len(data) > len(datasets):
        raise UserError(
            f"{table.name} uses {counted(len(datasets), 'dataset')} of the paper ({', '.join(datasets)}), received "
            f"{len(data)} in --data: expected no more than that"
        )
    named = _named(data, datasets)
    others = [spec for spec in data if spec not in named.values()]
    specs = [(dataset, named.get(dataset) or _next_for(dataset, others)) for dataset in datasets]
    if others:
        raise UserError(
            f"{others[0]} cannot replace any of the datasets of {table.name}: expected data with boxes for "
            f"{_listed(datasets, True)}, with classes for {_listed(datasets, False)}"
        )
    if not specs[0][1] and tables.begins_from_the_first(table):
        raise UserError(
            f"{table.name} trains on {datasets[0]} first and transfers those networks: expected a SPEC for "
            f"{datasets[0]} first in --data, received {', '.join(data)}; {datasets[0]} itself will do if you have it"
        )
    assignments = [Assignment(dataset, spec) for dataset, spec in specs if spec]
    measured = [column.data for column in table.columns if column.measure.source]
    if not {"", *(assignment.dataset for assignment in assignments)}.intersection(measured):
        raise UserError(
            f"{table.name} compares what was measured on {', '.join(dict.fromkeys(measured))}, received "
            f"{', '.join(data)} in --data: expected a SPEC for one of these too"
        )
    return assignments


def _named(data: list[str], datasets: list[str]) -> dict[str, str]:
    """Returns {dataset: SPEC} for the SPECs that name one of `datasets`."""
    named: dict[str, str] = {}
    for spec in data:
        name = spec.partition(":")[0]
        if named.get(name, spec) != spec:
            raise UserError(f"--data names {name} twice, {named[name]} and {spec}: expected one SPEC for each")
        if name in datasets:
            named[name] = spec
    return named


def _next_for(dataset: str, specs: list[str]) -> str:
    """Takes the first of `specs` that can stand for a dataset of the paper, and returns it; "" if there is none.

    Boxes stand for boxes, and classes for classes; a csv may hold either.
    """
    fitting = (spec for spec in specs if spec.startswith("csv:") or _has_boxes(spec) == _has_boxes(dataset))
    if spec := next(fitting, ""):
        specs.remove(spec)
    return spec


def _has_boxes(spec: str) -> bool:
    name = spec.partition(":")[0]
    return name in box_formats.ORDER or bool(name in dataset_catalog.ROWS and dataset_catalog.ROWS[name].boxes)


def _listed(datasets: list[str], boxes: bool) -> str:
    return ", ".join(dataset for dataset in datasets if _has_boxes(dataset) == boxes) or "none"


def _refuse_overrides(table: Table, overrides: list[str], seeds: int, batch: int | None) -> None:
    if seeds < 1:
        raise UserError(f"reproduce trains with the seeds 0 to N - 1, received --seeds {seeds}: expected at least 1")
    if batch is not None and batch < scaling.LEAST_BATCH:
        raise UserError(
            f"received --batch {batch}: expected at least {scaling.LEAST_BATCH} images per step, since fewer give no "
            "useful batch statistics"
        )
    varied = tables.varied(table) if overrides else set()
    for override in overrides:
        dotted = configs.key_of(override)
        if dotted in ("seed", "data.spec"):
            raise UserError("reproduce sets seed and data.spec of every run: use --seeds N and --data SPEC instead")
        if dotted in varied:
            raise UserError(
                f"the arms or datasets of {table.name} differ in {dotted}: it cannot be the same for all of them"
            )


def _plan(
    table: Table,
    assignments: list[Assignment],
    scale: scaling.Scale,
    seeds: int,
    out: Path,
    overrides: list[str],
    batch: int | None,
) -> tuple[list[Planned], dict[Path, Config]]:
    """Returns all runs in the order in which they are trained, and by its folder the config of each at full size."""
    source_of = _sources()
    # Those of data come first: they say how many images there are to scale.
    about_data = [override for override in overrides if override.startswith("data.")]
    others = [override for override in overrides if override not in about_data]
    plan, papers = [], {}
    for seed in range(seeds):
        for arm in table.arms:
            for assignment in [
                assignment for assignment in assignments if not arm.datasets or assignment.dataset in arm.datasets
            ]:
                placeholders = {
                    "out": str(out),
                    "arm": arm.folder,
                    "data": assignment.name,
                    "first": assignments[0].name,
                }
                full_size = tables.config_of(table, arm, assignment.spec, assignment.dataset, placeholders, seed)
                unscaled = configs.apply(copy.deepcopy(full_size), about_data)
                config = _fitted(unscaled, assignment, scale, source_of(unscaled))
                folder = out / arm.folder / assignment.name / f"seed{seed}"
                papers[folder] = full_size
                if batch:
                    config = scaling.batched(config, batch / tables.batch(table))
                config = configs.apply(config, others)
                plan.append(Planned(arm.label, assignment.name, seed, config, folder, table.path, configs.keys()))
    runs.refuse_shared_folders(plan)
    return plan, papers


def _fitted(full_size: Config, assignment: Assignment, scale: scaling.Scale, source: Dataset) -> Config:
    """Returns `whole` at `scale`; other images than the paper's are not enlarged."""
    base = "train" if "train" in source.image_sets else "all"
    subsets = splits.draw(source, full_size.data, splits.seed(full_size))
    val_images = len(subsets["val"].indices) if subsets["val"].image_set == base else 0
    config = scaling.scaled(full_size, scale, len(subsets["train"].indices), val_images, len(source.classes))
    if (
        not tables.stands_for_itself(assignment.spec, assignment.dataset)
        and source.side
        and config.model.resolution != "auto"
    ):
        scaling.shrink(config, min(int(config.model.resolution), source.side))
    return config


def _sources() -> Callable[[Config], Dataset]:
    """Returns `load_dataset` that remembers what it has read."""
    known: dict[tuple[str, str], Dataset] = {}

    def load(config: Config) -> Dataset:
        key = (config.data.spec, config.data.split)
        if key not in known:
            known[key] = load_dataset(config)
        return known[key]

    return load


def _stated(
    table: Table, assignments: list[Assignment], scale: scaling.Scale, overrides: list[str], batch: int | None
) -> list[str]:
    """Returns sentences on how this experiment differs from the paper's."""
    lines = []
    if scale.width < 1:
        parts = f"{scale.epochs:.2g} of the epochs and {scale.width:.2g} of the width, on all images"
        lines.append(f"Scaled to about {scale.work:g} of the work: {parts}.")
    elif not scale.full:
        smaller = f", at {scale.resolution:g} of the resolution" if scale.resolution < 1 else ""
        lines.append(f"Scaled: {scale.epochs:g} of the epochs and {scale.images:g} of the training images{smaller}.")
    others = [
        assignment for assignment in assignments if not tables.stands_for_itself(assignment.spec, assignment.dataset)
    ]
    lines += [f"`{assignment.spec}` replaces the paper's {assignment.dataset}." for assignment in others]
    absent = set(tables.papers_data(table)) - {assignment.dataset for assignment in assignments}
    if absent:
        lines.append(f"Not trained on: {', '.join(sorted(absent))}.")
    if batch:
        lines.append(f"Batches of {batch} instead of {tables.batch(table)}, with sgd's rates in proportion.")
    trained_on = {"", *(assignment.dataset for assignment in assignments)}
    notes = [column.measure.note for column in table.columns if column.data in trained_on and column.measure.note]
    lines += dict.fromkeys(notes)
    if overrides:
        lines.append(f"Set for every arm: `{shlex.join(overrides)}`.")
    return lines


def _command(
    table_name: str,
    data: list[str] | None,
    scale: scaling.Scale,
    seeds: int,
    out: Path,
    overrides: list[str],
    batch: int | None,
    budget: str,
    arms: list[str] | None,
    teacher: str | None,
) -> str:
    flags = ["--data", ",".join(data)] if data else []
    flags += ["--arms", ",".join(arms)] if arms else []
    flags += ["--teacher", teacher] if teacher else []
    flags += ["--batch", str(batch)] if batch else []
    flags += [] if scale.full else ["--scale", scale.text]
    flags += [] if budget == budgets.EPOCHS else ["--budget", budget]
    return (
        f"tinytrain reproduce {shlex.join([table_name, *flags, '--seeds', str(seeds), '--out', str(out), *overrides])}"
    )
