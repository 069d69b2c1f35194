"""The weights that a training begins from, when they are not random: `model.weights`.

"imagenet" takes what keras.applications publishes. Its graphs and ours have the same layers in the same order, so the
weights are copied layer by layer, all but the classifier. Ours differ in three things, which are evened out:
- a convolution of ours has no bias in front of BatchNorm, where ResNet50 has one: it is subtracted from the mean;
- ours are fed y = (pixel - 128)/128. What theirs expect is another affine map of the pixels, so a Rescaling named
  "preprocessing" stands in front: scale·y + offset are the numbers that the published weights were trained on;
- ResNet50 sees blue, green, red: the input channels of its first kernel are turned around.
Equal they are where both pad alike, for an even side before each stride of 2: multiples of 32 pixels.

Without them model.mean and model.std, if given, are such a Rescaling.

A path takes a model that we trained. The layers of the same name are copied, the classifier if it has as many classes
(of a run: the same ones in the same order), and the Rescaling, if it has one, is kept.
"""

import dataclasses
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinytrain import provenance
from tinytrain.config.schema import Model
from tinytrain.errors import UserError, escaped, nearest
from tinytrain.files import refuse_links
from tinytrain.nn import imagenet
from tinytrain.run import Run

IMAGENET = "imagenet"
PREPROCESSING = "preprocessing"  # the name of the Rescaling
CLASSIFIER = "logits"  # ours, and that of MobileNetV3 in keras.applications


def initialized(build: Callable[..., keras.Model], config: Model, classes: Sequence[str] = ()) -> keras.Model:
    """Returns what `build()` returns, with the weights that `config.weights` names.

    Args:
        build: returns the network of `config`, with random weights; it takes the options of its architecture.
        config: [model] of a run, without "auto".
        classes: the names of its classes, in order; the classifier of a run with others is not taken.

    Raises:
        UserError: no such file, none that is published for this network, no way to download it, or layers that do not
        fit, the first of them named.
    """
    if not config.weights:
        return _normalized(build(), config)
    if config.weights == IMAGENET:
        published = imagenet.published(config)
        model = build(**published.build_options)
        application = imagenet.application(published, float(config.width), int(config.resolution))
        _copy_published(application, model, published)
        return _with_rescaling(model, *imagenet.rescaling(application, published))
    path, source = read(config.weights, "model.weights", [IMAGENET])
    model = build(**build_options(source))
    _copy_ours(source, model, path, with_classifier=_same_classes(path.parent, classes))
    rescaling = next((layer for layer in source.layers if layer.name == PREPROCESSING), None)
    return _with_rescaling(model, rescaling.scale, rescaling.offset) if rescaling else model


def architecture_options(config: Model) -> dict[str, Any]:
    """Returns what `build` of an architecture takes of [model]: the rest is about its numbers."""
    numbers = ("name", "weights", "init", "norm_epsilon", "mean", "std")
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in numbers}


def _normalized(model: keras.Model, config: Model) -> keras.Model:
    """Returns `model` behind the Rescaling of model.mean and model.std: (pixel/255 - mean)/std."""
    if config.mean == "none" and config.std == "none":
        return model
    channels = model.input_shape[-1]
    mean = _for_channels(config.mean, 0.0, channels, "mean")
    std = _for_channels(config.std, 1.0, channels, "std")
    scale, offset = 128 / 255 / std, (128 / 255 - mean) / std  # of y = (pixel - 128)/128
    return _with_rescaling(model, scale.tolist(), offset.tolist())


def _for_channels(values: list[float] | str, default: float, channels: int, name: str) -> np.ndarray:
    listed = [default] * channels if isinstance(values, str) else values
    if channels == 1 and len(listed) == 3:  # the same experiment on gray images
        listed = [sum(listed) / 3]
    if len(listed) != channels:
        raise UserError(f"model.{name} = {listed} for {channels} channels: expected one number for each channel")
    return np.array(listed)


def build_options(model: keras.Model) -> dict[str, Any]:
    """Returns what `build` of the architecture must be told, beside the config, to give the graph of `model`."""
    strided = [layer for layer in model.layers if layer.name.endswith("_reduce_conv") and max(layer.strides) > 1]
    return {"stride_on": "1x1"} if model.name == "resnet50" and strided else {}


def _body(model: keras.Model) -> list[keras.Layer]:
    """Returns the layers with weights, without the classifier and without preprocessing."""
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.BatchNormalization)
    return [layer for layer in model.layers if isinstance(layer, kinds) and layer.name != CLASSIFIER]


