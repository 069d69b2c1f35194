"""The tf_keras clone: the same network in tf_keras with the structure of the int8 model, one layer per operator.

tensorflow-model-optimization supports tf_keras only. So each call of the Keras 3 model is rebuilt in tf_keras with its
weights (`conversion_rules`). On the way
- BatchNorm is folded into the convolution before it: W' = W·γ/√(σ²+ε), b' = (b - μ)·γ/√(σ²+ε) + β;
- ReLU and ReLU6 are fused into the convolution before them, and dropout is removed;
- global average pooling becomes an average pooling over the whole map, because CMSIS-NN has a kernel for
  AVERAGE_POOL_2D and none for MEAN;
- a hard sigmoid, relu6(x + 3)/6, behind a convolution is folded into it: weights and bias give (x + 3)/6, and the range
  of the int8 output clips to [0, 1] (see qat.py), so that it needs no operator;
- a Rescaling of the image is folded into the first convolution (`fold`);
- a PReLU with one slope becomes a leaky ReLU, whose slope the fine-tune leaves as it is;
- swish becomes x·sigmoid(x), hard swish one layer, and a 1x1 convolution of a 1x1 map a fully connected layer;
- zero padding is removed where the convolution behind it can pad in the same way itself.
Each layer of the clone has the name of the Keras layer that it comes from.
"""

import keras
import numpy as np
import tf_keras

from tinytrain.errors import TinytrainError, UserError
from tinytrain.nn.graph import walk
from tinytrain.quantize import conversion_rules
from tinytrain.quantize.clone_builder import Builder

TOLERANCE = 1e-4  # of the largest output: float32 rounding in another order of operations, with a margin


def rebuild(model: keras.Model, folded: bool = False) -> tf_keras.Model:
    """Returns the tf_keras clone of a Keras 3 model.

    The first layer of the clone, "image", is the identity. It carries the quantizer of the input later.

    Args:
        model: a functional model, (B, R, R, C) float32 in [-1, 1) -> (B, classes).
        folded: whether a Rescaling of the image becomes part of the first convolution, see `fold`.

    Raises:
        UserError: for a layer without conversion rule, and for a model with several inputs.
    """
    builder = Builder(walk(model), folded)
    if len(builder.graph.inputs) != 1:
        raise UserError(f"the model '{model.name}' has {len(builder.graph.inputs)} inputs: expected one image")
    (image,) = builder.graph.inputs
    model_input = tf_keras.Input(builder.graph.shapes[image][1:], name="input")
    builder.tensors[image] = tf_keras.layers.Activation("linear", name="image")(model_input)
    for call in builder.graph.calls:
        conversion_rules.convert(builder, call)
    outputs = [builder.tensors[number] for number in builder.graph.outputs]
    return tf_keras.Model(model_input, outputs[0] if len(outputs) == 1 else outputs, name=model.name)


def fold(model: keras.Model, clone: tf_keras.Model) -> tf_keras.Model:
    """Returns the clone to quantize: a Rescaling of the image is folded into the first convolution.

    W' = W·scale per input channel, b' = b + Σ W·offset. This is exact except where the convolution pads: its zeros are
    then gray pixels (128) and no longer zeros after the Rescaling. The alternatives are worse. A Rescaling of its own
    is an operator over the whole input, which costs time and rounds every pixel. The gray that the Rescaling maps to
    zero differs by channel, and int8 can pad with one value only.

    Args:
        model: the Keras 3 model.
        clone: what `rebuild` made of it, returned as it is if `model` has no Rescaling.
    """
    rescales = any(isinstance(call.layer, keras.layers.Rescaling) for call in walk(model).calls)
    return rebuild(model, folded=True) if rescales else clone


def check_equal(model: keras.Model, clone: tf_keras.Model, images: int = 4, seed: int = 0) -> float:
    """Checks that a model and its clone give the same outputs for noise.

    Args:
        model: the Keras 3 model.
        clone: its tf_keras clone.
        images: how many images of noise, uniform in [-1, 1), go through both in float32.
        seed: of the noise.

    Returns:
        The largest difference, relative to the largest absolute output.

    Raises:
        TinytrainError: if that is above TOLERANCE, or not finite.
    """
    noise = np.random.default_rng(seed).uniform(-1, 1, (images, *model.inputs[0].shape[1:])).astype("float32")
    expected, actual = (
        [np.asarray(output) for output in keras.tree.flatten(outputs)]
        for outputs in (_in_float32(model)(noise, training=False), clone(noise, training=False))
    )
    difference = max(
        float(np.abs(one - other).max() / max(float(np.abs(one).max()), 1e-6))
        for one, other in zip(expected, actual, strict=True)
    )
    if not difference <= TOLERANCE:  # NaN included
        raise TinytrainError(
            f"the tf_keras clone of '{model.name}' is off by {difference:.2g} of the largest output: "
            f"expected at most {TOLERANCE:g}"
        )
    return difference


def _in_float32(model: keras.Model) -> keras.Model:
    """Returns `model`, or a copy of it in float32 if it was trained in mixed precision."""
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    copy = keras.models.clone_model(
        model, clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    )
    copy.set_weights(model.get_weights())
    return copy
