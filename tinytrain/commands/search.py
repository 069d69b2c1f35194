"""`tinytrain search`: the best network for a board, found by training many briefly and the best ones longer.

DIR holds search.db (unless --storage names another database), a run folder for each trial, search.csv, search.md and
search.png. The same command, run again or in several processes, goes on.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinytrain import files, locks, progress
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data import boxes, identity
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset
from tinytrain.data.splits import Splits
from tinytrain.deploy import boards
from tinytrain.errors import UserError
from tinytrain.files import make_folder
from tinytrain.searching import finalists, outlook, planning, teaching, trial
from tinytrain.searching.limits import Limits
from tinytrain.searching.output import Output
from tinytrain.searching.planning import Asked
from tinytrain.searching.study import Study
from tinytrain.searching.work import Work
from tinytrain.train import figures
from tinytrain.train.lr_search import study as databases

LOCK = ".search.lock"
TRIAL_BYTES = 20_000_000  # about, of a run folder with its checkpoints


def search(
    data: str,
    mcu: str,
    out: Path | str = "search",
    hours: float | None = None,
    trials: int | None = None,
    latency_ms: float | None = None,
    storage: str | None = None,
    overrides: Sequence[str] = (),
    teacher: bool = False,
    dry_run: bool = False,
) -> tuple[dict[str, Any], str]:
    """Searches for the best network for a board; returns (result, the text that says which it is and why).

    Args:
        data: the SPEC of the images, for classification.
        mcu: a board or microcontroller.
        out: the folder DIR, which all processes of a search share.
        hours: how long the search lasts, finalists included; only time in which a process works on it counts.
        trials: how many networks are trained, instead of a time. Exactly one of the two is given.
        latency_ms: the longest predicted latency that is allowed, None: any.
        storage: the URL of a database, by default search.db in DIR.
        overrides: KEY=VALUE words for every network: the keys given here are not searched.
        teacher: train a larger network to teach the winner, as `fit --teacher auto` does, if time is left.
        dry_run: train and write nothing, and return what would be searched instead (searching/outlook.py).

    The result is {"out", "winner": a row of search.csv, "why", "export": the command, "finalists", "trials": rows};
    with `teacher` also "teaching" (searching/teaching.py).

    Raises:
        UserError: a mistake in what was asked, no time for one trial, or a database of another search. DoesNotFit: no
        network fits.
    """
    out, board, overrides = Path(out), boards.load(mcu), [*overrides, f"data.spec={data}"]
    config = configs.load(None, overrides)
    typed = {key for key in configs.typed(None, overrides) if configs.get_key(config, key) != "auto"}
    with progress.stage("reading the data"):
        dataset = load_dataset(config)
    _refuse(config, dataset, hours, trials)
    if teacher:
        teaching.refuse(config)
    flags = {"hours": hours, "trials": trials, "latency-ms": latency_ms, "storage": storage, "out": out}
    flags |= {"teacher": "auto"} if teacher else {}
    words = [f"--{name}={value}" for name, value in flags.items() if value is not None]
    command = shlex.join(["tinytrain", "search", f"--data={data}", f"--mcu={mcu}", *words, *overrides[:-1]])
    url = storage or f"sqlite:///{(out / 'search.db').absolute()}"
    known = trial.resolved(config, typed, dataset)
    limits = Limits(board, known, len(dataset.classes), int(known.model.channels), latency_ms)
    asked = Asked(overrides, typed, known, dataset, None if hours is None else 3600 * hours, trials)
    if dry_run:
        return outlook.forecast(asked, limits, out)
    make_folder(out)
    files.require_space(out, TRIAL_BYTES, "the search", "name another folder with --out")
    facts = {
        "data": config.data.spec,
        "images": identity.digest(Splits(dataset, known)),
        "board": board.name,
        "latency_ms": latency_ms,
        "settings": " ".join(sorted(overrides[:-1])),
    }
    try:
        with locks.held_in_turn(out / LOCK, f"the search '{out}'", "another process, which plans the search"):
            study = Study(databases.open_storage(url, "--storage"), out, facts)
            job = planning.job(study, asked, limits)
        output = Output(study, limits, figures.of(known.task).main.label, command, known.qat.epochs)
        Work(study, job, output.write).train_all()
        result, text = output.finish(finalists.refine_all(study, job.plan.finalists, job.seconds))
        return teaching.of_winner(study, result, text, dataset, job.seconds) if teacher else (result, text)
    except databases.FAULTS as error:
        raise databases.cannot_use(url, error, "--storage") from None


def _refuse(config: Config, dataset: Dataset, hours: float | None, trials: int | None) -> None:
    """Raises UserError for what cannot be searched."""
    if dataset.task in boxes.TASKS or config.task not in ("auto", "classify"):
        raise UserError(
            f"search works only for the task classify, but '{config.data.spec}' is data for {dataset.task}: for a "
            "detector, fit --mcu takes the largest resolution that fits, and compare --resolutions compares several"
        )
