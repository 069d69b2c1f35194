"""One training, straight down: from a config to a run folder with a trained model."""

import contextlib
import dataclasses
import os
import shlex
import statistics
import sys
import uuid
from collections.abc import Collection, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from tinytrain import distribution, files, progress, provenance
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data import check, decoding, identity
from tinytrain.data.images import Samples
from tinytrain.data.load import mistakes_in, read_dataset
from tinytrain.data.source import Dataset
from tinytrain.data.splits import Splits
from tinytrain.errors import Mistakes, UserError, escaped
from tinytrain.files import write_json, write_text
from tinytrain.nn import macs
from tinytrain.nn.predict import predict
from tinytrain.run import RUNS, Run
from tinytrain.train import checkpoint, chosen
from tinytrain.train.resolve import decided, resolve
from tinytrain.train.task import build_network
from tinytrain.train.tensorboard import TensorBoardLog
from tinytrain.train.trainer import Ends, Trainer
from tinytrain.workers import collectives, processes

# Keys that may differ between workers: paths of this machine, and what only the chief writes.
LOCAL_KEYS = (
    "data.spec",
    "model.weights",
    "distill.teacher",
    "search.storage",
    "log.",
    "qat.",
    "export.",
    "data.check",
)
LEAST_RUN_BYTES = 1_000_000  # about: the checkpoints of a small network


def fit(
    config: Config,
    out: Path | None = None,
    resume: bool = False,
    fit_check: chosen.FitCheck | None = None,
    typed: Collection[str] | None = None,
    ends: Ends | None = None,
) -> Run | None:
    """Trains the model of `config` and returns its run folder, finished.

    Workers that `collectives.begin` has joined train it together; all call this with the same arguments. The chief
    alone writes a run folder, and the others get None.

    Args:
        config: the run; with `resume` the one it was begun with, or `Config()` to take what the run folder holds.
        out: the run folder, by default the first free runs/DATA-MODEL-NNN.
        resume: go on after the last whole epoch of the run in `out`, as if it had never stopped.
        fit_check: called with the untrained network of a new run, to refuse one that is too large for a board.
        typed: the dotted keys that the user chose (`resolve.with_usual`); None: those that differ from the default.
        ends: asked after each epoch, and before the first one that is trained here, whether the training ends there, as
            a search does with a candidate that others beat; the run is finished then. For a training of one worker.

    Raises:
        UserError: a mistake in the config or the data, here or on another worker, or another process writes the run.
        WorkerGone: another worker has ended. KeyboardInterrupt has a note that says how to go on. What `fit_check`
        raises.
    """
    workers, run = collectives.here(), None
    with contextlib.ExitStack() as exit_stack, workers.watched(lambda: _how_to_go_on(run)):
        with workers.agreeing():
            run = Run.open(out) if resume and out and workers.chief else None
            if run:
                config = exit_stack.enter_context(_going_on(run, config, typed))
            elif workers.chief:
                _refuse_folder(out)
            configs.check(config)
        goes_on = run is not None
        if workers.count > 1:
            goes_on, config = _of_chief(workers, goes_on, config)
        if workers.tell(bool(run and run.finished)):
            return run
        decoders = _sharing_the_cache(workers)
        if workers.count > 1:
            with workers.agreeing():  # one looks at all files, and the others find in the cache what it saw
                if decoders.number == 0:
                    read_dataset(config)
        with workers.agreeing():
            trainer = _prepared(run, config, goes_on, typed, fit_check, decoders)
        if workers.count > 1:
            workers.refuse_different(_facts(trainer))
        with workers.agreeing():
            if workers.chief and run is None:
                run = _begin(out, trainer, exit_stack)
        if run:
            provenance.record(run, trainer.data.dataset.classes, workers.count)
        _train(run, trainer, ends)
        if run:
            with progress.stage("evaluating the network"):
                _finish(run, trainer)
        workers.barrier()
        return run


def _of_chief(workers: collectives.Workers, goes_on: bool, config: Config) -> tuple[bool, Config]:
    """Returns whether the chief goes on with a run, and the config of that run; else that of this worker."""
    goes_on, keys = workers.tell([goes_on, _values(config)])
    if goes_on and not workers.chief:
        config = Config()
        for dotted, value in keys.items():
            configs.set_key(config, dotted, value)
    return goes_on, config


