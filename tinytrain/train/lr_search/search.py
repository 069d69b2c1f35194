"""The search for the learning rate before a training (methods.md C.5): an even grid, Optuna's TPE or a range test.

A trial trains the model of the config from its start, with plain SGD at a constant rate: without methods,
warm-up, schedule and the rules for biases (C.2, C.3). TPE prunes by the median of the class-balanced val score
after each epoch; a rate that was tried before is pruned at once and counts as a trial. The best rate is that of the
highest score after the last epoch. `study` shares the trials with other workers, `range_test` is the range test.

We differ from the released code in that a loss that is not finite prunes the trial instead of ending the search.
"""

import contextlib
import dataclasses
import hashlib
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import optuna

from tinytrain.config import fields
from tinytrain.config.schema import Config
from tinytrain.data.source import class_counts
from tinytrain.data.splits import Splits
from tinytrain.errors import UserError, escaped
from tinytrain.files import make_folder, read_json, write_json, write_text
from tinytrain.run import Run
from tinytrain.train import figures
from tinytrain.train.callbacks import Diverged
from tinytrain.train.lr_search import range_test, study
from tinytrain.train.lr_search.study import Trials
from tinytrain.train.lr_search.trial import Report, follow, freed, plain, why_pruned
from tinytrain.workers import collectives


def check(config: Config) -> None:
    """Raises UserError, before anything is written, if [search] of `config`, without "auto", cannot be done."""
    search = config.search
    low, high = float(search.low), float(search.high)
    if search.algorithm == "none":
        return
    if low >= high:
        raise UserError(f"search.low = {low:g} and search.high = {high:g}: expected low below high")
    if search.algorithm == "tpe" and study.highest(search) <= low:
        raise UserError(
            f"search.step = {search.step:g} is larger than the range from search.low = {low:g} to search.high = "
            f"{high:g}: expected at most {high - low:g}"
        )
    if config.optim.name != "sgd":
        raise UserError(
            f"search.algorithm = '{search.algorithm}' looks for a learning rate of SGD, but optim.name = "
            f"'{config.optim.name}': use optim.name=sgd or search.algorithm=none"
        )
    if search.storage and search.algorithm != "range":
        study.open_storage(search.storage)


def find(run: Run | None, config: Config, data: Splits) -> float:
    """Returns the learning rate that [search] of `config` finds; search.json in the run folder keeps it.

    search.json: {"way", "lr", "trials": [{"number", "lr", "epochs", FIGURE: [of each epoch], "state"}], "epochs",
    "seconds"}, and the "curve" of a range test. Epochs and seconds are of training, of all trials by all workers. What
    an interrupted search has found is kept: called again it goes on after the last whole epoch.

    Raises:
        UserError: the database cannot be used, too few steps for a range test, or every trial diverged.
    """
    workers = collectives.here()
    if run is None:
        return _follow(config, data)
    lr = _found(run, config, data)
    workers.tell({"found": lr})
    return lr


def _follow(config: Config, data: Splits) -> float:
    """Trains, on a worker beside the chief, what the chief says, and returns the learning rate that it finds."""
    workers, search = collectives.here(), config.search
    while "found" not in (task := workers.tell(None)):
        with freed(), contextlib.suppress(Diverged):
            if task["train"] == "range test":
                first_epoch = plain(config, config.optim.lr, 1)
                range_test.search(None, first_epoch, data, float(search.low), float(search.high))
            else:
                follow(plain(config, task["train"], int(search.epochs)), data)
    return task["found"]


def _found(run: Run, config: Config, data: Splits) -> float:
    """Does what `find` says."""
    path, folder = run.search_path, run.folder / "search"
    if path.is_file():
        lr = read_json(path).get("lr")
        if type(lr) is not float or not 0 < lr <= fields.MOST_RATE:
            raise UserError(f"'{path}' holds no learning rate; it has changed since tinytrain wrote it")
        return lr
    make_folder(folder)
    result = _range_test(folder, config, data) if config.search.algorithm == "range" else _study(run, config, data)
    _sweep(folder)
    write_json(path, {"way": config.search.algorithm} | result)
    _tell(f"learning rate {result['lr']:.6g}")
    return result["lr"]


