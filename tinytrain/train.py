"""`tinytrain fit`: from a config to a trained model, straight down."""

import dataclasses
import functools
import os
import statistics
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from tinytrain import balance, check, checkpoint, macs, metrics, optim, origin, pipeline, rooms, splits, weights
from tinytrain import config as configs
from tinytrain.augment import Augmentation
from tinytrain.config import Config
from tinytrain.datasets import Source
from tinytrain.errors import UserError
from tinytrain.method import Method, Training
from tinytrain.progress import Clock, Progress, StopAtNaN
from tinytrain.run import Run, write_json, write_text

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
    model = _begun_model(run, config) or build_model(config, len(source.classes))
    data = Split(source, config)
    training = _Training(config, data, model)
    if run is None:
        if mcu:
            from tinytrain.deploy.fits import refuse_if_too_large

            refuse_if_too_large(training.method.plain, config, len(source.classes), mcu)
        _tell_findings(data, config)
        name = f"{config.data.spec.partition(':')[0]}-{config.model.name}"
        run = Run.create(Path(out) if out else None, name)
        write_json(run.split_path, splits.as_names(source, data.subsets))
        if config.model.weights:
            write_text(run.graph_path, model.to_json())
        write_text(run.config_path, configs.dump(config))
    origin.record(run, source.classes)
    training.fit(run)
    _finish(run, data, training.method, training.history)
    return run


def _tell_findings(data: "Split", config: Config) -> None:
    """Prints what is wrong with the data to standard error, once for a run."""
    found = check.findings(data.source, data.subsets) if config.data.check else []
    for line in check.as_lines([dataclasses.replace(finding, severe=False) for finding in found]):
        print(line, file=sys.stderr)
    if any(len(finding.files) > check.SHOWN for finding in found):
        print(f"`tinytrain data {config.data.spec}` names all files", file=sys.stderr)


def _begun_model(run: Run | None, config: Config) -> keras.Model | None:
    """Returns the network of a run with a checkpoint, which brings the weights: model.weights may be gone."""
    if run is None or not run.last_path.exists() or not run.graph_path.exists():
        return None
    keras.utils.set_random_seed(config.seed)
    return keras.models.model_from_json(run.graph_path.read_text())


class _Training:
    """What `fit` has made before it writes anything, so that a mistake in the config leaves no run folder behind."""

    def __init__(self, config: Config, data: "Split", model: keras.Model) -> None:
        self.config, self.data, self.history = config, data, []  # type: ignore[var-annotated]
        images, labels = data.arrays("train")
        classes, weights = len(data.source.classes), None
        if config.data.balance == "class_weights":
            weights = balance.class_weights(labels, classes)
        elif config.data.balance == "balanced_sampling":
            images, labels = balance.evenly(images, labels, config.seed)
        self.batch = min(config.optim.batch, len(images))
        self.steps = len(images) // self.batch
        augmentation = Augmentation(config.augment, int(config.model.resolution))
        self.batches = functools.partial(
            pipeline.training_batches, images, labels, classes, self.batch, augment=augmentation
        )
        training = Training(
            self.steps, self.batch, lambda seed, steps: self.batches(seed, range(steps)), data.source.classes
        )
        self.method = build_method(model, config, training)
        _compile(self.method, config, self.steps, weights)

    def fit(self, run: Run) -> None:
        """Trains from the last checkpoint of `run`, or from the start, to the end."""
        epochs = self.config.optim.epochs
        done, self.history = _restore(run, self.method)
        if done == epochs:
            return
        self.method.fit(
            self.batches(self.config.seed, range(done * self.steps, epochs * self.steps)),
            initial_epoch=done,
            epochs=epochs,
            steps_per_epoch=self.steps,
            shuffle=False,
            validation_data=self.data.batches("val"),
            verbose=0,
            callbacks=[
                clock := Clock(),
                *self.method.callbacks(),
                Progress(epochs, self.steps * self.batch, self.batch, clock),
                StopAtNaN(),
                checkpoint.Checkpoint(run, self.history),
            ],
        )


