"""Hard swish: a layer of the tf_keras clone, and its int8 results exactly as TFLite and TFLM compute them.

The kernel works in 16-bit fixed point (tensorflow/lite/kernels/internal/reference/hard_swish.h), so its results differ
from the rounded real ones for some inputs. float64 holds all of its integers exactly.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras

Tensor: TypeAlias = Any
INT16 = 32768.0


class HardSwish(tf_keras.layers.Layer):
    """Computes x·relu6(x + 3)/6, in the form that the converter turns into one HARD_SWISH.

    Attributes:
        exact: a function that returns the results of the int8 kernel for x, or None for the float formula. It is used
            outside training only.
    """

    exact: Callable[[Tensor], Tensor | None] | None = None

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Returns the hard swish of `x`."""
        int8_result = self.exact(x) if self.exact and not training else None
        return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0) if int8_result is None else int8_result


def table(input_scale: Tensor, input_zero: Tensor, output_scale: Tensor, output_zero: Tensor) -> Tensor:
    """Returns the int8 results, (256,) float64, for the int8 inputs -128 … 127.

    Args:
        input_scale: the step of the input.
        input_zero: its zero point.
        output_scale: the step of the output.
        output_zero: its zero point.
    """
    input_scale, output_scale = tf.cast(input_scale, tf.float64), tf.cast(output_scale, tf.float64)
    fine = (tf.range(-128.0, 128.0, dtype=tf.float64) - tf.cast(input_zero, tf.float64)) * 128.0
    multiplier, exponent = _fixed_point(input_scale / 128.0 / output_scale)
    value = _rounded_product(fine, multiplier)
    out = _round_away(_truncate(_gate(fine, input_scale) * value / INT16) * 2.0**exponent)
    return tf.clip_by_value(out + tf.cast(output_zero, tf.float64), -128.0, 127.0)


def _gate(fine: Tensor, input_scale: Tensor) -> Tensor:
    """Returns relu6(x + 3)/6 in 16-bit fixed point, where 3.0 is 32768; a shift that is too large saturates."""
    multiplier, exponent = _fixed_point(input_scale / 128.0 / (3.0 / INT16))
    up, down = tf.maximum(exponent, 0.0), tf.maximum(-exponent, 0.0)
    value = _saturate(fine * 2.0 ** tf.maximum(up - 1.0, 0.0))
    value = _rounded_product(value, multiplier)
    value = _saturate(value * 2.0 ** tf.minimum(up, 1.0))
    value = _round_away(value * 2.0**-down)
    return tf.floor((value + INT16) / 2.0)


def _fixed_point(real: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (m, e) with real = m/32768·2^e and m an integer in [16384, 32767] (TFLite's QuantizeMultiplier)."""
    exponent = tf.floor(tf.math.log(real) / tf.math.log(tf.constant(2.0, tf.float64))) + 1.0
    return tf.minimum(tf.floor(real * 2.0**-exponent * INT16 + 0.5), INT16 - 1.0), exponent


def _rounded_product(a: Tensor, b: Tensor) -> Tensor:
    return tf.floor(a * b / INT16 + 0.5)  # SaturatingRoundingDoublingHighMul


def _saturate(x: Tensor) -> Tensor:
    return tf.clip_by_value(x, -INT16, INT16 - 1.0)


def _truncate(x: Tensor) -> Tensor:
    return tf.sign(x) * tf.floor(tf.abs(x))  # SaturatingDoublingHighMul


def _round_away(x: Tensor) -> Tensor:
    return tf.sign(x) * tf.floor(tf.abs(x) + 0.5)  # RoundingDivideByPOT
