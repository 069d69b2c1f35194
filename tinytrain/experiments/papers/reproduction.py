"""A paper's table and the runs that were trained for it: the figures of each arm, by seed."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinytrain.config.schema import Config
from tinytrain.experiments.papers import columns
from tinytrain.experiments.papers.columns import Column
from tinytrain.experiments.papers.tables import Arm, Table
from tinytrain.experiments.planned import Planned
from tinytrain.run import Run


@dataclass(frozen=True)
class Reproduction:
    """A table and its finished runs.

    Attributes:
        table: the paper's table.
        finished: the finished runs.
        full_size: {folder of a run: its config at full size}.
        datasets: {name of a dataset here: the name of the paper's dataset}.
    """

    table: Table
    finished: list[Planned]
    full_size: Mapping[Path, Config]
    datasets: Mapping[str, str]

    def values(self, arm: Arm, column: Column) -> dict[int, float]:
        """Returns {seed: figure} of an arm; over several datasets it is the mean, for seeds with a run on each."""
        datasets = [name for name, dataset in self.datasets.items() if column.data in ("", dataset)]
        figures: dict[int, list[float]] = {}
        for planned in self.finished:
            if planned.name == arm.label and planned.data in datasets:
                value = self.value(planned, column)
                if value is not None:
                    figures.setdefault(planned.seed, []).append(value)
        return {seed: statistics.mean(values) for seed, values in figures.items() if len(values) == len(datasets)}

    def value(self, planned: Planned, column: Column) -> float | None:
        """Returns the figure of one run in the unit of the column."""
        share = planned.config.optim.epochs / self.full_size[planned.folder].optim.epochs
        return columns.value(column, Run(planned.folder), share)