def _prepared(
    run: Run | None,
    config: Config,
    goes_on: bool,
    typed: Collection[str] | None,
    fit_check: chosen.FitCheck | None,
    decoders: decoding.Workers,
) -> Trainer:
    """Returns the trainer of a run; for a new one it has told what was chosen and found, and checked that it fits.

    Args:
        run: the run to go on with; other workers than the chief have none.
        config: of the run that goes on, or as it was typed.
        goes_on: whether a run goes on, here or on the chief.
        typed: as in `fit`.
        fit_check: as in `fit`.
        decoders: who decodes the images.
    """
    with progress.stage("reading the data"):
        typed_config, dataset = config, read_dataset(config)
    taken = ""
    if not goes_on:
        config, taken = chosen.with_usual(config, dataset, typed, fit_check)
    config = resolve(config, dataset)
    if not goes_on:
        _check_search(config)
    with progress.stage("building the network"):
        network = _begun_network(run, config) or build_network(config, dataset.classes)
    with progress.stage("preparing the images"):
        data = _split(run, dataset, config, network, fit_check, decoders)
    _print_seen_test_images(data, config)
    with progress.stage("preparing the training"):
        trainer = Trainer(config, data, network)
    if goes_on:
        return trainer
    chosen.print_lines(taken, config)
    _print_findings(data, typed_config, config)
    for sentence in trainer.method.warnings():
        print(f"warning: {sentence}", file=sys.stderr)
    if fit_check:
        with progress.stage("converting the network for the board"):
            fit_check(trainer.method.plain, config, len(dataset.classes))
    return trainer


def _sharing_the_cache(workers: collectives.Workers) -> decoding.Workers:
    """Returns this worker among those that see the same cache folder, of which each decodes a share of the images."""
    if workers.count == 1:
        return decoding.ALONE
    token = uuid.uuid4().hex
    mark = files.cache_folder() / f"worker-{token}"
    with contextlib.suppress(OSError):  # a cache that cannot be written is no other worker's either
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    tokens = workers.gather(token)
    seen = [number for number, other in enumerate(tokens) if mark.with_name(f"worker-{other}").exists()]
    workers.barrier()
    mark.unlink(missing_ok=True)
    return decoding.Workers(seen.index(workers.number), len(seen)) if workers.number in seen else decoding.ALONE


def _facts(trainer: Trainer) -> dict[str, Any]:
    """Returns what all workers of a training must have in common, by the words of a sentence."""
    config, data = trainer.config, trainer.data
    ours = {f"{dotted} =": value for dotted, value in _values(config).items() if not dotted.startswith(LOCAL_KEYS)}
    versions = {"tinytrain": f"{distribution.version()} {provenance.commit()}".strip()}
    packages = {name: version(name) for name in provenance.PACKAGES}
    return versions | packages | ours | {"classes": data.dataset.classes, "images": identity.digest(data)}


def _values(config: Config) -> dict[str, Any]:
    """Returns {dotted key: value}."""
    known = configs.keys()
    return {dotted: configs.get_key(config, dotted) for dotted in known}


def _how_to_go_on(run: Run | None) -> str:
    folder = f" --out {shlex.quote(str(run.folder))}" if run else ""
    return f"start all workers again with the same command and{folder} --resume"


def _refuse_folder(out: Path | None) -> None:
    """Raises UserError, before the work, for a run folder that is taken or cannot be written."""
    if out:
        Run(out).refuse_taken()  # and again before the run is made
    files.require_space(out or RUNS, LEAST_RUN_BYTES, "the run", "name another folder with --out")


def _check_search(config: Config) -> None:
    """Raises UserError if the search of the learning rate that `config` wants cannot be done."""
    if config.search.algorithm != "none":
        from tinytrain.train.lr_search import search  # with Optuna and its database, which no other training needs

        search.check(config)


def _train(run: Run | None, trainer: Trainer, ends: Ends | None) -> None:
    """Searches for the learning rate, if the config says so, and trains to the end."""
    if trainer.config.search.algorithm != "none":
        from tinytrain.train.lr_search import search

        trainer.compile(search.find(run, trainer.config, trainer.data))
    try:
        trainer.fit(run, _callbacks(run, trainer), ends)
    except tf.errors.ResourceExhaustedError:
        begun = f"remove the unfinished run '{run.folder}' and start" if run else "start"
        raise UserError(
            f"not enough memory to train {trainer.batch:,} images per step: {begun} again with a lower optim.batch, "
            "model.resolution or model.width"
        ) from None


def usual_name(config: Config) -> str:
    """Returns what the folder of a run is called, before its number, if it is not named."""
    return f"{config.data.spec.partition(':')[0]}-{config.model.name}"


def _begin(out: Path | None, trainer: Trainer, exit_stack: contextlib.ExitStack) -> Run:
    """Returns a new run that holds its images and its config, locked until `exit_stack` closes."""
    config = trainer.config
    run = Run.create(out, usual_name(config))
    exit_stack.enter_context(_written(run))
    run.refuse_existing()  # another process may have begun it, and ended, since
    with progress.stage("recording which images there are"):
        identity.record(run, trainer.data)
    if config.model.weights:
        write_text(run.graph_path, trainer.model.to_json())
    run.write_readme()
    write_text(run.config_path, configs.dump(config))
    return run


@contextlib.contextmanager
def _written(run: Run) -> Iterator[None]:
    """Locks the run inside the block; an interruption there gets the command that goes on as a note."""
    with run.writing():
        try:
            yield
        except KeyboardInterrupt as stop:
            if run.config_path.is_file():
                words = ["tinytrain", "fit", "--out", str(run.folder), "--resume", *processes.launched_flag()]
                stop.add_note(f"go on with: {shlex.join(words)}")
            raise