def _range_test(folder: Path, config: Config, data: Splits) -> dict[str, Any]:
    run = Run(folder / "first-epoch")
    make_folder(run.folder)
    collectives.here().tell({"train": "range test"})
    with freed():
        low, high = float(config.search.low), float(config.search.high)
        return range_test.search(run, plain(config, config.optim.lr, 1), data, low, high)


def _study(run: Run, config: Config, data: Splits) -> dict[str, Any]:
    """Trains trials until the study has all of them; returns {"lr", "trials", "epochs", "seconds"}."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = config.search.storage or f"sqlite:///{(run.folder / 'search.db').resolve()}"
    try:
        storage = study.open_storage(url)
        owner = _owner(run.folder / "search") if config.search.storage else ""
        name = config.search.study or (not owner and study.only_name(storage)) or _name(config, data)
        trials = Trials(storage, name, config.search, config.seed, owner)
        while trial := trials.next():
            try:
                _trial(trials, trial, run.folder / "search", config, data)
            except optuna.exceptions.UpdateFinishedTrialError:
                _tell(f"another worker gave up trial {trial.number + 1}, because it took this one for dead")
        return _result(trials, figures.of(config.task).main.key)
    except study.FAULTS as error:
        raise study.cannot_use(url, error) from None


def _trial(trials: Trials, trial: optuna.Trial, folder: Path, config: Config, data: Splits) -> None:
    """Trains one trial to its end and tells the study and the user what came out."""
    config = plain(config, trials.lr(trial), int(config.search.epochs))
    task = figures.of(config.task)
    report, run = Report(trial, f"val_{task.balanced.key}"), Run(folder / f"trial-{trial.number:03d}")
    position = f"{sum(other.number <= trial.number for other in trials.all())}/{trials.places}"
    pruned = "a repeated rate" if trials.repeats(trial) else why_pruned(config, data, run, report)
    last = report.scores[max(report.scores)] if report.scores else None
    trials.end(trial, None if pruned else last)
    _sweep(folder)
    figure = "" if last is None else f" {task.main.label} {last:.3f}"
    _tell(f"trial {position} lr {config.optim.lr:.6g}{figure}{pruned and f' ({pruned})'}")


def _result(trials: Trials, score: str) -> dict[str, Any]:
    best, rows = trials.best(), trials.all()
    if best is None:
        raise UserError(
            f"none of the {len(rows)} trials of the search was finished, because all losses became infinite: "
            f"received search.low = {trials.search.low:g}, expected a lower one"
        )
    return {
        "lr": study.rounded(best.params["lr"]),
        "trials": [
            {
                "number": row.number,
                "lr": study.rounded(row.params["lr"]),
                "epochs": len(row.intermediate_values),
                score: [row.intermediate_values[step] for step in sorted(row.intermediate_values)],
                "state": row.state.name.lower(),
            }
            for row in rows
        ],
        "epochs": sum(len(row.intermediate_values) for row in rows),
        "seconds": round(sum(row.user_attrs.get("seconds", 0.0) for row in rows), 1),
    }


def _name(config: Config, data: Splits) -> str:
    """Returns the name of the study: equal for workers whose trials would be equal, wherever their database is."""
    search = dataclasses.replace(config.search, storage="", study="")
    labels = {name: class_counts(data.arrays(name)[1], len(data.dataset.classes)).tolist() for name in ("train", "val")}
    facts = [dataclasses.asdict(plain(config, 0.0, int(search.epochs))), dataclasses.asdict(search), labels]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return f"{config.data.spec.partition(':')[0]}-{config.model.name}-{digest}"


def _owner(folder: Path) -> str:
    """Returns the id by which the run of this folder recognizes its trials; made on first use."""
    path = folder / "owner"
    if not path.is_file():
        write_text(path, uuid.uuid4().hex)
    return path.read_text()


def _sweep(folder: Path) -> None:
    """Deletes the checkpoints of the trials in this folder, of which none is being trained."""
    for path in folder.glob("*/*.npz"):
        path.unlink()


def _tell(message: str) -> None:
    print(escaped(f"search: {message}"), file=sys.stderr, flush=True)