def build_method(model: keras.Model, config: Config, training: Training) -> Method:
    """Returns the methods of `config` around `model`, the first one innermost; none is plain training.

    What they draw at random depends on the seed alone, not on what was drawn before.
    """
    keras.utils.set_random_seed(config.seed)
    method: Any = model
    for name in configs.methods(config):
        method = rooms.load("methods", name).build(method, config, training)
    return method if isinstance(method, Method) else Method(method)


def _compile(method: Method, config: Config, steps_per_epoch: int, weights: np.ndarray | None) -> None:
    smoothing = config.optim.label_smoothing
    plain = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    method.compile(
        optimizer=optim.build(config.optim, steps_per_epoch),
        loss=plain if weights is None else balance.WeightedCrossEntropy(weights, smoothing),
        metrics=[keras.metrics.CategoricalAccuracy("top1")],
        jit_compile=config.device.jit,
    )
    method.optimizer.build(method.trainable_variables)


def _restore(run: Run, method: Method) -> tuple[int, list[dict[str, float]]]:
    """Returns (whole epochs done, history) after bringing back the last checkpoint, if there is one."""
    if not run.last_path.exists():
        return 0, []
    state = checkpoint.load(run.last_path, checkpoint.trained_variables(method))
    return state["epoch"], state["history"]


def _finish(run: Run, data: "Split", method: Method, history: list[dict[str, float]]) -> None:
    """Saves the plain model with the best weights and measures it: the only look at the test images."""
    best = checkpoint.load(run.best_path, method.network.variables)
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
            "best_epoch": best["epoch"],
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


class Split:
    """The decoded images of a source, split; a split is decoded when it is first asked for."""

    def __init__(self, source: Source, config: Config) -> None:
        self.source, self.model, self.resize = source, config.model, config.data.resize
        self.subsets = splits.split(source, config.data, config.seed)

    def arrays(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns (images (N, R, R, C) uint8, labels (N,) int64) of "train", "val" or "test"."""
        part = self.subsets[name]
        pool = self.source.pools[part.pool]
        images = pipeline.decode(pool, int(self.model.resolution), int(self.model.channels), self.resize)
        whole = len(part.indices) == len(images)
        return images if whole else images[part.indices], pool.labels[part.indices]

    def batches(self, name: str) -> tf.data.Dataset:
        """Returns a split as batches (x, one-hot y), in order and not augmented."""
        return pipeline.evaluation_batches(*self.arrays(name), len(self.source.classes))


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
    found = {
        "data.resize": source.resize,
        "data.split": source.split,
        "model.width": usual["width"],
        "model.resolution": min(source.side or LARGEST_AUTO_RESOLUTION, LARGEST_AUTO_RESOLUTION),
        "model.channels": source.channels,
        "model.stem": usual.get("stem", "imagenet"),
        "augment.flip": source.flip,
        "netaug.width_factors": rooms.load("methods", "netaug").usual_width_factors(config.model.name),
        "device.precision": "mixed_float16" if on_gpu else "float32",
        "device.jit": on_gpu and "netaug" not in configs.methods(config),  # another width in every step
    }
    for dotted, value in found.items():
        if configs.get_key(config, dotted) == "auto":
            configs.set_key(config, dotted, value)
    config.model.weights = configs.absolute(config.model.weights)
    return config


def build_model(config: Config, classes: int) -> keras.Model:
    """Returns the untrained model of a config without "auto", with the weights that model.weights names.

    What they do not cover, the classifier of another number of classes or all of it, is drawn from the seed.
    """
    keras.utils.set_random_seed(config.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.device.precision)
    options = dataclasses.asdict(config.model)
    del options["name"], options["weights"]
    build = functools.partial(rooms.load("models", config.model.name).build, classes=classes, **options)
    try:
        return weights.initialized(build, config.model)
    finally:
        keras.config.set_dtype_policy(policy)


def evaluate(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Returns {"top1", "top5", "macro_f1", "map", "loss", "images"} of a float model on uint8 images."""
    return metrics.summary(predict(model, images), labels)


def predict(model: keras.Model, images: np.ndarray, batch: int = 256) -> np.ndarray:
    """Returns the logits (N, classes) float32 of uint8 images (N, R, R, C)."""
    step = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    parts = [step(pipeline.normalize(images[i : i + batch])).numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts).astype(np.float32)
