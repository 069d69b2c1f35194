"""A cosine head (cosine_head.py) for int8: one FULLY_CONNECTED, as any other classifier.

cosθ_j = w_j·x / |x|: the length of the features, |x|, is the same for all classes of an image, so the operators that
find and divide by it, which int8 kernels do badly, are left out. The scores of the int8 model are then not cosines but

    s/μ · w_j·x  =  s·cosθ_j · |x|/μ,     μ = the mean |x| of the calibration images, s = am_softmax.scale

so about the logits that the loss was taken of, which the quantization-aware fine-tune goes on with. Before it, top-1, top-5 and
the order of the classes of an image are those of the float model. The scores of one class in different images, on which
classwise mAP depends, compare less well: those of an image with long features count more.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from tinytrain.graph import walk

BATCH = 50


def linear(model: keras.Model, images: np.ndarray, scale: float) -> keras.Model:
    """Returns `model` without the normalisation of its cosine head, its logits about `scale` times cosθ.

    images: (N, R, R, C) float32 in [-1, 1), which the mean length of the features is taken of. A model without cosine
    head is returned as it is.
    """
    norm = _normalization(model)
    if norm is None:
        return model
    features = keras.Model(model.inputs, norm.input)
    parts = [features(images[start : start + BATCH], training=False) for start in range(0, len(images), BATCH)]
    length = np.linalg.norm(np.concatenate(parts).astype("float64"), axis=-1).mean()
    return without_norm(model, scale / max(length, 1e-12))


def without_norm(model: keras.Model, factor: float = 1.0) -> keras.Model:
    """Returns a copy of `model` without the normalisation of its cosine head: logits times |x| and `factor`.

    A model without cosine head is returned as it is.
    """
    norm = _normalization(model)
    if norm is None:
        return model

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name == norm.name else layer(*args, **kwargs)

    def clone(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    *body, kernel = model.get_weights()
    copy.set_weights([*body, kernel * factor])
    return copy


def _normalization(model: keras.Model) -> layers.UnitNormalization | None:
    """Returns the UnitNormalization of a cosine head: what only a Dense without bias reads, which gives the logits.

    Any other one cannot be left out: `twin.rebuild` refuses it by its name.
    """
    graph = walk(model)
    makers = {number: call for call in graph.calls for number in call.outputs}
    last = makers[graph.outputs[0]]
    norm = makers.get(last.inputs[0])
    if norm is None or not isinstance(norm.layer, layers.UnitNormalization) or norm.layer not in model.layers:
        return None
    linear = isinstance(last.layer, layers.Dense) and not last.layer.use_bias
    linear = linear and last.layer.activation is keras.activations.linear
    alone = len(graph.readers()[norm.output]) == 1 and norm.output not in graph.outputs
    along_features = norm.layer.axis in (-1, len(graph.shapes[norm.output]) - 1)
    once = [call.layer for call in graph.calls].count(norm.layer) == 1
    return norm.layer if linear and alone and along_features and once else None
