"""The end of a search: the best trials, fine-tuned to int8 as `export` does it, and which of them is the winner.

Finalists are chosen by what their int8 model has on the val images after post-training quantization, the winner by
what it has after the fine-tune (or without it, where that is better), again on val. The test images are looked at once
for each finalist, for the report, and decide nothing.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from optuna.trial import FrozenTrial

from tinytrain import progress, tables
from tinytrain.data.source import counted
from tinytrain.errors import escaped
from tinytrain.exporting import int8_model
from tinytrain.exporting.int8_model import Int8Model, Validation
from tinytrain.locks import Held, Watch
from tinytrain.run import Run
from tinytrain.searching import budget
from tinytrain.searching.study import Study
from tinytrain.searching.trial import int8_figure
from tinytrain.searching.work import POLL_SECONDS, folder_of
from tinytrain.train.resolve import copied

Row = dict[str, Any]


def best(trials: list[FrozenTrial], count: int) -> list[FrozenTrial]:
    """Returns the `count` trials with the best int8 figure on val, of equal ones those with the fewest MACs first."""
    measured = [one for one in trials if one.user_attrs.get("int8") is not None]
    return sorted(measured, key=lambda one: (-one.user_attrs["int8"], one.user_attrs["cost"]["macs"], one.number))[
        :count
    ]


def winner(finals: list[Row]) -> Row:
    """Returns the finalist with the best int8 figure on val, of equal ones the one with the fewest MACs."""
    return min(finals, key=lambda row: (-row["int8_val"], row["macs"], row["number"]))


def refine_all(
    study: Study, count: int, seconds: float | None, pause: Callable[[float], None] = time.sleep
) -> list[Row]:
    """Returns the rows of the finalists, each refined by the process that is free for it.

    There are `count` of them, or fewer if one took so long that of the `seconds` of the search not enough are left for
    another. A row is {"number", "macs", "int8_val", "int8_test", "float_val", "float_test", "qat_epochs"}.
    """
    chosen, watch = best(study.trials(), count), Watch()
    while left := [one for one in chosen if study.get(_key(one)) is None]:
        if not any(_refined(study, one, watch, seconds) for one in left):
            with progress.stage(f"waiting for {counted(len(left), 'finalist')} of other processes"):
                pause(POLL_SECONDS)
    return [row for one in chosen if "int8_val" in (row := study.get(_key(one)))]


def _key(trial: FrozenTrial) -> str:
    return f"final-{trial.number}"


def _refined(study: Study, trial: FrozenTrial, watch: Watch, seconds: float | None) -> bool:
    """Refines a finalist unless another process does, or no time is left; returns whether it is done."""
    run = Run(folder_of(study.folder, trial.number))
    try:
        with run.writing(watch):
            if study.get(_key(trial)) is None:
                study.beat()
                used, longest = study.used_seconds(), study.get("longest-final") or 0.0
                if seconds is not None and longest and not budget.goes_on(seconds - used, longest):
                    study.put(_key(trial), {"number": trial.number})
                    return True
                row = _row(run, trial)
                study.put(_key(trial), row)
                study.beat()
                study.put("longest-final", max(longest, study.used_seconds() - used))
                label = f"int8 {100 * row['int8_val']:.1f} % on val, {row['qat_epochs']:g} epochs of fine-tuning"
                progress.write(
                    escaped(f"finalist {trial.number}: {label}; {tables.duration(study.used_seconds())} in all")
                )
    except Held:
        return False
    return True


def _row(run: Run, trial: FrozenTrial) -> Row:
    """Returns the row of a finalist, fine-tuned or not: whichever is better on val."""
    config, metrics = run.config(), run.metrics()
    model = int8_model.from_run(run, config)
    val = _figure(model, model.val)
    if config.qat.epochs and trial.user_attrs["int8"] > val:
        without = copied(config)
        without.qat.epochs = 0.0
        plain = int8_model.from_run(run, without)
        if (plain_val := _figure(plain, plain.val)) > val:
            config, model, val = without, plain, plain_val
    main = model.task.figures.main.key
    row = {
        "number": trial.number,
        "macs": trial.user_attrs["cost"]["macs"],
        "int8_val": val,
        "int8_test": _figure(model, model),
        "float_val": metrics["val"][main],
        "float_test": metrics["test"][main],
        "qat_epochs": config.qat.epochs,
    }
    keras.utils.clear_session()
    return row


def _figure(model: Int8Model, known: Int8Model | Validation | None) -> float:
    """Returns the main figure of an int8 model on its test or val images."""
    if known is None or known.samples is None:
        raise AssertionError("the model of a run has its images")
    return int8_figure(model.task, model.tflite, known.samples)


def export_command(out: Path, row: Row, board: str, usual_epochs: float) -> list[str]:
    """Returns the words of the command that exports a finalist as it was measured."""
    words = ["tinytrain", "export", str(folder_of(out, row["number"])), "--mcu", board]
    return words if row["qat_epochs"] == usual_epochs else [*words, f"qat.epochs={row['qat_epochs']:g}"]
