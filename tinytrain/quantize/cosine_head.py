"""Converts a cosine head (nn/cosine_head.py) for int8 to one FULLY_CONNECTED, like any other classifier.

cosθ_j = w_j·x / |x|. The norm of the features, |x|, is the same for all classes of an image, and int8 kernels compute
it and divide by it badly, so these operators are left out. The scores of the int8 model are then not cosines but

    s/μ · w_j·x  =  s·cosθ_j · |x|/μ,     μ = the mean |x| of the calibration images, s = am_softmax.scale

These are about the logits that the network was trained with, so the quantization-aware fine-tune goes on from there.
The order of the classes of an image does not change. The scores of one class in different images, on
which classwise mAP depends, are harder to compare: images with long features count more.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from tinytrain.nn.graph import walk

BATCH = 50


def linear(model: keras.Model, images: np.ndarray, scale: float) -> keras.Model:
    """Returns a model without the normalization of its cosine head, with logits of about `scale`·cosθ.

    Args:
        model: the trained model; without a cosine head it is returned as it is.
        images: (N, R, R, C) float32 in [-1, 1), over which the norm of the features is averaged.
        scale: am_softmax.scale, the factor s of the cosines in the loss.
    """
    head = _cosine_head(model)
    if head is None:
        return model
    features = keras.Model(model.input, head[0].input)
    batches = [features(images[start : start + BATCH], training=False) for start in range(0, len(images), BATCH)]
    mean_norm = np.linalg.norm(np.concatenate(batches).astype("float64"), axis=-1).mean()
    return without_norm(model, scale / max(mean_norm, 1e-12))


def without_norm(model: keras.Model, factor: float = 1.0) -> keras.Model:
    """Returns a copy of `model` without the normalization of its cosine head: its logits times |x| and `factor`.

    A model without a cosine head is returned as it is.
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
    """Returns the UnitNormalization and the Dense without bias that make a cosine head, or None.

    The Dense gives the logits and alone reads the normalized features. A UnitNormalization anywhere else cannot be left
    out: `tf_keras_clone.rebuild` refuses it by name.
    """
    graph = walk(model)
    last = graph.producer(graph.outputs[0])
    if last is None or not _is_linear(last.layer):
        return None
    norm = graph.producer(last.inputs[0])
    if norm is None or not isinstance(norm.layer, layers.UnitNormalization) or norm.layer not in model.layers:
        return None
    readers = len(graph.consumers()[norm.output]) + (norm.output in graph.outputs)
    read_once = readers == 1 and norm.layer not in graph.shared_layers()
    along_features = norm.layer.axis in (-1, len(graph.shapes[norm.output]) - 1)
    return (norm.layer, last.layer) if read_once and along_features else None


def _is_linear(layer: keras.Layer) -> bool:
    """Returns whether a layer is a Dense without activation and bias."""
    is_linear = isinstance(layer, layers.Dense) and layer.activation is keras.activations.linear
    return is_linear and not layer.use_bias
