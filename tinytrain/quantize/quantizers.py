"""The quantizers that qat.py puts on weights and outputs. Importing this imports tensorflow-model-optimization.

So import it in functions only: from then on `tf.keras` is tf_keras in this process.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.quantization.keras import QuantizeConfig
from tensorflow_model_optimization.quantization.keras.quantizers import (
    FixedQuantizer,
    MovingAverageQuantizer,
    Quantizer,
)

from tinytrain.quantize import hard_swish

Tensor: TypeAlias = Any
Before: TypeAlias = Callable[[Tensor], Tensor]
HALF_ERROR = 1e-4
FINEST_SHIFT = 12  # float32 holds no finer steps of an int8 value; rounding at them changes next to nothing


def round_away(x: Tensor) -> Tensor:
    """Returns `x` rounded to integers, halves away from zero, as TFLite's kernels do; the gradient passes through.

    What float32 leaves of a half counts as one.
    """
    return x + tf.stop_gradient(tf.sign(x) * tf.floor(tf.abs(x) + 0.5 + HALF_ERROR) - x)


class Fixed(FixedQuantizer):
    """The range [low, high], whatever comes. `before` is done to the inputs first, outside training."""

    before: Before | None = None

    def __init__(self, low: float, high: float) -> None:
        super().__init__(num_bits=8, init_min=low, init_max=high, narrow_range=False)

    def __call__(self, inputs: Tensor, training: bool, weights: dict, **kwargs: Any) -> Tensor:
        """Returns `inputs` clipped and rounded."""
        inputs = self.before(inputs) if self.before and not training else inputs
        return super().__call__(inputs, training, weights, **kwargs)

    def scale(self) -> Tensor:
        """Returns the step of the range."""
        return tf.constant((self.init_max - self.init_min) / 255, tf.float32)

    def zero_point(self) -> Tensor:
        """Returns the int8 value of 0."""
        return tf.round(-128 - self.init_min / self.scale())


class Moving(MovingAverageQuantizer):
    """The moving average of smallest and largest value of a batch; 0 is always inside. `before` as in Fixed."""

    before: Before | None = None

    def __init__(self) -> None:
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)

    def build(self, tensor_shape: Any, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Returns the variables of the range, and keeps them for `set_range` and `Same`."""
        self.variables = super().build(tensor_shape, name, layer)
        return self.variables

    def __call__(self, inputs: Tensor, training: bool, weights: dict, **kwargs: Any) -> Tensor:
        """Returns `inputs` clipped and rounded; in training it moves the range first."""
        inputs = self.before(inputs) if self.before and not training else inputs
        return super().__call__(inputs, training, weights, **kwargs)

    def set_range(self, low: float, high: float) -> None:
        """Sets the range to [low, high], widened to hold 0 and to be no point."""
        self.variables["min_var"].assign(min(low, 0.0))
        self.variables["max_var"].assign(max(high, 0.0) if max(high, -low) > 0 else 1e-3)

    def scale(self) -> Tensor:
        """Returns the step of the range as it is now."""
        return (self.variables["max_var"] - self.variables["min_var"]) / 255

    def zero_point(self) -> Tensor:
        """Returns the int8 value of 0."""
        return tf.round(-128 - self.variables["min_var"] / self.scale())


