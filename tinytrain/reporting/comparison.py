"""Compares several runs: their key figures side by side, and the keys in which their configs differ."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinytrain.config import load as configs
from tinytrain.reporting import facts
from tinytrain.reporting.facts import margin, percent
from tinytrain.reporting.runs import Export, Subject

MOST_COLUMNS = 5  # runs at most that get a column each; more runs get a row each


@dataclass(frozen=True)
class Cell:
    """A formatted figure, and whether it is the best one."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Column:
    """One figure of every run.

    Attributes:
        name: of the figure.
        values: one for each run, None if unknown.
        format: a function that formats a value.
        more_is_better: None for a figure that is neither.
        images: for a share of images, the number of images of each run, None where that is unknown.
    """

    name: str
    values: list[Any]
    format: Callable[[Any], str]
    more_is_better: bool | None = None
    images: list[int | None] | None = None

    def cells(self) -> list[Cell]:
        """Returns the cells of all runs, with the best one marked.

        None is marked if all are equal, or if a share of images leads by no more than chance explains.
        """
        known = [value for value in self.values if value is not None]
        best = None
        if self.more_is_better is not None and len(set(known)) > 1:
            best = max(known) if self.more_is_better else min(known)
        if best is not None and self.images and not self._beyond_chance(best):
            best = None
        return [
            Cell("–" if value is None else self.format(value), best is not None and value == best)
            for value in self.values
        ]

    def _beyond_chance(self, best: float) -> bool:
        """Returns whether the difference of the two best shares exceeds its 95 % interval.

        The shares count as independent. Both models mostly saw the same images, so this errs on the safe side.
        """
        counts = zip(self.values, self.images or [], strict=True)
        shares = sorted(((value, images) for value, images in counts if value is not None), reverse=True)
        if not all(images for _, images in shares):
            return False
        margins = [margin(value, images or 0) for value, images in shares[:2]]
        return best - shares[1][0] > math.hypot(*margins)


@dataclass(frozen=True)
class Table:
    """A table of cells with a name before each row."""

    header: list[str]
    rows: list[tuple[str, list[Cell]]]


def key_figures(subjects: list[Subject]) -> Table:
    """Returns the figures to choose a run by, with a column for each run, or a row for each if there are many.

    The best value of each figure is marked. An accuracy is marked only if all runs have the same data, and only if it
    leads by more than the chance of its test images. One run each does not show how much another seed would change it.
    """
    same_data = len({subject.config.data.spec for subject in subjects}) == 1
    columns = [column for column in _columns(subjects, same_data) if any(value is not None for value in column.values)]
    names = [subject.name for subject in subjects]
    if len(subjects) <= MOST_COLUMNS:
        return Table(["", *names], [(column.name, column.cells()) for column in columns])
    cells = [column.cells() for column in columns]
    rows = [(name, [column[number] for column in cells]) for number, name in enumerate(names)]
    return Table(["run", *(column.name for column in columns)], rows)


def _columns(subjects: list[Subject], same_data: bool) -> list[Column]:
    exports = [subject.exports[0] if subject.exports else None for subject in subjects]
    tests = [subject.metrics.get("test", {}) for subject in subjects]
    more_is_better, images = True if same_data else None, [test.get("images") for test in tests]
    label = facts.figure(subjects[0]).label
    return [
        Column(
            f"{label} int8",
            [facts.int8_score(export) if export else None for export in exports],
            percent,
            more_is_better,
            images,
        ),
        Column(
            f"{label} float, fine-tuned",
            [facts.finetuned_score(export) if export else None for export in exports],
            percent,
            more_is_better,
            images,
        ),
        Column(f"{label} float", [facts.float_score(subject) for subject in subjects], percent, more_is_better, images),
        Column("macro F1", [test.get("macro_f1") for test in tests], percent),
        *_board_columns(exports),
        Column("parameters", [subject.metrics.get("params") for subject in subjects], "{:,}".format, False),
        Column("MACs", [subject.metrics.get("macs") for subject in subjects], "{:,}".format, False),
        Column("epochs", [len(subject.history) or None for subject in subjects], "{:,}".format),
        Column("training", [facts.training_seconds(subject) for subject in subjects], facts.duration),
        Column("model", [subject.config.model.name for subject in subjects], str),
        Column("method", [subject.config.method or "plain" for subject in subjects], str),
        Column("test images", images, "{:,}".format),
        Column("data", [subject.config.data.spec for subject in subjects], str),
    ]


def _board_columns(exports: list[Export | None]) -> list[Column]:
    memories = [facts.memory(export) if export else {} for export in exports]
    latencies = [facts.latency(export) if export else None for export in exports]
    return [
        Column("board", [export.report.get("board") if export else None for export in exports], str),
        Column("fits", [export.report.get("fits") if export else None for export in exports], _yes_or_no),
        Column("latency", [latency.ms if latency else None for latency in latencies], _milliseconds, False),
        Column("RAM", [memory.get("ram_bytes") for memory in memories], _kib, False),
        Column("flash", [memory.get("flash_bytes") for memory in memories], _kib, False),
    ]


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "NO"


def _kib(value: int) -> str:
    return f"{value / 1024:,.0f} KiB"


def differences(subjects: list[Subject]) -> Table:
    """Returns a row for each key of the config whose values differ, with a column for each run."""
    rows = []
    for dotted in [*configs.keys()]:
        values = [configs.get_key(subject.config, dotted) for subject in subjects]
        if any(value != values[0] for value in values):
            rows.append((dotted, [Cell(as_written(value)) for value in values]))
    return Table(["key", *(subject.name for subject in subjects)], rows)


def as_written(value: Any) -> str:
    """Returns the value of a key as a config file writes it, with "" for an empty string."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'


def _milliseconds(value: float) -> str:
    """Returns a time without tenths where it has hundreds: most are predicted, and not so exact."""
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms"
