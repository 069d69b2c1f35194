"""A cosine head (cosine_head.py) for int8: one FULLY_CONNECTED, as any other classifier.

cosθ_j = w_j·x / |x|: the length of the features, |x|, is the same for all classes of an image, so the operators that
find and divide by it, which int8 kernels do badly, are left out. The scores of the int8 model are then not cosines but

    s/μ · w_j·x  =  s·cosθ_j · |x|/μ,     μ = the mean |x| of the calibration images, s = am_softmax.scale

so about the logits that the loss was taken of, which the quantization-aware fine-tune goes on with. That leaves top-1,
top-5 and the order of the classes of an image as they are. The scores of one class in different images, on which
classwise mAP depends, compare less well: those of an image with long features count more.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from tinytrain.nn.graph import walk

BATCH = 50


def linear(model: keras.Model, images: np.ndarray, scale: float) -> keras.Model:
    """Returns `model` without the normalisation of its cosine head, its logits about `scale` times cosθ.

    images: (N, R, R, C) float32 in [-1, 1), which the mean length of the features is taken of. A model without cosine
    head is returned as it is.
    """
    head = _cosine_head(model)
    if head is None:
        return model
    features = keras.Model(model.input, head[0].input)
    parts = [features(images[start : start + BATCH], training=False) for start in range(0, len(images), BATCH)]
    length = np.linalg.norm(np.concatenate(parts).astype("float64"), axis=-1).mean()
    return without_norm(model, scale / max(length, 1e-12))


def without_norm(model: keras.Model, factor: float = 1.0) -> keras.Model:
    """Returns a copy of `model` without the normalisation of its cosine head: logits times |x| and `factor`.

    A model without cosine head is returned as it is.
    """
    head = _cosine_head(model)
    if head is None:
        return model
    norm, classifier = head

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name == norm.name else layer(*args, **kwargs)

    def clone(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    copy.set_weights(model.get_weights())
    copy.get_layer(classifier.name).set_weights([classifier.get_weights()[0] * factor])
    return copy


def _cosine_head(model: keras.Model) -> tuple[layers.UnitNormalization, layers.Dense] | None:
    """Returns a UnitNormalization that only a Dense without bias reads, and this Dense, which gives the logits.

    Any other UnitNormalization cannot be left out: `twin.rebuild` refuses it by its name.
    """
    graph = walk(model)
    last = graph.producer(graph.outputs[0])
    if last is None or not _is_linear(last.layer):
        return None
    norm = graph.producer(last.inputs[0])
    if norm is None or not isinstance(norm.layer, layers.UnitNormalization) or norm.layer not in model.layers:
        return None
    readers = len(graph.consumers()[norm.output]) + (norm.output in graph.outputs)
    alone = readers == 1 and norm.layer not in graph.shared_layers()
    along_features = norm.layer.axis in (-1, len(graph.shapes[norm.output]) - 1)
    return (norm.layer, last.layer) if alone and along_features else None


def _is_linear(layer: keras.Layer) -> bool:
    plain = isinstance(layer, layers.Dense) and layer.activation is keras.activations.linear
    return plain and not layer.use_bias
