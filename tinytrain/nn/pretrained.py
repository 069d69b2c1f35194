"""Initial weights that are not random: `model.weights`.

"imagenet" uses the weights that keras.applications publishes. Its networks have the same layers in the same order as
the ones here, so weights are copied layer by layer, all but the classifier. Three differences are compensated:
- Convolutions here have no bias before BatchNorm. ResNet50's have one, which is subtracted from BatchNorm's mean.
- Networks here take y = (pixel - 128)/128. The published ones take another affine map of the pixels, so a Rescaling
  layer named "preprocessing" comes first: scale·y + offset are the values that the weights were trained on.
- ResNet50 takes blue, green, red: the input channels of its first kernel are reversed.
Both compute the same where both pad alike, with an even side before each stride of 2: at multiples of 32 pixels.

Without "imagenet", model.mean and model.std, if given, become such a Rescaling.

A path uses a model that tinytrain trained. Layers of the same name are copied; the classifier if it has as many
classes (and, in a run, the same ones in the same order). A Rescaling is kept.
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
from tinytrain.config import plugins
from tinytrain.config.schema import Model
from tinytrain.errors import UserError, escaped, nearest
from tinytrain.files import refuse_links
from tinytrain.nn import imagenet
from tinytrain.run import Run

IMAGENET = "imagenet"
PREPROCESSING = "preprocessing"  # the name of the Rescaling layer
CLASSIFIER = "logits"  # the name of the last layer, here and in MobileNetV3 of keras.applications


def build_with_weights(
    build: Callable[..., keras.Model], config: Model, classes: Sequence[str] = (), backbone_only: bool = False
) -> keras.Model:
    """Returns the network that `build` builds, with the weights that `config.weights` names.

    Args:
        build: returns the network of `config` with random weights; takes further options of its architecture.
        config: the [model] section, without "auto".
        classes: the names of the classes, in order; the classifier of a run with others is not copied.
        backbone_only: whether another head will take the place of the classifier. A network that has none, such as a
            detector, then gives what it has.

    Raises:
        UserError: the file is missing or cannot be downloaded, no weights are published for this network, or a layer
            does not fit, which it names.
    """
    if not config.weights:
        return _with_normalization(build(), config)
    if config.weights == IMAGENET:
        published = imagenet.published(config)
        model = build(**published.build_options)
        application = imagenet.application(published, float(config.width), int(config.resolution))
        _copy_published(application, model, published)
        return _with_rescaling(model, *imagenet.rescaling(application, published))
    path, source = load_weights(config.weights, "model.weights", [IMAGENET])
    model = build(**build_options(source))
    with_classifier = backbone_only or _has_same_classes(path.parent, classes)
    _copy_by_name(source, model, path, with_classifier, may_lack=backbone_only and CLASSIFIER not in _names(source))
    rescaling = next((layer for layer in source.layers if layer.name == PREPROCESSING), None)
    return _with_rescaling(model, rescaling.scale, rescaling.offset) if rescaling else model


def architecture_options(config: Model) -> dict[str, Any]:
    """Returns the keys of [model] that `build` of an architecture takes; the others are about values of weights."""
    others = ("name", "weights", "init", "norm_epsilon", "mean", "std")
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in others}


def _with_normalization(model: keras.Model, config: Model) -> keras.Model:
    """Returns `model` after a Rescaling by model.mean and model.std: (pixel/255 - mean)/std."""
    if config.mean == "none" and config.std == "none":
        return model
    channels = model.input_shape[-1]
    mean = _for_channels(config.mean, 0.0, channels, "mean")
    std = _for_channels(config.std, 1.0, channels, "std")
    scale, offset = 128 / 255 / std, (128 / 255 - mean) / std  # of y = (pixel - 128)/128
    return _with_rescaling(model, scale.tolist(), offset.tolist())


def _for_channels(values: list[float] | str, default: float, channels: int, name: str) -> np.ndarray:
    """Returns a key's value for each channel, `default` for "none"."""
    numbers = [default] * channels if isinstance(values, str) else values
    if channels == 1 and len(numbers) == 3:  # the same experiment on gray images
        numbers = [sum(numbers) / 3]
    if len(numbers) != channels:
        raise UserError(f"model.{name} = {numbers} for {channels} channels: expected one number for each channel")
    return np.array(numbers)