@contextlib.contextmanager
def _going_on(run: Run, config: Config, typed: Collection[str] | None) -> Iterator[Config]:
    """Locks a run that goes on, and gives its config, after taking over what training does not read from `config`."""
    with _written(run):
        if config != Config():
            run.refuse_other_config(config, decided(config, run.config().task, typed))
            run.update_config(config)
        yield run.config()


def _callbacks(run: Run | None, trainer: Trainer) -> list[keras.callbacks.Callback]:
    """Returns what a training does besides, as [log] of its config says."""
    if run is None or not trainer.config.log.tensorboard:
        return []
    return [TensorBoardLog(run.folder / "tensorboard", lambda: trainer.history, trainer.task.figures.main)]


def _split(
    run: Run | None,
    dataset: Dataset,
    config: Config,
    network: keras.Model,
    fit_check: chosen.FitCheck | None,
    decoders: decoding.Workers,
) -> Splits:
    """Returns the split images, those of `run` if it goes on.

    Raises all that is wrong with them as one error, for a new run with what `fit_check` says of the model.
    """
    mistakes = Mistakes(mistakes_in(dataset))
    data = (
        mistakes.collect(identity.recorded_splits, run, dataset, config, decoders)
        if run
        else mistakes.collect(Splits, dataset, config, None, decoders)
    )
    if mistakes.errors and fit_check and run is None:
        # A method may change the network that is converted; it cannot be made without images.
        mistakes.collect(fit_check, network, config, len(dataset.classes))
    mistakes.raise_all()
    return data


def _print_findings(data: Splits, typed_config: Config, config: Config) -> None:
    """Prints what is wrong with the data, and what was chosen for the user, to standard error, once for a run."""
    with progress.stage("checking the data"):
        if typed_config.data.check:
            findings = check.findings(data.dataset, data.subsets, typed_config, config)
        else:
            findings = check.unconditional_findings(data.dataset, typed_config)
    for line in check.as_lines([dataclasses.replace(finding, severe=False) for finding in findings]):
        print(escaped(line), file=sys.stderr)
    if any(len(finding.files) > check.SHOWN_FILES for finding in findings):
        print(
            escaped(f"`tinytrain data {shlex.quote(typed_config.data.spec)} --json` names all files"), file=sys.stderr
        )


def _print_seen_test_images(data: Splits, config: Config) -> None:
    """Prints which test images a network was trained on that this training begins from or is taught by."""
    sources = [("model.weights", config.model.weights)]
    if "distill" in configs.methods(config):
        sources.append(("distill.teacher", config.distill.teacher))
    for key, path in sources:
        if run := identity.run_of(path):
            identity.note_trained_on(run, data, "test", f"{key} = '{path}'")


def _begun_network(run: Run | None, config: Config) -> keras.Model | None:
    """Returns the network of a run with a checkpoint, which brings the weights: model.weights may be gone."""
    if run is None or not run.last_path.exists() or not run.graph_path.exists():
        return None
    keras.utils.set_random_seed(config.seed)
    try:
        network = keras.models.model_from_json(run.graph_path.read_text())
        if not isinstance(network, keras.Model):
            raise ValueError(f"it is a {type(network).__name__}")
        return network
    except Exception as error:  # Keras has no class of its own for it, and its safe mode refuses what holds code
        raise UserError(f"'{run.graph_path}' is not a Keras network: {error}; train a new run") from None


def _finish(run: Run, trainer: Trainer) -> None:
    """Saves the plain model, as optim.checkpoint says, and measures it: the only look at the test images."""
    method, history = trainer.method, trainer.history
    epoch = len(history)  # whose weights the method has
    if trainer.config.optim.checkpoint == "best":
        epoch = checkpoint.load(run.best_path, method.network.variables)["epoch"]
    model = method.finish()
    _save_model(run, model)
    val = trainer.data.samples("val")
    kept = _kept(trainer, model, val)
    if settled := trainer.task.settled(kept, val):
        for dotted, value in settled.items():
            configs.set_key(trainer.config, dotted, value)
        write_text(run.config_path, configs.dump(trainer.config))
    test, of_val = trainer.data.samples("test"), trainer.task.evaluate(kept, val)
    for sentence in trainer.task.doubts(of_val, history[-1]):
        progress.write(f"warning: {sentence}")
    write_json(
        run.metrics_path,
        {
            "val": of_val,
            "test": trainer.task.evaluate(_kept(trainer, model, test), test),
            "params": int(sum(np.prod(variable.shape) for variable in model.trainable_variables)),
            "macs": macs.count(model),
            "images_per_second": round(statistics.median(row["images_per_second"] for row in history), 1),
            "epochs": len(history),
            "best_epoch": epoch,
        },
    )


def _kept(trainer: Trainer, model: keras.Model, samples: Samples) -> Any:
    """Returns what the task keeps of the outputs for the images of a split."""
    return predict(model, samples.images, keep=trainer.task.keep)


def _save_model(run: Run, model: keras.Model) -> None:
    with files.write_errors(run.model_path), files.draft(run.model_path) as temporary:
        model.save(temporary)
