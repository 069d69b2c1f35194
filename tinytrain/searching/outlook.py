"""What a search would do, found out without training a candidate and without writing anything but into the cache."""

import csv
from pathlib import Path
from typing import Any

from tinytrain import progress, tables
from tinytrain.data.source import counted
from tinytrain.data.splits import Splits
from tinytrain.searching import budget, planning
from tinytrain.searching import space as spaces
from tinytrain.searching.budget import Plan, Speed
from tinytrain.searching.limits import Limits
from tinytrain.searching.planning import Asked
from tinytrain.searching.space import Space
from tinytrain.searching.speed import STEPS


def forecast(asked: Asked, limits: Limits, folder: Path) -> tuple[dict[str, Any], str]:
    """Returns what a search would do, and a text that says it.

    Args:
        asked: what was asked for.
        limits: of the board.
        folder: DIR.

    The result is {"out", "trials_there": how many are over already, "images": of each split, "architectures": that fit,
    "epochs": of a whole trial, "finalists", "trials": how many there will be, about, "seconds": None if unknown}.

    Raises:
        DoesNotFit: no network fits. UserError: there is no time for one trial.
    """
    space = Space(asked.config, asked.typed, spaces.side(asked.dataset), limits)
    subsets = Splits(asked.dataset, asked.config).subsets
    images = {name: len(subset.indices) for name, subset in subsets.items()}
    with progress.stage("looking for the networks that fit"):
        architectures = limits.that_fit(space.smallest())
    stored = planning.planned(space, asked, architectures, limits, images["train"], lambda: 0.0)
    plan = Plan(**stored["plan"])
    result = {
        "out": str(folder),
        "trials_there": _trials_in(folder),
        "images": images,
        "architectures": list(architectures),
        "epochs": plan.epochs,
        "finalists": plan.finalists,
        "trials": asked.trials or _trials(asked, plan, stored),
        "seconds": asked.seconds,
    }
    return result, _text(result, limits, len(space.architectures))


def _trials(asked: Asked, plan: Plan, stored: dict[str, Any]) -> int:
    """Returns how many trials there is time for, by what was measured."""
    speed, left, count = Speed(**stored["speed"]), (asked.seconds or 0.0) - plan.reserve_seconds, 0
    while True:
        trained = budget.expected_epochs(count + 1, plan.epochs) * stored["epoch_seconds"]
        if budget.MARGIN * ((count + 1) * speed.start + trained) > left:
            return max(count, 1)
        count += 1


def _trials_in(folder: Path) -> int:
    path = folder / "search.csv"
    return len(list(csv.DictReader(path.read_text().splitlines()))) if path.is_file() else 0


def _text(result: dict[str, Any], limits: Limits, architectures: int) -> str:
    images, there = result["images"], result["trials_there"]
    latency = "" if limits.latency_ms is None else f", at most {limits.latency_ms:g} ms"
    if result["seconds"] is None:
        length = f"{counted(result['trials'], 'trial')}; how long that takes is unknown until the first ones are done"
    else:
        measured = f"by {STEPS} steps of two networks, timed on this machine"
        length = f"{tables.duration(result['seconds'])}: about {counted(result['trials'], 'trial')}, {measured}"
    lines = [
        f"{result['out']}: " + (f"continues, {counted(there, 'trial')} done" if there else "a new search"),
        f"{images['train']:,} training, {images['val']:,} val and {images['test']:,} test images",
        f"{limits.board.name}{latency}: {len(result['architectures'])} of {counted(architectures, 'architecture')} fit",
        f"a trial: up to {counted(result['epochs'], 'epoch')}; {counted(result['finalists'], 'finalist')} at the end",
        f"{length}; nothing was written",
    ]
    return "\n".join(lines)
