"""`tinytrain fit`: from a config to a trained model, straight down."""

import contextlib
import dataclasses
import os
import shlex
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from tinytrain import files, provenance
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data import batches, check, identity, splits
from tinytrain.data.batches import Images
from tinytrain.data.source import Source
from tinytrain.data.splits import Split
from tinytrain.errors import Mistakes, UserError, escaped
from tinytrain.nn import initializers, macs
from tinytrain.run import Run, write_json, write_text
from tinytrain.tasks.classify import metrics
from tinytrain.train import checkpoint
from tinytrain.train.lr_search import defaults
from tinytrain.train.method import Method
from tinytrain.train.tensorboard import TensorBoardLog
from tinytrain.train.trainer import Trainer, build_model

LARGEST_AUTO_RESOLUTION = 96


def fit(config: Config, out: Path | str | None = None, mcu: str | None = None, resume: bool = False) -> Run:
    """Trains the model of `config` and returns its run folder, finished.

    Args:
        config: the run; with `resume` the one it was begun with, or `Config()` to take what the run folder holds.
        out: the run folder, by default the first free runs/DATA-MODEL-NNN.
        mcu: a board or microcontroller; the untrained network is converted and refused if it does not fit.
        resume: go on after the last whole epoch of the run in `out`, as if it had never stopped.

    Raises:
        UserError: a mistake in the config or the data, or another process writes the run. DoesNotFit: too large for
        `mcu`. KeyboardInterrupt has a note that says how to go on.
    """
    with contextlib.ExitStack() as until_end:
        return _fit(config, Path(out) if out else None, mcu, resume, until_end)


def _fit(config: Config, out: Path | None, mcu: str | None, resume: bool, until_end: contextlib.ExitStack) -> Run:
    run = Run.open(out) if resume and out else None
    if run:
        config = until_end.enter_context(_going_on(run, config))
        if run.finished:
            return run
    configs.check(config)
    asked, source = config, read_source(config)
    config = resolve(config, source)
    searches = config.search.way != "none"
    if searches:
        from tinytrain.train.lr_search import search  # with Optuna and its database, which no other training needs
    if searches and run is None:
        search.check(config)
    model = _begun_model(run, config) or build_model(config, len(source.classes), source.classes)
    data = _data(run, source, config, model, mcu)
    _tell_seen(data, config)
    trainer = Trainer(config, data, model)
    if run is None:
        _tell_findings(data, asked)
        for sentence in trainer.method.warnings():
            print(f"warning: {sentence}", file=sys.stderr)
        if mcu:
            from tinytrain.deploy.fit_check import refuse_if_too_large

            refuse_if_too_large(trainer.method.plain, config, len(source.classes), mcu)
        run = _begin(out, config, data, model, until_end)
    provenance.record(run, source.classes)
    if searches:
        trainer.compile(search.find(run, config, data))
    try:
        trainer.fit(run, _callbacks(run, trainer))
    except tf.errors.ResourceExhaustedError:
        raise UserError(
            f"not enough memory to train {trainer.batch:,} images a step: remove the unfinished run '{run.folder}' "
            "and begin again with a lower optim.batch, model.resolution or model.width"
        ) from None
    _finish(run, data, trainer.method, trainer.history, config.optim.keep)
    return run


def _begin(out: Path | None, config: Config, data: Split, model: keras.Model, until_end: contextlib.ExitStack) -> Run:
    """Returns a new run that holds its images and its config, locked until `until_end`."""
    run = Run.create(out, f"{config.data.spec.partition(':')[0]}-{config.model.name}")
    until_end.enter_context(_written(run))
    run.refuse_begun()  # another process may have begun it, and ended, since
    identity.record(run, data)
    if config.model.weights:
        write_text(run.graph_path, model.to_json())
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
                stop.add_note(f"go on with: tinytrain fit --out {shlex.quote(str(run.folder))} --resume")
            raise


@contextlib.contextmanager
def _going_on(run: Run, config: Config) -> Iterator[Config]:
    """Locks a run that goes on, and gives its config, after taking over what training does not read from `config`."""
    with _written(run):
        if config != Config():
            run.refuse_another(config)
            run.take(config)
        yield run.config()


def _callbacks(run: Run, trainer: Trainer) -> list[keras.callbacks.Callback]:
    """Returns what a training does besides, as [log] of its config says."""
    if not trainer.config.log.tensorboard:
        return []
    return [TensorBoardLog(run.folder / "tensorboard", lambda: trainer.history)]


def _data(run: Run | None, source: Source, config: Config, model: keras.Model, mcu: str | None) -> Split:
    """Returns the split images, those of `run` if it goes on.

    Raises all that is wrong with them as one error, for a new run with what `mcu` says of the model.
    """
    mistakes = Mistakes(mistakes_in(source))
    data = mistakes.kept(identity.split_of, run, source, config) if run else mistakes.kept(Split, source, config)
    if mistakes.errors and mcu and run is None:
        from tinytrain.deploy.fit_check import refuse_if_too_large

        # A method may change the network that is converted; it cannot be made without images.
        mistakes.kept(refuse_if_too_large, model, config, len(source.classes), mcu)
    mistakes.raise_all()
    return data


def _tell_findings(data: Split, asked: Config) -> None:
    """Prints what is wrong with the data, and what was chosen for the user, to standard error, once for a run."""
    if asked.data.check:
        found = check.findings(data.source, data.subsets, asked)
    else:
        found = check.without_asking(data.source, asked)
    for line in check.as_lines([dataclasses.replace(finding, severe=False) for finding in found]):
        print(escaped(line), file=sys.stderr)
    if any(len(finding.files) > check.SHOWN for finding in found):
        print(escaped(f"`tinytrain data {shlex.quote(asked.data.spec)} --json` names all files"), file=sys.stderr)


