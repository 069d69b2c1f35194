"""Several runs side by side: their key figures, and the keys in which their configs differ."""

import math
from dataclasses import dataclass
from typing import Any

from tinytrain.config import load as configs
from tinytrain.reporting import facts
from tinytrain.reporting.facts import percent
from tinytrain.reporting.mistakes import margin
from tinytrain.reporting.runs import Export, Subject

COLUMNS = 5  # runs at most that stand beside each other


@dataclass(frozen=True)
class Cell:
    """A figure to read, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A figure of every run: its name, its values (None if unknown), how to read one, whether more is better.

    images: of a share of images, how many it was measured on, None where that is unknown.
    """

    name: str
    values: list[Any]
    read: Any
    more_is_better: bool | None = None
    images: list[int | None] | None = None

    def cells(self) -> list[Cell]:
        """Returns the figures; the best is marked if not all are the same, a share only beyond chance of the images."""
        known = [value for value in self.values if value is not None]
        best = None
        if self.more_is_better is not None and len(set(known)) > 1:
            best = max(known) if self.more_is_better else min(known)
        if best is not None and self.images and not self._beyond_chance(best):
            best = None
        return [
            Cell("–" if value is None else self.read(value), best is not None and value == best)
            for value in self.values
        ]

    def _beyond_chance(self, best: float) -> bool:
        """Returns whether `best` is further above the next share than the 95 % intervals of both allow.

        They are taken as independent: of the same images, which both models mostly share, that is careful.
        """
        counts = zip(self.values, self.images or [], strict=True)
        shares = sorted(((value, images) for value, images in counts if value is not None), reverse=True)
        if not all(images for _, images in shares):
            return False
        first, second = (margin(value, images or 0) for value, images in shares[:2])
        return best - shares[1][0] > math.hypot(first, second)


@dataclass(frozen=True)
class Table:
    """A table with a row for each name."""

    header: list[str]
    rows: list[tuple[str, list[Cell]]]


def key_figures(subjects: list[Subject]) -> Table:
    """Returns the figures to choose by, a column for each run, or a row for each of many.

    The best of each figure is marked; of accuracies on equal data only, and beyond the chance of its images. How
    another seed would change it, one run each cannot say.
    """
    same_data = len({subject.config.data.spec for subject in subjects}) == 1
    columns = [column for column in _columns(subjects, same_data) if any(v is not None for v in column.values)]
    names = [subject.name for subject in subjects]
    if len(subjects) <= COLUMNS:
        return Table(["", *names], [(column.name, column.cells()) for column in columns])
    cells = [column.cells() for column in columns]
    rows = [(name, [column[number] for column in cells]) for number, name in enumerate(names)]
    return Table(["run", *(column.name for column in columns)], rows)


def _columns(subjects: list[Subject], same_data: bool) -> list[Column]:
    exports = [subject.exports[0] if subject.exports else None for subject in subjects]
    tests = [subject.metrics.get("test", {}) for subject in subjects]
    more, images = True if same_data else None, [test.get("images") for test in tests]
    return [
        Column(
            "top-1 int8", [facts.int8_top1(export) if export else None for export in exports], percent, more, images
        ),
        Column(
            "top-1 float, fine-tuned",
            [facts.finetuned_top1(export) if export else None for export in exports],
            percent,
            more,
            images,
        ),
        Column("top-1 float", [test.get("top1") for test in tests], percent, more, images),
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
        Column("fits", [export.report.get("fits") if export else None for export in exports], _yes),
        Column("latency", [found.ms if found else None for found in latencies], "{:.1f} ms".format, False),
        Column("RAM", [memory.get("ram_bytes") for memory in memories], _kib, False),
        Column("flash", [memory.get("flash_bytes") for memory in memories], _kib, False),
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


def _kib(value: int) -> str:
    return f"{value / 1024:,.0f} KiB"


def differences(subjects: list[Subject]) -> Table:
    """Returns a row for each key of the config whose values differ, with a column for each run."""
    rows = []
    for dotted in [*configs.keys()]:
        values = [configs.get_key(subject.config, dotted) for subject in subjects]
        if any(value != values[0] for value in values):
            rows.append((dotted, [Cell(shown(value)) for value in values]))
    return Table(["key", *(subject.name for subject in subjects)], rows)


def shown(value: Any) -> str:
    """Returns the value of a key as a config file has it, an empty text as such."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'
