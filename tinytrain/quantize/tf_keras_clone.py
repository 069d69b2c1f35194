"""The twin: the same network in tf_keras, already in the shape of the int8 model, one layer for one operator.

tensorflow-model-optimization knows tf_keras only. So the calls of the Keras 3 model are walked and each is rebuilt with
its weights copied, and on the way
- BatchNorm is folded into the convolution before it: W' = W·γ/√(σ²+ε), b' = (b - μ)·γ/√(σ²+ε) + β;
- ReLU and ReLU6 go into the convolution before them, dropout goes;
- global average pooling becomes an average pooling over the whole map, because CMSIS-NN has a kernel for
  AVERAGE_POOL_2D and none for MEAN;
- a hard sigmoid, relu6(x + 3)/6, behind a convolution goes into its weights: (x + 3)/6 by weights and bias, the
  clipping to [0, 1] by the range of the int8 output (see qat.py). It costs no operator at all;
- a Rescaling of the image, after `fold`, goes into the first convolution;
- swish becomes x·sigmoid(x), hard swish one layer of its own, a 1x1 convolution of a 1x1 map a fully connected layer;
- zero padding goes where the convolution behind it pads the same by itself.
A twin's layer has the name of the Keras layer that it comes from.
"""

import keras
import numpy as np
import tf_keras

from tinytrain.errors import TinytrainError, UserError
from tinytrain.nn.graph import walk
from tinytrain.quantize import conversion_rules
from tinytrain.quantize.clone_builder import Builder

TOLERANCE = 1e-4  # of the largest output: what float32 rounding in another order of operations explains, and a margin


def rebuild(model: keras.Model, folded: bool = False) -> tf_keras.Model:
    """Returns the tf_keras twin of a functional Keras 3 `model`: (B, R, R, C) float32 in [-1, 1) -> (B, classes).

    The first layer of the twin, "image", passes the picture on; it carries the quantizer of the input later. With
    `folded`, a Rescaling of the image is part of the first convolution, as `fold` tells.
    Raises UserError, naming the layer and its class, for a layer that has no counterpart here.
    """
    builder = Builder(walk(model), folded)
    if len(builder.graph.inputs) != 1:
        raise UserError(f"the model '{model.name}' has {len(builder.graph.inputs)} inputs: expected one image")
    (image,) = builder.graph.inputs
    source = tf_keras.Input(builder.graph.shapes[image][1:], name="input")
    builder.made[image] = tf_keras.layers.Activation("linear", name="image")(source)
    for call in builder.graph.calls:
        conversion_rules.rebuild(builder, call)
    outputs = [builder.made[number] for number in builder.graph.outputs]
    return tf_keras.Model(source, outputs[0] if len(outputs) == 1 else outputs, name=model.name)


def fold(model: keras.Model, twin: tf_keras.Model) -> tf_keras.Model:
    """Returns the twin for int8: `twin` itself or, if `model` rescales its image, one whose first convolution does.

    W' = W·scale per input channel, b' = b + Σ W·offset. That is exact but where the convolution reads zeros around the
    image: those are then gray pixels (128), no longer zeros after the Rescaling. The other ways are worse: a Rescaling
    of its own is an operator over the whole input, which costs time and rounds every pixel, and the gray that would
    give zero is another one in each channel, which int8 cannot pad with.
    """
    rescales = any(isinstance(call.layer, keras.layers.Rescaling) for call in walk(model).calls)
    return rebuild(model, folded=True) if rescales else twin


def check_equal(model: keras.Model, twin: tf_keras.Model, images: int = 4, seed: int = 0) -> float:
    """Returns the largest difference between `model` and `twin` on noise, relative to the largest output.

    `images` pictures uniform in [-1, 1) are run through both in float32. Raises TinytrainError if they differ by more
    than TOLERANCE of the largest output.
    """
    noise = np.random.default_rng(seed).uniform(-1, 1, (images, *model.inputs[0].shape[1:])).astype("float32")
    expected = np.asarray(_in_float32(model)(noise, training=False))
    found = np.asarray(twin(noise, training=False))
    difference = float(np.abs(expected - found).max() / max(float(np.abs(expected).max()), 1e-6))
    if not difference <= TOLERANCE:  # NaN included
        raise TinytrainError(
            f"the tf_keras twin of '{model.name}' is off by {difference:.2g} of the largest output: "
            f"expected at most {TOLERANCE:g}"
        )
    return difference


def _in_float32(model: keras.Model) -> keras.Model:
    """Returns `model`, or its copy in float32 if it was trained in mixed precision."""
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    clone = keras.models.clone_model(
        model, clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    )
    clone.set_weights(model.get_weights())
    return clone