def build_options(model: keras.Model) -> dict[str, Any]:
    """Returns the options, beside the config's, with which `build` of the architecture gives the graph of `model`."""
    strided = [layer for layer in model.layers if layer.name.endswith("_reduce_conv") and max(layer.strides) > 1]
    return {"stride_on": "1x1"} if model.name == "resnet50" and strided else {}


def _backbone_layers(model: keras.Model) -> list[keras.Layer]:
    """Returns the layers with weights, without the classifier and the preprocessing."""
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.BatchNormalization)
    return [layer for layer in model.layers if isinstance(layer, kinds) and layer.name != CLASSIFIER]


def _copy_published(source: keras.Model, model: keras.Model, published: imagenet.Published) -> None:
    biases: dict[str, np.ndarray] = {}  # of convolutions without a bias in `model`, by the BatchNorm after them
    for source_layer, layer in zip(_backbone_layers(source), _backbone_layers(model), strict=True):
        values = source_layer.get_weights()
        if isinstance(layer, keras.layers.BatchNormalization):
            values[2] = values[2] - biases.get(layer.name, 0)  # gamma, beta, mean, variance
        elif source_layer.use_bias and not layer.use_bias:
            biases[layer.name.removesuffix("_conv") + "_bn"] = values.pop()
        layer.set_weights(values)
    if published.reverse_channels:
        first = _backbone_layers(model)[0]
        first.set_weights([first.get_weights()[0][:, :, ::-1]])


def _with_rescaling(model: keras.Model, scale: Any, offset: Any) -> keras.Model:
    """Returns a copy of `model`, weights included, that first rescales the image, in float32."""
    image = keras.Input(model.input_shape[1:], name="image")
    rescaled = keras.layers.Rescaling(scale, offset, dtype="float32", name=PREPROCESSING)(image)

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return layer(*keras.tree.map_structure(lambda x: rescaled if x is image else x, args), **kwargs)

    copy = keras.models.clone_model(model, input_tensors=image, call_function=call)
    copy.set_weights(model.get_weights())
    return copy


def load_weights(weights: str, key: str, alternatives: list[str]) -> tuple[Path, keras.Model]:
    """Returns the .keras file that `weights` names, and the model in it.

    Args:
        weights: a .keras file or a run folder.
        key: the config key it comes from, for the error message.
        alternatives: the values that the key takes beside paths, for the error message.

    Raises:
        UserError: there is no such file, or it holds no model.
    """
    path = Path(weights)
    if not path.exists():
        raise UserError(
            f"{key} = '{weights}' does not exist: give {', '.join(alternatives)}, the path of a .keras file or a run "
            f"folder{nearest(weights, alternatives)}"
        )
    if path.is_dir():
        refuse_links(path)
        path = Run(path).model_path
        if not path.exists():
            raise UserError(f"the folder '{weights}' holds no finished run: there is no {path.name} in it")
    return path, load_file(path)


def load_file(path: Path) -> keras.Model:
    """Returns the model in a .keras file.

    Raises:
        UserError: the file holds no model, or one with code in it, such as a Lambda layer, which Keras' safe mode
            refuses.
    """
    # Keras would report a damaged file as a missing one.
    if path.suffix == ".keras" and path.is_file() and not zipfile.is_zipfile(path):
        raise UserError(
            f"'{path}' is not a Keras model: it is damaged or has another format; give a .keras file or a run folder"
        )
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, zipfile and h5py raise different kinds
        reason = imagenet.one_line(error).partition(". ")[0]
        raise UserError(f"'{path}' is not a Keras model: {reason}; give a .keras file or a run folder") from None