class Same(Quantizer):
    """The range of another output: average pooling keeps scale and zero point of what it pools.

    Its kernel rounds the mean of int8 values, halves away from int8 zero; the mean of 2x2 pixels is a half every fourth
    time, so rounding in another way is a bias. `on` switches it off while the model is traced for conversion.
    """

    def __init__(self, other: Fixed | Moving) -> None:
        self.other = other
        self.on = True

    def build(self, tensor_shape: Any, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Returns nothing: the variables are the other's."""
        return {}

    def __call__(self, inputs: Tensor, training: bool, weights: dict, **kwargs: Any) -> Tensor:
        """Returns `inputs`, inside the other's range already, rounded to its steps."""
        if not self.on:
            return inputs
        scale, zero_point = self.other.scale(), self.other.zero_point()
        return (round_away(inputs / scale + zero_point) - zero_point) * scale

    def get_config(self) -> dict:
        """Returns nothing: this is not saved."""
        return {}


class PerChannel(Quantizer):
    """Symmetric weights in [-127, 127] per output channel, the last axis or, of a depthwise kernel, the last two.

    `on` switches it off while the model is traced for conversion.
    """

    def __init__(self, depthwise: bool) -> None:
        self.depthwise = depthwise
        self.on = True

    def build(self, tensor_shape: Any, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Returns nothing: the range is computed from the weights."""
        return {}

    def __call__(self, inputs: Tensor, training: bool, weights: dict, **kwargs: Any) -> Tensor:
        """Returns the kernel (kh, kw, C_in, C_out), or (C_in, C_out), quantized."""
        if not self.on:
            return inputs
        limit = 127 * self.scale(inputs)
        flat = tf.reshape(inputs, (-1, limit.shape[0]))
        flat = tf.quantization.fake_quant_with_min_max_vars_per_channel(flat, -limit, limit, narrow_range=True)
        return tf.reshape(flat, inputs.shape)

    def scale(self, kernel: Tensor) -> Tensor:
        """Returns the step of each output channel (C_out,) of `kernel`; no gradient goes through it."""
        channels = kernel.shape[-1] * (kernel.shape[-2] if self.depthwise else 1)
        limit = tf.reduce_max(tf.abs(tf.reshape(kernel, (-1, channels))), 0)
        return tf.stop_gradient(tf.maximum(limit, 1e-9)) / 127

    def get_config(self) -> dict:
        """Returns nothing: this is not saved."""
        return {}


class Bias(Quantizer):
    """A bias rounded to the step of the accumulator: scale of the input times scale of the weights.

    That step is usually far below the output's, but above it where BatchNorm was folded into weights from a channel of
    small variance: the int8 model loses up to several steps of its output there, so the graph has to know it.
    """

    def __init__(self, operator: "Operator") -> None:
        self.operator = operator

    def build(self, tensor_shape: Any, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Returns nothing: the step is computed from weights and input range."""
        return {}

    def __call__(self, inputs: Tensor, training: bool, weights: dict, **kwargs: Any) -> Tensor:
        """Returns the bias (C_out,) rounded; the gradient passes as if it were not."""
        step = self.operator.accumulator_step()
        return inputs + tf.stop_gradient(tf.round(inputs / step) * step - inputs)

    def get_config(self) -> dict:
        """Returns nothing: this is not saved."""
        return {}


class Operator(QuantizeConfig):
    """One int8 operator: kernel and bias (if any) are quantized, its output (if it has one) through `output`.

    `inputs` are the quantizers of the tensors that it reads. `converting` is True while the model is traced for the
    converter, which is shown the ranges and the plain weights: it quantizes constants in the same way, and would not
    recognize a quantized depthwise kernel or extra rounding.
    """

    def __init__(self, layer: tf_keras.layers.Layer, output: Quantizer | None, inputs: list[Any]) -> None:
        self.inputs = inputs
        self._converting = False
        kernels = [name for name in ("depthwise_kernel", "kernel") if getattr(layer, name, None) is not None]
        self.kernel = kernels[0] if kernels else None
        self.weights = PerChannel(depthwise=self.kernel == "depthwise_kernel")
        self.output: Any = output
        self.variable: tf.Variable | None = None
        self.bias: tf.Variable | None = None
        self.multiplies = isinstance(layer, tf_keras.layers.Multiply)
        if (self.kernel or self.multiplies) and isinstance(output, Fixed | Moving):
            output.before = self.round_twice

    @property
    def converting(self) -> bool:
        """True while the model is traced for the converter."""
        return self._converting

    @converting.setter
    def converting(self, value: bool) -> None:
        self._converting, self.weights.on = value, not value
        if isinstance(self.output, Same):
            self.output.on = not value

    def accumulator_step(self) -> Tensor:
        """Returns the step of the int32 product: scale of the input times those (C_out,) of weights or second input."""
        second = self.inputs[1].scale() if self.multiplies else self.weights.scale(self.variable)
        return self.inputs[0].scale() * second

    def hard_swish(self, x: Tensor) -> Tensor | None:
        """Returns what the int8 kernel of HARD_SWISH gives for real inputs `x`, quantized already."""
        if self._converting:
            return None
        scale, zero_point = self.inputs[0].scale(), self.inputs[0].zero_point()
        results = hard_swish.table(scale, zero_point, self.output.scale(), self.output.zero_point())
        index = tf.cast(tf.round(x / scale + zero_point + 128.0), tf.int32)
        real = (tf.cast(results, tf.float32) - self.output.zero_point()) * self.output.scale()
        return tf.gather(real, tf.clip_by_value(index, 0, 255))

    def round_twice(self, outputs: Tensor) -> Tensor:
        """Returns real `outputs` (…, C_out) rounded as the kernels do it: accumulator times m·2^-shift, m in [0.5, 1).

        The product with m is rounded to an integer, then the shifted one again (gemmlowp's
        SaturatingRoundingDoublingHighMul and RoundingDivideByPOT). With a small shift, which large folded weights
        bring, the first rounding lifts values just below a half over it: every 2^(shift + 1)-th output.
        """
        if self._converting:
            return outputs
        scale = self.output.scale()
        exponent = tf.floor(tf.math.log(self.accumulator_step() / scale) / np.log(2.0)) + 1.0
        shifted = 2.0 ** tf.clip_by_value(exponent, -FINEST_SHIFT, 0.0)
        return round_away(round_away(outputs / (scale * shifted)) * shifted) * scale

    def get_weights_and_quantizers(self, layer: tf_keras.layers.Layer) -> list:
        """Returns kernel and bias with their quantizers, and keeps the variables: the quantized ones will hide them."""
        if not self.kernel:
            return []
        self.variable, self.bias = getattr(layer, self.kernel), layer.bias
        return [(self.variable, self.weights), (self.bias, Bias(self))]

    def set_quantize_weights(self, layer: tf_keras.layers.Layer, quantize_weights: list) -> None:
        """Puts the quantized kernel and bias in the place of the variables."""
        if self.kernel:
            setattr(layer, self.kernel, quantize_weights[0])
            layer.bias = quantize_weights[1]

    def get_activations_and_quantizers(self, layer: tf_keras.layers.Layer) -> list:
        """Returns nothing: activations are quantized where they leave the operator."""
        return []

    def set_quantize_activations(self, layer: tf_keras.layers.Layer, quantize_activations: list) -> None:
        """Does nothing; AutoGraph cannot read a function without a statement."""
        return None

    def get_output_quantizers(self, layer: tf_keras.layers.Layer) -> list:
        """Returns the quantizer of the output, if it has one."""
        return [self.output] if self.output else []

    def get_config(self) -> dict:
        """Returns nothing: this is not saved."""
        return {}
