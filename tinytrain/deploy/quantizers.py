"""The quantizers that qat.py puts on weights and outputs. Importing this imports tensorflow-model-optimization.

So import it in functions only: from then on `tf.keras` is tf_keras in this process.
"""

from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.quantization.keras import QuantizeConfig
from tensorflow_model_optimization.quantization.keras.quantizers import (
    FixedQuantizer,
    MovingAverageQuantizer,
    Quantizer,
)

Tensor = tf.Tensor


class Fixed(FixedQuantizer):
    """The range [low, high], whatever comes."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(num_bits=8, init_min=low, init_max=high, narrow_range=False)

    def scale(self) -> Tensor:
        """Returns the step of the range."""
        return tf.constant((self.init_max - self.init_min) / 255, tf.float32)


class Moving(MovingAverageQuantizer):
    """The moving average of smallest and largest value of a batch; 0 is always inside."""

    def __init__(self) -> None:
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)

    def build(self, tensor_shape: Any, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Returns the variables of the range, and keeps them for `set_range` and `Same`."""
        self.variables = super().build(tensor_shape, name, layer)
        return self.variables

    def set_range(self, low: float, high: float) -> None:
        """Sets the range to [low, high], widened to hold 0 and to be no point."""
        self.variables["min_var"].assign(min(low, 0.0))
        self.variables["max_var"].assign(max(high, 0.0) if max(high, -low) > 0 else 1e-3)

    def scale(self) -> Tensor:
        """Returns the step of the range as it is now."""
        return (self.variables["max_var"] - self.variables["min_var"]) / 255


class Same(Quantizer):
    """The range of another output: a pooling keeps scale and zero point of what it pools."""

    def __init__(self, other: Fixed | Moving) -> None:
        self.other = other

    def build(self, tensor_shape: Any, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Returns nothing: the variables are the other's."""
        return {}

    def __call__(self, inputs: Tensor, training: bool, weights: dict, **kwargs: Any) -> Tensor:
        """Returns `inputs` quantized to the other's range, which is not updated from here."""
        return self.other(inputs, training=False, weights=getattr(self.other, "variables", {}))

    def get_config(self) -> dict:
        """Returns nothing: this is not saved."""
        return {}


class PerChannel(Quantizer):
    """Symmetric weights in [-127, 127] per output channel, the last axis or, of a depthwise kernel, the last two.

    `on` switches it off while the model is traced for conversion: the converter quantizes constants in the same way,
    but does not recognize a depthwise kernel that is quantized already.
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
        step = self.operator.input.scale() * self.operator.weights.scale(self.operator.variable)
        return inputs + tf.stop_gradient(tf.round(inputs / step) * step - inputs)

    def get_config(self) -> dict:
        """Returns nothing: this is not saved."""
        return {}


class Operator(QuantizeConfig):
    """One int8 operator: kernel and bias (if any) are quantized, its output (if it has one) through `output`.

    `input` is the quantizer of the tensor that it reads first.
    """

    def __init__(self, layer: tf_keras.layers.Layer, output: Quantizer | None, input: Fixed | Moving | None) -> None:
        self.input = input
        kernels = [name for name in ("depthwise_kernel", "kernel") if getattr(layer, name, None) is not None]
        self.kernel = kernels[0] if kernels else None
        self.weights = PerChannel(depthwise=self.kernel == "depthwise_kernel")
        self.output = output
        self.variable: tf.Variable | None = None
        self.bias: tf.Variable | None = None

    def get_weights_and_quantizers(self, layer: tf_keras.layers.Layer) -> list:
        """Returns kernel and bias with their quantizers, and keeps the variables, which the quantized ones will hide."""
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
