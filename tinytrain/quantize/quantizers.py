"""The quantizers for weights, biases and outputs in quantization-aware training (qat.py).

Import this module inside functions only. It imports tensorflow-model-optimization, which makes `tf.keras` tf_keras for
the whole process.
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
Requantize: TypeAlias = Callable[[Tensor], Tensor]
HALF_ERROR = 1e-4  # float32 may put a half this far below it
FINEST_SHIFT = 12  # float32 holds no finer steps of an int8 value, and rounding to them changes next to nothing


def round_away(x: Tensor) -> Tensor:
    """Returns `x` rounded to integers, halves away from zero, as TFLite's kernels do it.

    A fraction up to HALF_ERROR below a half counts as a half. The gradient is that of the identity.
    """
    return x + tf.stop_gradient(tf.sign(x) * tf.floor(tf.abs(x) + 0.5 + HALF_ERROR) - x)


class FixedRange(FixedQuantizer):
    """Quantizes to int8 in a fixed range.

    Args:
        low: the real value of int8 -128.
        high: the real value of int8 127.

    Attributes:
        requantize: applied to the inputs first, outside training, see `Operator.two_step_requantize`.
    """

    requantize: Requantize | None = None

    def __init__(self, low: float, high: float) -> None:
        super().__init__(num_bits=8, init_min=low, init_max=high, narrow_range=False)

    def __call__(self, inputs: Tensor, training: bool, weights: dict, **kwargs: Any) -> Tensor:
        """Returns `inputs` clipped to the range and rounded to its steps."""
        inputs = self.requantize(inputs) if self.requantize and not training else inputs
        return super().__call__(inputs, training, weights, **kwargs)

    def scale(self) -> Tensor:
        """Returns the step between two int8 values, a real number."""
        return tf.constant((self.init_max - self.init_min) / 255, tf.float32)

    def zero_point(self) -> Tensor:
        """Returns the int8 value that stands for 0."""
        return tf.round(-128 - self.init_min / self.scale())


class MovingAverageRange(MovingAverageQuantizer):
    """Quantizes to int8 between the moving averages of the smallest and the largest value of a batch.

    The range always holds 0.

    Attributes:
        requantize: as in `FixedRange`.
        joined: the quantizers whose ranges become one that holds them all (`join`), this one among them.
    """

    requantize: Requantize | None = None

    def __init__(self) -> None:
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
        self.joined: list[MovingAverageRange] = [self]
        self.variables: dict[str, tf.Variable] = {}

    def build(self, tensor_shape: Any, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Creates the variables of the range, and keeps them for `set_range` and `SharedRange`."""
        self.variables = super().build(tensor_shape, name, layer)
        return self.variables

    def __call__(self, inputs: Tensor, training: bool, weights: dict, **kwargs: Any) -> Tensor:
        """Returns `inputs` clipped to the range and rounded to its steps; training moves the range first."""
        inputs = self.requantize(inputs) if self.requantize and not training else inputs
        quantized = super().__call__(inputs, training, weights, **kwargs)
        if len(self.joined) == 1:
            return quantized
        return tf.quantization.fake_quant_with_min_max_vars(inputs, *self.limits(), narrow_range=False)

    def limits(self) -> tuple[Tensor, Tensor]:
        """Returns the smallest and the largest value of the range, which is that of all joined ones."""
        built = [each.variables for each in self.joined if each.variables]  # not all while the model is being made
        low, high = ([variables[end] for variables in built] for end in ("min_var", "max_var"))
        return tf.reduce_min(tf.stack(low), 0), tf.reduce_max(tf.stack(high), 0)

    def set_range(self, low: float, high: float) -> None:
        """Sets the range to [low, high], widened if it does not hold 0 or is a single point."""
        self.variables["min_var"].assign(min(low, 0.0))
        self.variables["max_var"].assign(max(high, 0.0) if max(high, -low) > 0 else 1e-3)

    def scale(self) -> Tensor:
        """Returns the step between two int8 values for the present range."""
        low, high = self.limits()
        return (high - low) / 255

    def zero_point(self) -> Tensor:
        """Returns the int8 value that stands for 0."""
        return tf.round(-128 - self.limits()[0] / self.scale())


