"""Where an int8 model loses accuracy: the signal-to-noise ratio of every layer.

The ratio is 10·log10(Σ x² / Σ (x - q)²) in decibels, x the value of the float layer, q of the quantized one: 6 dB are
one bit. The float layers have the weights that the quantization-aware fine-tune ended with, so that only what
quantization does is counted as noise.
"""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tinytrain.quantize import qat
from tinytrain.quantize.clone_builder import Clip

BATCH = 50
EXACT_DB = 200.0  # stands for no noise at all, which has no finite ratio
BULK = 99  # percent of the values that `bulk_share` is about


def layers(model: tf_keras.Model, twin: tf_keras.Model, images: np.ndarray) -> list[dict[str, Any]]:
    """Returns a row for each operator of the fake-quantized `model`, the one that adds most noise first.

    {"layer", "operator", "own_db", "total_db", "weights_db", "low", "high", "bulk_share"}. `own_db` compares the layer
    with its float self on the same quantized input: the noise that it adds. `total_db` compares with the float network:
    the noise that has come together up to there. `weights_db` is about the weights alone, None without weights.
    [low, high] is the range of the output in real units and `bulk_share` the share of it, 0..1, that the middle 99 % of
    its values take: little means that a few large values stretch the range and leave the others few steps.

    Args:
        model: what `qat.quantize` or `qat.fine_tune` made of `twin`.
        twin: the float twin, given the weights of `model` here.
        images: (N, R, R, C) float32 in [-1, 1).
    """
    take_weights(model, twin)
    chosen = [wrapper for wrapper in qat.operators(model) if _computes(wrapper)]
    probe = _probe(model, twin, chosen)
    sums, values = np.zeros((len(chosen), 4)), [np.empty(0)] * len(chosen)
    for start in range(0, len(images), BATCH):
        for number, (found, own, whole) in enumerate(probe(tf.constant(images[start : start + BATCH]))):
            sums[number] += [_power(own), _power(own - found), _power(whole), _power(whole - found)]
            values[number] = found.numpy().ravel() if start == 0 else values[number]
    rows = [_row(wrapper, *pair) for wrapper, *pair in zip(chosen, sums, values, strict=True)]
    return sorted(rows, key=lambda row: row["own_db"])


def take_weights(model: tf_keras.Model, twin: tf_keras.Model) -> None:
    """Gives the float `twin` the weights, not quantized, of the fake-quantized `model`."""
    for wrapper in qat.operators(model):
        config = wrapper.quantize_config
        if config.kernel:
            twin.get_layer(wrapper.layer.name).set_weights([config.variable.numpy(), config.bias.numpy()])


def _computes(wrapper: Any) -> bool:
    """True for a layer whose output has quantization of its own: not the image, a flattening or a clipping."""
    return wrapper.layer.name != "image" and wrapper.quantize_config.output is not None


def _probe(model: tf_keras.Model, twin: tf_keras.Model, chosen: list[Any]) -> Any:
    """Returns a function of images that gives for each of `chosen` (quantized, own float, whole float) outputs."""
    quantized = {wrapper.layer.name: wrapper.output for wrapper in qat.operators(model)}
    own, whole = [], []
    for wrapper in chosen:
        layer = twin.get_layer(wrapper.layer.name)
        node = layer.inbound_nodes[0]
        before = [quantized[source.name] for source in tf.nest.flatten(node.inbound_layers)]
        clip = _clip(layer)
        own.append(clip(layer(before[0] if len(before) == 1 else before)))
        whole.append(clip(node.outputs))
    on_quantized = tf_keras.Model(model.inputs, [[w.output for w in chosen], own])
    on_float = tf_keras.Model(twin.inputs, whole)

    @tf.function(reduce_retracing=True)
    def outputs(x: Any) -> list[Any]:
        found, alone = on_quantized(x, training=False)
        return list(zip(found, alone, tf.nest.flatten(on_float(x, training=False)), strict=True))

    return outputs


def _clip(layer: tf_keras.layers.Layer) -> Any:
    """Returns what the operator of `layer` does to its result besides: the clipping of the layer behind it."""
    readers = [node.outbound_layer for node in layer.outbound_nodes]
    return readers[0] if len(readers) == 1 and isinstance(readers[0], Clip) else lambda x: x


def _power(x: Any) -> float:
    return float(tf.reduce_sum(tf.square(tf.cast(x, tf.float64))))


def _row(wrapper: Any, sums: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    config = wrapper.quantize_config
    output = getattr(config.output, "other", config.output)  # a pooling has the range of what it pools
    low, high = (float(output.scale() * (limit - output.zero_point())) for limit in (-128, 127))
    weights = None
    if config.kernel:
        kernel = config.variable
        weights = decibels(_power(kernel), _power(kernel - config.weights(kernel, training=False, weights={})))
    edge = (100 - BULK) / 2
    bulk = float(np.subtract(*np.percentile(values, [100 - edge, edge])))
    return {
        "layer": wrapper.layer.name,
        "operator": type(wrapper.layer).__name__,
        "own_db": decibels(*sums[:2]),
        "total_db": decibels(*sums[2:]),
        "weights_db": weights,
        "low": low,
        "high": high,
        "bulk_share": bulk / (high - low),
    }


def decibels(signal: float, noise: float) -> float:
    """Returns 10·log10(signal / noise), at most EXACT_DB."""
    return float(min(10 * np.log10(max(signal, 1e-300) / max(noise, 1e-300)), EXACT_DB))