def _tell_seen(data: Split, config: Config) -> None:
    """Prints which test images a network was trained on that this training begins from or is taught by."""
    sources = [("model.weights", config.model.weights)]
    if "distill" in configs.methods(config):
        sources.append(("distill.teacher", config.distill.teacher))
    for key, word in sources:
        if run := identity.run_of(word):
            identity.tell_trained_on(run, data, "test", f"{key} = '{word}'")


def _begun_model(run: Run | None, config: Config) -> keras.Model | None:
    """Returns the network of a run with a checkpoint, which brings the weights: model.weights may be gone."""
    if run is None or not run.last_path.exists() or not run.graph_path.exists():
        return None
    keras.utils.set_random_seed(config.seed)
    try:
        found = keras.models.model_from_json(run.graph_path.read_text())
        if not isinstance(found, keras.Model):
            raise ValueError(f"it is a {type(found).__name__}")
        return found
    except Exception as error:  # Keras has no class of its own for it, and its safe mode refuses what holds code
        raise UserError(f"'{run.graph_path}' is no network of Keras: {error}; train the run anew") from None


def _finish(run: Run, data: Split, method: Method, history: list[dict[str, float]], keep: str) -> None:
    """Saves the plain model, as optim.keep says, and measures it: the only look at the test images."""
    epoch = len(history)  # whose weights the method has
    if keep == "best":
        epoch = checkpoint.load(run.best_path, method.network.variables)["epoch"]
    model = method.finish()
    _save_model(run, model)
    metrics_of = {split: evaluate(model, *data.arrays(split)) for split in ("val", "test")}
    write_json(
        run.metrics_path,
        {
            **metrics_of,
            "params": int(sum(np.prod(variable.shape) for variable in model.trainable_variables)),
            "macs": macs.count(model),
            "images_per_second": round(statistics.median(row["images_per_second"] for row in history), 1),
            "epochs": len(history),
            "best_epoch": epoch,
        },
    )


def _save_model(run: Run, model: keras.Model) -> None:
    with files.told(run.model_path), files.draft(run.model_path) as temporary:
        model.save(temporary)


def load_source(config: Config) -> Source:
    """Returns the data source that data.spec names, its splits joined as data.split says.

    Raises UserError for files in it that cannot be read, too, unless data.skip_bad leaves them out.
    """
    source = read_source(config)
    Mistakes(mistakes_in(source)).raise_all()
    return source


def mistakes_in(source: Source) -> list[str]:
    """Returns what was found in a source that forbids training on it, in words with all files."""
    severe = [finding for finding in source.findings if finding.severe]
    return [f"{one.what}; {one.todo}:" + "".join(f"\n  {line}" for line in one.files) for one in severe]


def read_source(config: Config) -> Source:
    """Returns what `load_source` does, with files that cannot be read among its findings."""
    module, argument = configs.room(config.data.spec)
    return splits.arrange(plugins.load("datasets", module).load(argument, config.data), config.data.split)


def resolve(config: Config, source: Source) -> Config:
    """Returns a copy of `config` in which every "auto" is what the data, the model and the device ask for."""
    config = dataclasses.replace(
        config,
        **{
            part.name: dataclasses.replace(getattr(config, part.name))
            for part in dataclasses.fields(config)
            if dataclasses.is_dataclass(getattr(config, part.name))
        },
    )
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    usual = plugins.load("models", config.model.name).USUAL
    low, high = defaults.learning_rates(config.model.name)
    methods = {name: plugins.load("methods", name) for name in plugins.names("methods")}
    found = {
        "data.resize": source.resize,
        "data.split": source.split,
        "data.seed": config.seed,
        "model.width": usual["width"],
        "model.resolution": min(source.side or LARGEST_AUTO_RESOLUTION, LARGEST_AUTO_RESOLUTION),
        "model.channels": source.channels,
        "model.stem": usual.get("stem", "imagenet"),
        "model.init": initializers.kind_of(config),
        "augment.flip": source.flip,
        "search.low": low,
        "search.high": high,
        "search.epochs": defaults.epochs(config.search.way),
        "device.precision": "mixed_float16" if on_gpu else "float32",
        "device.jit": on_gpu and all(getattr(methods[name], "JIT", True) for name in configs.methods(config)),
    }
    for module in methods.values():
        if hasattr(module, "usual"):
            found |= module.usual(config.model.name, len(source.classes))
    for dotted, value in found.items():
        if configs.get_key(config, dotted) == "auto":
            configs.set_key(config, dotted, value)
    config.model.weights = configs.absolute(config.model.weights)
    config.search.storage = configs.absolute_database(config.search.storage)
    return config


def evaluate(model: keras.Model, images: Images, labels: np.ndarray) -> dict[str, Any]:
    """Returns what `metrics.summary` does of a float model on uint8 images."""
    return metrics.summary(predict(model, images), labels)


def predict(model: keras.Model, images: Images, batch: int = 256) -> np.ndarray:
    """Returns the logits (N, classes) float32 of uint8 images (N, R, R, C)."""
    traced = tf.function(lambda x: model(x, training=False))
    step = traced.get_concrete_function(tf.TensorSpec([None, *images.shape[1:]], tf.float32))  # one trace for all sizes
    parts = [step(batches.normalize(images[i : i + batch])).numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts).astype(np.float32)