def join(quantizers: list[Any]) -> bool:
    """Makes the ranges of `quantizers` one; returns False, and does nothing, if one of them is fixed."""
    if not all(isinstance(each, MovingAverageRange) for each in quantizers):
        return False
    members = list({id(member): member for each in quantizers for member in each.joined}.values())
    for member in members:
        member.joined = members
    return True


class SharedRange(Quantizer):
    """Quantizes in the range of another output: average pooling keeps scale and zero point of its input.

    Its kernel rounds the mean of int8 values, halves away from int8 zero. The mean of 2x2 pixels is a half in one case
    of four, so rounding halves in another way would be a bias.

    Args:
        source: the quantizer of the input.

    Attributes:
        on: False while the model is traced for conversion, which leaves values as they are.
    """

    def __init__(self, source: FixedRange | MovingAverageRange) -> None:
        self.source = source
        self.on = True

    def build(self, tensor_shape: Any, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Returns no variables: the range is that of `source`."""
        return {}

    def __call__(self, inputs: Tensor, training: bool, weights: dict, **kwargs: Any) -> Tensor:
        """Returns `inputs`, which are inside the range of `source`, rounded to its steps."""
        if not self.on:
            return inputs
        scale, zero_point = self.source.scale(), self.source.zero_point()
        return (round_away(inputs / scale + zero_point) - zero_point) * scale

    def get_config(self) -> dict:
        """Returns an empty config: quantizers are not saved."""
        return {}


class PerChannel(Quantizer):
    """Quantizes weights symmetrically to [-127, 127], with a step of its own for each output channel.

    Args:
        depthwise: whether the output channels are the last two axes of the kernel, instead of the last.

    Attributes:
        on: False while the model is traced for conversion, which leaves weights as they are.
    """

    def __init__(self, depthwise: bool) -> None:
        self.depthwise = depthwise
        self.on = True

    def build(self, tensor_shape: Any, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Returns no variables: the range is computed from the weights."""
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
        """Returns the step of each output channel of `kernel`, (C_out,), without a gradient."""
        channels = kernel.shape[-1] * (kernel.shape[-2] if self.depthwise else 1)
        limit = tf.reduce_max(tf.abs(tf.reshape(kernel, (-1, channels))), 0)
        return tf.stop_gradient(tf.maximum(limit, 1e-9)) / 127

    def get_config(self) -> dict:
        """Returns an empty config: quantizers are not saved."""
        return {}


class Bias(Quantizer):
    """Rounds a bias to the step of the int32 accumulator: scale of the input times scale of the weights.

    This step is usually far below that of the output. It is above it where a BatchNorm with a small variance was folded
    into the weights. The int8 model is then off by up to several steps of its output, which fine-tuning has to see.
    """

    def __init__(self, operator: "Operator") -> None:
        self.operator = operator

    def build(self, tensor_shape: Any, name: str, layer: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
        """Returns no variables: the step is computed from the weights and the range of the input."""
        return {}

    def __call__(self, inputs: Tensor, training: bool, weights: dict, **kwargs: Any) -> Tensor:
        """Returns the bias (C_out,) rounded; the gradient is that of the identity."""
        if self.operator.converting:  # a constant: a graph of it takes half of the time of a conversion
            with tf.init_scope():
                rounded = self._rounded(self.operator.bias)
            return tf.constant(rounded.numpy())
        return self._rounded(inputs)

    def _rounded(self, bias: Tensor) -> Tensor:
        step = self.operator.accumulator_step()
        return bias + tf.stop_gradient(tf.round(bias / step) * step - bias)

    def get_config(self) -> dict:
        """Returns an empty config: quantizers are not saved."""
        return {}


class Operator(QuantizeConfig):
    """Quantizes one int8 operator: its kernel and bias, if it has them, and its output.

    Args:
        layer: the layer of the tf_keras clone.
        output: the quantizer of its output, or None.
        inputs: the quantizers of the tensors that it reads.
    """

    def __init__(self, layer: tf_keras.layers.Layer, output: Quantizer | None, inputs: list[Any]) -> None:
        self.inputs = inputs
        self._converting = False
        kernel_names = [name for name in ("depthwise_kernel", "kernel") if getattr(layer, name, None) is not None]
        self.kernel = kernel_names[0] if kernel_names else None
        self.weights = PerChannel(depthwise=self.kernel == "depthwise_kernel")
        self.output: Any = output
        self.variable: tf.Variable | None = None
        self.bias: tf.Variable | None = None
        self.multiplies = isinstance(layer, tf_keras.layers.Multiply)
        self.slope = float(layer.alpha) if isinstance(layer, tf_keras.layers.LeakyReLU) else None
        multiplies = self.kernel or self.multiplies or self.slope is not None
        if multiplies and isinstance(output, FixedRange | MovingAverageRange):
            output.requantize = self.two_step_requantize

    @property
    def converting(self) -> bool:
        """True while the model is traced for conversion.

        The converter then gets the ranges and the plain weights. It quantizes constants in the same way itself, and
        would not recognize a quantized depthwise kernel or extra rounding.
        """
        return self._converting

    @converting.setter
    def converting(self, value: bool) -> None:
        self._converting, self.weights.on = value, not value
        if isinstance(self.output, SharedRange):
            self.output.on = not value

    def accumulator_step(self) -> Tensor:
        """Returns the step of the int32 accumulator: input scale times weight scale (C_out,) or second input."""
        second = self.inputs[1].scale() if self.multiplies else self.weights.scale(self.variable)
        return self.inputs[0].scale() * second

    def hard_swish(self, x: Tensor) -> Tensor | None:
        """Returns the real results of the int8 kernel HARD_SWISH for quantized `x`; None while converting."""
        if self._converting:
            return None
        scale, zero_point = self.inputs[0].scale(), self.inputs[0].zero_point()
        results = hard_swish.table(scale, zero_point, self.output.scale(), self.output.zero_point())
        index = tf.cast(tf.round(x / scale + zero_point + 128.0), tf.int32)
        real = (tf.cast(results, tf.float32) - self.output.zero_point()) * self.output.scale()
        return tf.gather(real, tf.clip_by_value(index, 0, 255))

    def two_step_requantize(self, outputs: Tensor) -> Tensor:
        """Returns real `outputs` (…, C_out) rounded in two steps, as the int8 kernels requantize an accumulator.

        They multiply the accumulator by m·2^-shift, m in [0.5, 1). The product with m is rounded to an integer, and
        after the shift it is rounded again (gemmlowp's SaturatingRoundingDoublingHighMul and RoundingDivideByPOT). With
        a small shift, which large folded weights cause, the first rounding lifts values just below a half to it: one of
        2^(shift + 1) outputs.
        """
        if self._converting:
            return outputs
        scale = self.output.scale()
        if self.slope is None:
            step = self.accumulator_step()
        else:  # LEAKY_RELU multiplies its inputs below 0 by the slope
            step = self.inputs[0].scale() * tf.where(outputs < 0.0, self.slope, 1.0)
        exponent = tf.floor(tf.math.log(step / scale) / np.log(2.0)) + 1.0
        shifted = 2.0 ** tf.clip_by_value(exponent, -FINEST_SHIFT, 0.0)
        return round_away(round_away(outputs / (scale * shifted)) * shifted) * scale

    def get_weights_and_quantizers(self, layer: tf_keras.layers.Layer) -> list:
        """Returns kernel and bias with their quantizers.

        It also keeps both variables, because the layer's attributes will hold the quantized ones.
        """
        if not self.kernel:
            return []
        self.variable, self.bias = getattr(layer, self.kernel), layer.bias
        return [(self.variable, self.weights), (self.bias, Bias(self))]

    def set_quantize_weights(self, layer: tf_keras.layers.Layer, quantize_weights: list) -> None:
        """Replaces the variables of the layer by the quantized kernel and bias."""
        if self.kernel:
            setattr(layer, self.kernel, quantize_weights[0])
            layer.bias = quantize_weights[1]

    def get_activations_and_quantizers(self, layer: tf_keras.layers.Layer) -> list:
        """Returns no activations: they are quantized where they leave the operator."""
        return []

    def set_quantize_activations(self, layer: tf_keras.layers.Layer, quantize_activations: list) -> None:
        """Does nothing; AutoGraph cannot read a function without a statement."""
        return None

    def get_output_quantizers(self, layer: tf_keras.layers.Layer) -> list:
        """Returns the quantizer of the output, if it has one."""
        return [self.output] if self.output else []

    def get_config(self) -> dict:
        """Returns an empty config: quantizers are not saved."""
        return {}