def _copy_published(source: keras.Model, model: keras.Model, published: imagenet.Published) -> None:
    biases: dict[str, np.ndarray] = {}  # of convolutions that have none in our graph, by the BatchNorm behind them
    for theirs, ours in zip(_body(source), _body(model), strict=True):
        values = theirs.get_weights()
        if isinstance(ours, keras.layers.BatchNormalization):
            values[2] = values[2] - biases.get(ours.name, 0)  # gamma, beta, mean, variance
        elif theirs.use_bias and not ours.use_bias:
            biases[ours.name.removesuffix("_conv") + "_bn"] = values.pop()
        ours.set_weights(values)
    if published.reverse_channels:
        first = _body(model)[0]
        first.set_weights([first.get_weights()[0][:, :, ::-1]])


def _with_rescaling(model: keras.Model, scale: Any, offset: Any) -> keras.Model:
    """Returns a copy of `model`, weights included, that rescales its image first, in float32."""
    image = keras.Input(model.input_shape[1:], name="image")
    rescaled = keras.layers.Rescaling(scale, offset, dtype="float32", name=PREPROCESSING)(image)

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return layer(*keras.tree.map_structure(lambda x: rescaled if x is image else x, args), **kwargs)

    copy = keras.models.clone_model(model, input_tensors=image, call_function=call)
    copy.set_weights(model.get_weights())
    return copy


def read(weights: str, key: str, words: list[str]) -> tuple[Path, keras.Model]:
    """Returns the file that `weights` (a file or a run folder) means and the model in it.

    Raises UserError, which names the config's `key` and the `words` that it knows beside paths, if there is none.
    """
    path = Path(weights)
    if not path.exists():
        raise UserError(
            f"{key} = '{weights}' does not exist: give {', '.join(words)}, the path of a .keras file or a run folder"
            f"{nearest(weights, words)}"
        )
    if path.is_dir():
        refuse_links(path)
        path = Run(path).model_path
        if not path.exists():
            raise UserError(f"the folder '{weights}' holds no finished run: there is no {path.name} in it")
    return path, load_file(path)


def load_file(path: Path) -> keras.Model:
    """Returns the model in a .keras file.

    Raises UserError if there is none, or one that holds code, such as a Lambda layer: Keras' safe mode runs none.
    """
    if (
        path.suffix == ".keras" and path.is_file() and not zipfile.is_zipfile(path)
    ):  # Keras would say that the file is not there
        raise UserError(
            f"'{path}' is no Keras model: it is damaged or of another format; give a .keras file or a run folder"
        )
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, zipfile and h5py each raise their own
        reason = imagenet.one_line(error).partition(". ")[0]
        raise UserError(f"'{path}' is no Keras model: {reason}; give a .keras file or a run folder") from None


def _same_classes(folder: Path, classes: Sequence[str]) -> bool:
    """Returns whether the run in `folder`, if it is one that names its classes, has `classes`; tells it if not."""
    theirs = provenance.read(Run(folder)).get("classes", [])
    if not theirs or not classes or list(theirs) == list(classes):
        return True
    order = "in another order" if sorted(theirs) == sorted(classes) else "different"
    print(
        escaped(f"tinytrain: the classes of '{folder}' are {order}: the classifier is not taken from it"),
        file=sys.stderr,
    )
    return False


def trained(run: Run) -> keras.Model:
    """Returns the model of a finished run; raises UserError unless it is one for the images that its config says."""
    model, config = load_file(run.model_path), run.config().model
    expected = (None, config.resolution, config.resolution, config.channels)
    known = "auto" not in expected  # as in every run that `fit` wrote
    if known and model.input_shape != expected:
        raise UserError(
            f"'{run.model_path}' is not the model of its run: it takes {model.input_shape}, expected {expected} by "
            "config.toml"
        )
    return model


def _copy_ours(source: keras.Model, model: keras.Model, path: Path, with_classifier: bool) -> None:
    """Copies every layer by its name, the classifier only if it is wanted and fits too."""
    found = {layer.name: layer for layer in source.layers if layer.weights}
    wanted = {layer.name: layer for layer in model.layers if layer.weights}
    for name in [*wanted, *found]:
        if name == CLASSIFIER:
            continue
        shapes = [_shape(layers.get(name)) for layers in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"the weights in '{path}' do not fit the model: the layer '{name}' is {shapes[0]} in the file and "
                f"{shapes[1]} in {model.name}{_trained_with(path)}"
            )
    for name, layer in wanted.items():
        if _shape(layer) == _shape(found.get(name)) and (with_classifier or name != CLASSIFIER):
            layer.set_weights(found[name].get_weights())
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = found[name].epsilon


def _shape(layer: keras.Layer | None) -> str:
    return "missing" if layer is None else " ".join("x".join(map(str, weight.shape)) for weight in layer.weights)


def _trained_with(path: Path) -> str:
    """Returns the end of a sentence that names the [model] keys of the run that `path` is in, or ""."""
    try:
        model = Run.open(path.parent).config().model
    except UserError:
        return ""
    return f"; it was trained with model.name={model.name} model.width={model.width} model.channels={model.channels}"
