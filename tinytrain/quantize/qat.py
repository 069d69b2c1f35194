"""The fake-quantized graph of the clone, made with tensorflow-model-optimization; `fine_tune` trains it.

Every layer of the clone is one int8 operator, so every layer is wrapped once (tfmot's QuantizeWrapperV2) with a
quantizer for its weights and one for its output:
- weights: per output channel, symmetric, [-127, 127]; the range is that of the weights at this very step;
- biases: rounded to the step of the int32 accumulator, which folded BatchNorms can make coarser than the output's;
- input: fixed to [-1, 127/128], hence scale 1/128 and zero point 0: q = pixel - 128 exactly (the rule of MLPerf Tiny);
- clipped gates and sigmoids: fixed to [0, 1] and [0, 255/256], what their int8 operators demand;
- poolings and upsamplings: the range of what they read, because the operator keeps scale and zero point;
- concatenations: one range for all parts, which holds those of all of them, because the operator copies bytes;
- everything else: moving averages of the smallest and largest value of a batch, started from calibration images run
  through the float clone (tfmot alone would start at ±6 and need thousands of steps to get away from there).
We differ from tfmot's `quantize_apply` by wrapping the layers ourselves: its layout pass folds and fuses what the clone
already is, quantizes depthwise weights per tensor, and knows neither the fixed input nor the gates.
"""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tinytrain.errors import UserError
from tinytrain.quantize.clone_builder import Clip
from tinytrain.quantize.hard_swish import HardSwish

INPUT_RANGE = (-1.0, 127 / 128)
CALIBRATION_BATCH = 50


@tf.autograph.experimental.do_not_convert  # no layer here needs it, and it takes a sixth of the time of a conversion
def quantize(clone: tf_keras.Model, calibration: np.ndarray) -> tf_keras.Model:
    """Returns the fake-quantized `clone`, its ranges from `calibration` (N, R, R, C) float32 in [-1, 1)."""
    if not len(calibration):
        raise UserError("no calibration images: expected at least one image (N, R, R, C)")
    model = _wrap(clone, _quantizers(clone))
    output_ranges = ranges(clone, calibration)
    for wrapper in operators(model):
        output = wrapper.quantize_config.output
        if hasattr(output, "set_range"):
            output.set_range(*output_ranges[wrapper.layer.name])
    return model


def ranges(model: tf_keras.Model, images: np.ndarray) -> dict[str, tuple[float, float]]:
    """Returns per layer the smallest and the largest output of a batch of `images`, averaged over the batches."""
    layers = [layer for layer in model.layers if not isinstance(layer, tf_keras.layers.InputLayer)]
    outputs = tf_keras.Model(model.inputs, [layer.output for layer in layers])

    def extremes(x: np.ndarray) -> list[tuple[float, float]]:
        return [(float(tf.reduce_min(y)), float(tf.reduce_max(y))) for y in outputs(tf.constant(x), training=False)]

    parts = np.array_split(images, -(-len(images) // CALIBRATION_BATCH))
    mean = np.mean([extremes(part) for part in parts], axis=0)
    return {layer.name: (float(low), float(high)) for layer, (low, high) in zip(layers, mean, strict=True)}


def operators(model: tf_keras.Model) -> list[Any]:
    """Returns the wrapped layers of a fake-quantized `model`, in order; `.quantize_config` of each is an Operator."""
    return [layer for layer in model.layers if not isinstance(layer, tf_keras.layers.InputLayer)]


def _quantizers(clone: tf_keras.Model) -> dict[str, tuple[Any, list[Any]]]:
    """Returns by the name of each layer the quantizer of its output, or None, and those of its inputs."""
    from tinytrain.quantize.quantizers import SharedRange, join

    chosen: dict[str, tuple[Any, list[Any]]] = {}
    source: dict[str, Any] = {}  # of layers that pass their input's quantization on: whose it is
    for layer in clone.layers:
        inputs = [source[node.name] for node in tf.nest.flatten(layer.inbound_nodes[0].inbound_layers)]
        if isinstance(layer, tf_keras.layers.Concatenate) and not join(inputs):
            raise UserError(
                f"the layer '{layer.name}' joins a part whose range is fixed (the image, a gate or a sigmoid), which "
                "cannot be exported to int8: expected outputs of convolutions, additions or products"
            )
        quantizer = SharedRange(inputs[0]) if isinstance(layer, KEEPING) else _own_quantizer(layer)
        chosen[layer.name] = quantizer, inputs
        source[layer.name] = inputs[0] if isinstance(layer, PASSING) else quantizer
    return chosen


# Operators that compute values, or copy them, in the range of what they read.
KEEPING = (tf_keras.layers.AveragePooling2D, tf_keras.layers.Resizing, tf_keras.layers.Concatenate)


PASSING = (
    *KEEPING,
    tf_keras.layers.MaxPooling2D,
    tf_keras.layers.Flatten,
    tf_keras.layers.Reshape,
    tf_keras.layers.ZeroPadding2D,
    Clip,
)


def _own_quantizer(layer: tf_keras.layers.Layer) -> Any:
    from tinytrain.quantize.quantizers import FixedRange, MovingAverageRange

    readers = [node.outbound_layer for node in layer.outbound_nodes]
    if layer.name == "image":
        return FixedRange(*INPUT_RANGE)
    if len(readers) == 1 and isinstance(readers[0], Clip):
        return FixedRange(0.0, 1.0)  # the range clips, so that Clip has nothing left to do
    if isinstance(layer, tf_keras.layers.Activation):  # sigmoid, softmax
        return FixedRange(0.0, 255 / 256)
    if isinstance(layer, (*PASSING, tf_keras.layers.InputLayer)):
        return None
    if len(readers) == 1 and isinstance(readers[0], tf_keras.layers.ReLU):
        return None  # both are one operator, whose output is the clipped one
    return MovingAverageRange()


def _wrap(clone: tf_keras.Model, quantizers: dict[str, tuple[Any, list[Any]]]) -> tf_keras.Model:
    """Returns a copy of `clone` with every layer in a QuantizeWrapperV2 named after it."""
    import tensorflow_model_optimization as tfmot

    from tinytrain.quantize.quantizers import Operator

    def wrap(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if isinstance(layer, Clip):
            inner = tf_keras.layers.Activation("linear", name=layer.name)
        else:
            inner = type(layer).from_config(layer.get_config())
        operator = Operator(layer, *quantizers[layer.name])
        operator.converting = True  # each layer is traced here for the shape of its output alone
        return tfmot.quantization.keras.QuantizeWrapperV2(inner, operator)

    model = tf_keras.models.clone_model(clone, clone_function=wrap)
    for wrapper in operators(model):
        wrapper.quantize_config.converting = False
        weights = clone.get_layer(wrapper.layer.name).get_weights()
        if weights:
            wrapper.quantize_config.variable.assign(weights[0])
            wrapper.quantize_config.bias.assign(weights[1])
        if isinstance(wrapper.layer, HardSwish):
            wrapper.layer.exact = wrapper.quantize_config.hard_swish
    return model