def _has_same_classes(folder: Path, classes: Sequence[str]) -> bool:
    """Returns whether the run in `folder` has these classes, and prints a note if not; true if they are unknown."""
    run_classes = provenance.read(Run(folder)).get("classes", [])
    if not run_classes or not classes or list(run_classes) == list(classes):
        return True
    difference = "in another order" if sorted(run_classes) == sorted(classes) else "different"
    print(
        escaped(f"tinytrain: the classes of '{folder}' are {difference}: the classifier is not taken from it"),
        file=sys.stderr,
    )
    return False


def load_trained(run: Run) -> keras.Model:
    """Returns the model of a finished run.

    Raises:
        UserError: the model does not take images of the resolution and channels that the run's config names, or has
            another number of outputs than its task.
    """
    model, config = load_file(run.model_path), run.config()
    expected = (None, config.model.resolution, config.model.resolution, config.model.channels)
    task = "classify" if config.task == "auto" else config.task  # a run of before there were tasks
    outputs = plugins.load("tasks", task).FIGURES.outputs(config)
    resolved = "auto" not in expected  # as in every run that `fit` wrote
    if (resolved and model.input_shape != expected) or len(model.outputs) != outputs:
        raise UserError(
            f"'{run.model_path}' is not the model of its run: it takes {model.input_shape} and has "
            f"{len(model.outputs)} outputs, expected {expected} and {outputs} by config.toml"
        )
    return model


def complete(detector: keras.Model, config: Model) -> None:
    """Fills the head of `detector` from the detector that `config.weights` names, where layers have the same shape.

    Prints how many layers with weights came from that file; the backbone has been filled by `build_with_weights`.
    """
    if not config.weights or config.weights == IMAGENET:
        return
    path, source = load_weights(config.weights, "model.weights", [IMAGENET])
    source_layers, layers = _weighted_layers(source), _weighted_layers(detector)
    taken = [name for name, layer in layers.items() if _shape(layer) == _shape(source_layers.get(name))]
    for name in taken:
        layers[name].set_weights(source_layers[name].get_weights())
    random = len(layers) - len(taken)
    print(
        escaped(
            f"tinytrain: {len(taken)} of {len(layers)} layers with weights are taken from '{path}'"
            + (f", {random} start with random ones" if random else "")
        ),
        file=sys.stderr,
    )


def _weighted_layers(model: keras.Model) -> dict[str, keras.Layer]:
    return {layer.name: layer for layer in model.layers if layer.weights}


def _names(model: keras.Model) -> set[str]:
    return {layer.name for layer in model.layers}


def _copy_by_name(
    source: keras.Model, model: keras.Model, path: Path, with_classifier: bool, may_lack: bool = False
) -> None:
    """Copies the weights of every layer to the one of the same name; the classifier's if it is wanted and fits.

    Layers that only one of both has are an error, unless they `may_lack`.
    """
    source_layers, model_layers = _weighted_layers(source), _weighted_layers(model)
    for name in [*model_layers, *source_layers]:
        if name == CLASSIFIER or (may_lack and not (name in source_layers and name in model_layers)):
            continue
        shapes = [_shape(layers.get(name)) for layers in (source_layers, model_layers)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"the weights in '{path}' do not fit the model: the layer '{name}' is {shapes[0]} in the file and "
                f"{shapes[1]} in {model.name}{_trained_with(path)}"
            )
    for name, layer in model_layers.items():
        if _shape(layer) == _shape(source_layers.get(name)) and (with_classifier or name != CLASSIFIER):
            layer.set_weights(source_layers[name].get_weights())
        if isinstance(layer, keras.layers.BatchNormalization) and name in source_layers:
            layer.epsilon = source_layers[name].epsilon


def _shape(layer: keras.Layer | None) -> str:
    return "missing" if layer is None else " ".join("x".join(map(str, weight.shape)) for weight in layer.weights)


def _trained_with(path: Path) -> str:
    """Returns the end of an error sentence, with the [model] keys of the run that `path` is in, or ""."""
    try:
        model = Run.open(path.parent).config().model
    except UserError:
        return ""
    return f"; it was trained with model.name={model.name} model.width={model.width} model.channels={model.channels}"
