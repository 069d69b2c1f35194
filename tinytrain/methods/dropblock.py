"""DropBlock (Ghiasi et al., 2018; arXiv 1810.12890): regularization that zeroes squares of feature maps in training.

With γ = (1 − keep) / block_size², every position of every image draws Bernoulli(γ), one draw for all channels, and each
hit zeroes the square of block_size x block_size around it. What is left is multiplied by positions / positions left,
counted over the whole batch.

As in the comparison of NetAug (methods.md E), γ is not corrected for the border, where squares are cut off, and does
not grow during training. The layers come after every block of the last two stages. A block ends with a shortcut's Add
(and the activation after it) or with the BatchNorm of a linear projection; a stage is a series of blocks of one
resolution and width. The finished model has none of them.

On a map smaller than the square, γ is far too low for the share `keep`: a map of 1x1 is dropped with probability
(1 − keep) / block_size². It is what the formula says, and `warnings` tells it.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.nn import graph
from tinytrain.nn.blocks import Tensor
from tinytrain.nn.graph import Call
from tinytrain.train.method import Method, TrainingContext, require_functional

STAGES = 2
ACTIVATIONS = (layers.ReLU, layers.Activation)


def build(inner: Any, config: Config, training: TrainingContext) -> "DropBlockTraining":
    """Returns DropBlock around the plain model `inner`; raises UserError around another method or without blocks."""
    return DropBlockTraining(require_functional(inner, "dropblock"), config.dropblock.block_size, config.dropblock.keep)


class DropBlock(layers.Layer):
    """Zeroes squares of (B, H, W, C) in training and scales the rest; the identity else."""

    def __init__(self, block_size: int = 5, keep: float = 0.9, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.block_size, self.keep, self.seed = block_size, keep, seed
        self.seed_generator = keras.random.SeedGenerator(seed)  # a checkpoint holds its state

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns (B, H, W, C)."""
        if not training or self.keep == 1:
            return inputs
        drawn = keras.random.uniform((*tf.unstack(tf.shape(inputs))[:3], 1), dtype="float32", seed=self.seed_generator)
        kept = kept_positions(drawn, self.block_size, self.keep)
        scale = tf.cast(tf.size(kept), "float32") / tf.maximum(tf.reduce_sum(kept), 1)  # 0 positions left: all is 0
        return inputs * tf.cast(kept * scale, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        return super().get_config() | {"block_size": self.block_size, "keep": self.keep, "seed": self.seed}


def kept_positions(drawn: tf.Tensor, block_size: int, keep: float) -> tf.Tensor:
    """Returns 1 where a position is kept, else 0, for uniform draws (B, H, W, 1) in [0, 1)."""
    hits = tf.cast(drawn < (1 - keep) / block_size**2, "float32")
    padding = [block_size // 2, (block_size - 1) // 2]
    hits = tf.pad(hits, [[0, 0], padding, padding, [0, 0]])
    return 1 - tf.nn.max_pool2d(hits, block_size, 1, "VALID")


def kept_share(height: int, width: int, block_size: int, keep: float) -> float:
    """Returns the expected share of the positions of a map that are kept."""
    before, behind = (block_size - 1) // 2, block_size // 2
    down, along = (  # for each position on a side: the hits that zero it
        np.array([min(place + behind, side - 1) - max(place - before, 0) + 1 for place in range(side)])
        for side in (height, width)
    )
    return float(np.mean((1 - (1 - keep) / block_size**2) ** np.outer(down, along)))


class DropBlockTraining(Method):
    """Training of a copy of `model` with DropBlock after every block of its last two stages."""

    def __init__(self, model: keras.Model, block_size: int = 5, keep: float = 0.9, **kwargs: Any) -> None:
        super().__init__(with_dropblock(model, block_size, keep), **kwargs)
        self._plain = lambda: model
        self.block_size, self.keep = block_size, keep

    def warnings(self) -> list[str]:
        """Returns a sentence for each size of map that is smaller than the square."""
        return exceeded(self.plain, self.block_size, self.keep)


def exceeded(model: keras.Model, block_size: int, keep: float) -> list[str]:
    """Returns a sentence for each size of map that DropBlock would come behind and that is smaller than the square."""
    behind: dict[tuple[int, int], list[str]] = {}
    for name in block_ends(model) if keep < 1 else ():
        _, height, width, _ = model.get_layer(name).output.shape
        behind.setdefault((height, width), []).append(name)
    return [
        f"dropblock.block_size = {block_size} exceeds the maps of {width}x{height} behind {', '.join(names)}: "
        f"{kept_share(height, width, block_size, keep):.3g} of their positions are kept, not about dropblock.keep = "
        f"{keep:g}; take a smaller block, a larger model.resolution or model.stem=cifar"
        for (height, width), names in behind.items()
        if min(height, width) < block_size
    ]


def with_dropblock(model: keras.Model, block_size: int, keep: float) -> keras.Model:
    """Returns a copy of `model`, weights included, with DropBlock after every block of its last two stages."""
    ends = block_ends(model)

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        y = layer(*args, **kwargs)
        if layer.name not in ends:
            return y
        return DropBlock(block_size, keep, name=f"{layer.name}_dropblock", dtype=layer.dtype_policy)(y)

    copy = keras.models.clone_model(
        model, clone_function=lambda layer: type(layer).from_config(layer.get_config()), call_function=call
    )
    copy.set_weights(model.get_weights())
    return copy


def block_ends(model: keras.Model, stages: int = STAGES) -> list[str]:
    """Returns the names of the layers that end a block of the last `stages` stages, in order.

    Raises UserError for a model without blocks, such as mobilenet_v1.
    """
    walked = graph.walk(model)
    readers = walked.readers()
    ends = [end for call in walked.calls if (end := _end(call, readers)) is not None]
    shapes = [walked.shapes[end.output] for end in ends]
    if not ends:
        raise UserError(
            f"the model '{model.name}' has no residual or linear block for dropblock to come after: "
            "take one that has, such as mobilenet_v2"
        )
    firsts = [number for number, shape in enumerate(shapes) if number == 0 or shape != shapes[number - 1]]
    return [end.layer.name for end in ends[firsts[-min(stages, len(firsts))] :]]


def _end(call: Call, readers: dict[int, list[Call]]) -> Call | None:
    """Returns the last call of the block whose Add or linear projection is `call`, None if it is neither."""
    after = readers[call.output]
    activation = next((reader for reader in after if isinstance(reader.layer, ACTIVATIONS)), None)
    if isinstance(call.layer, layers.Add):
        return activation or call
    linear = isinstance(call.layer, layers.BatchNormalization) and activation is None
    joins = len(after) == 1 and isinstance(after[0].layer, layers.Add)  # the block ends with that Add
    return call if linear and not joins else None
