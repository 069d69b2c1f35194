"""PReLU (He et al., 2015; arXiv 1502.01852) behind the last block of a network: max(x, 0) + a·min(x, 0), a learnt.

The released code of the adaptive pipeline has it beside AM-Softmax, in place of the activations of the last 1x1
convolution and of the head (methods.md B.6, B.7). Each has one slope a for all channels, as torch.nn.PReLU, at first
0.25. A cosine needs features of both signs: behind a ReLU all angles are below 90°.
"""

from typing import Any

import keras
from keras import layers

from tinytrain.errors import UserError
from tinytrain.nn.graph import walk

SLOPE = 0.25
ACTIVATIONS = (layers.ReLU, layers.Activation)


def with_prelu(model: keras.Model) -> keras.Model:
    """Returns a copy of `model`, weights included, with PReLU for the activations behind its last block.

    Raises:
        UserError: there are none.
    """
    names = activations_behind_the_blocks(model)
    if not names:
        raise UserError(
            f"the model '{model.name}' has no activation after its last block that PReLU could replace: expected a "
            "model such as mobilenet_v3_small or efficientnet_b0, or prelu=false for the method"
        )

    def clone(layer: keras.Layer) -> keras.Layer:
        if layer.name not in names:
            return type(layer).from_config(layer.get_config())
        axes = list(range(1, len(layer.output.shape)))  # one slope for all of them
        initial: Any = keras.initializers.Constant(SLOPE)
        return layers.PReLU(
            alpha_initializer=initial, shared_axes=axes, name=f"{layer.name}_prelu", dtype=layer.dtype_policy
        )

    copy = keras.models.clone_model(model, clone_function=clone)
    for layer in model.layers:
        if layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def activations_behind_the_blocks(model: keras.Model) -> list[str]:
    """Returns the names of the activations behind the last shortcut, or linear projection, of `model`, in order."""
    graph = walk(model)
    consumers = graph.consumers()

    def ends_a_block(layer: keras.Layer, output: int) -> bool:
        linear = not any(isinstance(call.layer, ACTIVATIONS) for call in consumers[output])
        return isinstance(layer, layers.Add) or (isinstance(layer, layers.BatchNormalization) and linear)

    ends = [number for number, call in enumerate(graph.calls) if ends_a_block(call.layer, call.outputs[0])]
    behind = graph.calls[ends[-1] + 1 :] if ends else []
    return [call.layer.name for call in behind if isinstance(call.layer, ACTIVATIONS)]
