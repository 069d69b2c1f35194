"""From the fake-quantized graph to an int8 .tflite, and the check that it is int8 throughout."""

import contextlib
import warnings
from collections.abc import Iterator

import absl.logging
import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tinytrain.errors import TinytrainError
from tinytrain.quantize import cosine_head, qat, tf_keras_clone
from tinytrain.quiet import quiet
from tinytrain.tflite.model import Model


@tf.autograph.experimental.do_not_convert  # as in qat.quantize
def convert(model: tf_keras.Model) -> Model:
    """Converts a fake-quantized `model` to an int8 .tflite of batch 1.

    The graph is traced with the weights as they are: the converter quantizes constants per output channel as the
    fake-quantized graph does. That takes well under a second and needs no representative data set, because every
    activation carries its range.

    Raises:
        TinytrainError: a part of the result does not compute in int8 (`check_int8`).
    """
    for wrapper in qat.operators(model):
        wrapper.quantize_config.converting = True
    try:
        with _silent():
            converter = _converter(model)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.inference_input_type = converter.inference_output_type = tf.int8
            content = converter.convert()
    finally:
        for wrapper in qat.operators(model):
            wrapper.quantize_config.converting = False
    converted = Model.parse(content, "the converted model")
    check_int8(converted)
    return converted


def convert_float(model: keras.Model) -> bytes:
    """Returns the float32 .tflite of batch 1 of a trained network, as it is: BatchNorm folded, nothing quantized."""
    with _silent():
        content: bytes = _converter(model).convert()
    return content


def convert_post_training(clone: tf_keras.Model, calibration: np.ndarray) -> Model:
    """Returns the int8 .tflite of a tf_keras clone, with ranges from `calibration` (N, R, R, C) float32 in [-1, 1)."""
    return convert(qat.quantize(clone, calibration))


def convert_untrained(model: keras.Model, seed: int = 0) -> Model:
    """Converts an untrained `model` to int8: operators, arena and size are as once trained, outputs mean nothing.

    Biases are made random: all zero, as they are before training, the converter would store them only once.
    """
    generator = np.random.default_rng(seed)
    built = tf_keras_clone.rebuild(cosine_head.without_norm(model), folded=True)
    for layer in built.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, generator.uniform(-0.1, 0.1, bias.shape)])
    noise = generator.uniform(-1, 1, (4, *model.inputs[0].shape[1:])).astype("float32")
    return convert_post_training(built, noise)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps the converter's remarks off the terminal; its errors are exceptions."""
    level = absl.logging.get_verbosity()
    absl.logging.set_verbosity(absl.logging.ERROR)
    try:
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")
            yield
    finally:
        absl.logging.set_verbosity(level)


def _converter(model: keras.Model | tf_keras.Model) -> tf.lite.TFLiteConverter:
    shape = (1, *model.inputs[0].shape[1:])
    function = tf.function(lambda image: model(image, training=False), autograph=False)  # as in qat.quantize
    concrete = function.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="image"))
    # Without a trackable object the function is frozen at once. With the model as one, all of it is saved first: +10 s.
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete])


def check_int8(model: Model) -> None:
    """Raises TinytrainError, naming operator and tensor, unless all of the model computes in int8.

    Operators may read and write int8 tensors and int32 constants (biases, shapes), nothing else; QUANTIZE and
    DEQUANTIZE are refused. The name of the tensor holds the name of the layer that it comes from.
    """
    for operator in model.operators:
        for tensor in (*filter(None, operator.inputs), *operator.outputs):
            allowed = tensor.dtype == "int8" or (tensor.dtype == "int32" and tensor.constant)
            if operator.name in ("QUANTIZE", "DEQUANTIZE") or not allowed:
                raise TinytrainError(
                    f"the converted model is not int8 throughout: {operator.name}, which computes "
                    f"'{operator.outputs[0].name}', has the {tensor.dtype} tensor '{tensor.name}'"
                )
