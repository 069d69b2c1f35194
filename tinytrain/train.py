"""`tinytrain fit`: from a config to a trained model, straight down."""

import dataclasses
import os
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from tinytrain import check, checkpoint, lr_usual, macs, metrics, origin, pipeline, rooms, splits
from tinytrain import config as configs
from tinytrain.datasets import Source
from tinytrain.errors import UserError, escaped
from tinytrain.method import Method
from tinytrain.run import Run, write_json, write_text
from tinytrain.schema import Config
from tinytrain.splits import Split
from tinytrain.tensorboard_log import TensorBoardLog
from tinytrain.trainer import Trainer, build_model

LARGEST_AUTO_RESOLUTION = 96


def fit(config: Config, out: Path | str | None = None, mcu: str | None = None, resume: bool = False) -> Run:
    """Trains the model of `config` and returns its run folder, finished.

    Args:
        config: the run; with `resume` the one it was begun with, or `Config()` to take what the run folder holds.
        out: the run folder, by default the first free runs/DATA-MODEL-NNN.
        mcu: a board or microcontroller; the untrained network is converted and refused if it does not fit.
        resume: go on after the last whole epoch of the run in `out`, as if it had never stopped.

    Raises:
        UserError: a mistake in the config or the data. DoesNotFit: too large for `mcu`.
    """
    configs.check(config)
    source = load_source(config)
    config = resolve(config, source)
    run = Run.open(Path(out)) if resume and out else None
    if run and run.finished:
        return run
    searches = config.search.way != "none"
    if searches:
        from tinytrain import lr_search  # with Optuna and its database, which no other training needs
    if searches and run is None:
        lr_search.check(config)
    model = _begun_model(run, config) or build_model(config, len(source.classes))
    data = Split(source, config)
    trainer = Trainer(config, data, model)
    if run is None:
        if mcu:
            from tinytrain.deploy.fits import refuse_if_too_large

            refuse_if_too_large(trainer.method.plain, config, len(source.classes), mcu)
        _tell_findings(data, config)
        name = f"{config.data.spec.partition(':')[0]}-{config.model.name}"
        run = Run.create(Path(out) if out else None, name)
        write_json(run.split_path, splits.as_names(source, data.subsets))
        if config.model.weights:
            write_text(run.graph_path, model.to_json())
        write_text(run.config_path, configs.dump(config))
    origin.record(run, source.classes)
    if searches:
        trainer.compile(lr_search.find(run, config, data))
    try:
        trainer.fit(run, _callbacks(run, trainer))
    except tf.errors.ResourceExhaustedError:
        raise UserError(
            f"not enough memory to train {trainer.batch:,} images a step: lower optim.batch, model.resolution or "
            f"model.width; the run '{run.folder}' is begun"
        ) from None
    _finish(run, data, trainer.method, trainer.history, config.optim.keep)
    return run


def _callbacks(run: Run, trainer: Trainer) -> list[keras.callbacks.Callback]:
    """Returns what a training does besides, as [log] of its config says."""
    if not trainer.config.log.tensorboard:
        return []
    return [TensorBoardLog(run.folder / "tensorboard", lambda: trainer.history)]


def _tell_findings(data: Split, config: Config) -> None:
    """Prints what is wrong with the data to standard error, once for a run."""
    found = check.findings(data.source, data.subsets) if config.data.check else []
    for line in check.as_lines([dataclasses.replace(finding, severe=False) for finding in found]):
        print(escaped(line), file=sys.stderr)
    if any(len(finding.files) > check.SHOWN for finding in found):
        print(escaped(f"`tinytrain data {shlex.quote(config.data.spec)} --json` names all files"), file=sys.stderr)


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
    temporary = run.folder / f".{os.getpid()}.keras"
    try:
        model.save(temporary)
        os.replace(temporary, run.model_path)
    except OSError as error:
        raise UserError(f"cannot write '{run.model_path}': {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def load_source(config: Config) -> Source:
    """Returns the data source that data.spec names, its splits joined as data.split says."""
    module, argument = configs.room(config.data.spec)
    return splits.arrange(rooms.load("datasets", module).load(argument, config.data), config.data.split)


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
    if source.channels == 0 and config.model.channels == "auto":
        raise UserError(
            f"'{config.data.spec}' mixes gray, color or transparent images: say what the model sees, "
            "model.channels=3 (color) or model.channels=1 (gray)"
        )
    usual = rooms.load("models", config.model.name).USUAL
    low, high = lr_usual.learning_rates(config.model.name)
    methods = {name: rooms.load("methods", name) for name in rooms.names("methods")}
    found = {
        "data.resize": source.resize,
        "data.split": source.split,
        "model.width": usual["width"],
        "model.resolution": min(source.side or LARGEST_AUTO_RESOLUTION, LARGEST_AUTO_RESOLUTION),
        "model.channels": source.channels,
        "model.stem": usual.get("stem", "imagenet"),
        "augment.flip": source.flip,
        "search.low": low,
        "search.high": high,
        "search.epochs": lr_usual.epochs(config.search.way),
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


def evaluate(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Returns what `metrics.summary` does of a float model on uint8 images."""
    return metrics.summary(predict(model, images), labels)


def predict(model: keras.Model, images: np.ndarray, batch: int = 256) -> np.ndarray:
    """Returns the logits (N, classes) float32 of uint8 images (N, R, R, C)."""
    traced = tf.function(lambda x: model(x, training=False))
    step = traced.get_concrete_function(tf.TensorSpec([None, *images.shape[1:]], tf.float32))  # one trace for all sizes
    parts = [step(pipeline.normalize(images[i : i + batch])).numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts).astype(np.float32)
