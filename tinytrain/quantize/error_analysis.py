"""Finds where an int8 model loses accuracy: the signal-to-quantization-noise ratio (SQNR) of every layer.

The ratio is 10·log10(Σ x² / Σ (x - q)²) in decibels, with x the output of the float layer and q that of the quantized
one. 6 dB are one bit. The float layers get the weights at the end of the quantization-aware fine-tune, so that only the
effect of quantization counts as noise.
"""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tinytrain.quantize import qat
from tinytrain.quantize.clone_builder import Clip

BATCH = 50
EXACT_DB = 200.0  # upper limit: without any noise the ratio is infinite
BULK = 99  # percent of the values, around the median, that `bulk_share` is about


def layers(model: tf_keras.Model, clone: tf_keras.Model, images: np.ndarray) -> list[dict[str, Any]]:
    """Returns a row for each operator of a fake-quantized model, the one that adds most noise first.

    Args:
        model: what `qat.quantize` or `qat.fine_tune` made of `clone`.
        clone: the float tf_keras clone, which is given the weights of `model`.
        images: (N, R, R, C) float32 in [-1, 1).

    Returns:
        Dictionaries with "layer", "operator" and
        own_db: ratio to the float layer on the same quantized input, about the noise that this layer adds;
        total_db: ratio to the float network, about all noise up to this layer;
        weights_db: ratio of the weights alone, None for a layer without weights;
        low, high: the range of the output in real units;
        bulk_share: the share of that range, 0..1, that the middle 99 % of the values take. If it is small, a few large
        values stretch the range and leave few steps for the others.
    """
    take_weights(model, clone)
    wrappers = [wrapper for wrapper in qat.operators(model) if _has_own_range(wrapper)]
    probe = _probe(model, clone, wrappers)
    sums, samples = np.zeros((len(wrappers), 4)), [np.empty(0)] * len(wrappers)
    for start in range(0, len(images), BATCH):
        for number, (quantized, local, network) in enumerate(probe(tf.constant(images[start : start + BATCH]))):
            sums[number] += [_power(local), _power(local - quantized), _power(network), _power(network - quantized)]
            samples[number] = quantized.numpy().ravel() if start == 0 else samples[number]
    rows = [_row(wrapper, *pair) for wrapper, *pair in zip(wrappers, sums, samples, strict=True)]
    return sorted(rows, key=lambda row: row["own_db"])


def take_weights(model: tf_keras.Model, clone: tf_keras.Model) -> None:
    """Copies the weights of a fake-quantized model, before quantization, to its float clone."""
    for wrapper in qat.operators(model):
        config = wrapper.quantize_config
        if config.kernel:
            clone.get_layer(wrapper.layer.name).set_weights([config.variable.numpy(), config.bias.numpy()])


def _has_own_range(wrapper: Any) -> bool:
    """Returns whether a layer computes an output with a range of its own: the image, a Flatten and a Clip do not."""
    return wrapper.layer.name != "image" and wrapper.quantize_config.output is not None


def _probe(model: tf_keras.Model, clone: tf_keras.Model, wrappers: list[Any]) -> Any:
    """Returns a function from images to three outputs of each layer.

    They are that of the quantized layer, that of the float layer on the same quantized input, and that of the layer in
    the float network.
    """
    quantized = {wrapper.layer.name: wrapper.output for wrapper in qat.operators(model)}
    local, network = [], []
    for wrapper in wrappers:
        layer = clone.get_layer(wrapper.layer.name)
        node = layer.inbound_nodes[0]
        inputs = [quantized[producer.name] for producer in tf.nest.flatten(node.inbound_layers)]
        clip = _clip(layer)
        local.append(clip(layer(inputs[0] if len(inputs) == 1 else inputs)))
        network.append(clip(node.outputs))
    quantized_model = tf_keras.Model(model.inputs, [[wrapper.output for wrapper in wrappers], local])
    float_model = tf_keras.Model(clone.inputs, network)

    @tf.function(reduce_retracing=True)
    def outputs(x: Any) -> list[Any]:
        quantized_outputs, local_outputs = quantized_model(x, training=False)
        network_outputs = tf.nest.flatten(float_model(x, training=False))
        return list(zip(quantized_outputs, local_outputs, network_outputs, strict=True))

    return outputs


def _clip(layer: tf_keras.layers.Layer) -> Any:
    """Returns the Clip behind `layer`, which belongs to its operator, or else the identity."""
    readers = [node.outbound_layer for node in layer.outbound_nodes]
    return readers[0] if len(readers) == 1 and isinstance(readers[0], Clip) else lambda x: x


def _power(x: Any) -> float:
    """Returns the sum of the squares of `x`."""
    return float(tf.reduce_sum(tf.square(tf.cast(x, tf.float64))))


def _row(wrapper: Any, sums: np.ndarray, samples: np.ndarray) -> dict[str, Any]:
    """Returns the row of one layer.

    Args:
        wrapper: the quantized layer.
        sums: (4,) sums of squares: float output on quantized input, its noise, output in the float network, its noise.
        samples: (N,) outputs of the quantized layer.
    """
    config = wrapper.quantize_config
    output = getattr(config.output, "source", config.output)  # a pooling has the range of its input
    low, high = (float(output.scale() * (limit - output.zero_point())) for limit in (-128, 127))
    weights = None
    if config.kernel:
        kernel = config.variable
        weights = decibels(_power(kernel), _power(kernel - config.weights(kernel, training=False, weights={})))
    edge = (100 - BULK) / 2
    width = float(np.subtract(*np.percentile(samples, [100 - edge, edge])))
    return {
        "layer": wrapper.layer.name,
        "operator": type(wrapper.layer).__name__,
        "own_db": decibels(*sums[:2]),
        "total_db": decibels(*sums[2:]),
        "weights_db": weights,
        "low": low,
        "high": high,
        "bulk_share": width / (high - low),
    }


def decibels(signal: float, noise: float) -> float:
    """Returns 10·log10(signal / noise) of two sums of squares, at most EXACT_DB."""
    return float(min(10 * np.log10(max(signal, 1e-300) / max(noise, 1e-300)), EXACT_DB))
