"""DropBlock (Ghiasi et al., 2018; arXiv 1810.12890): regularization that zeroes squares of feature maps in training.

With γ = (1 − keep) / block_size², every position of every image draws Bernoulli(γ), one draw for all channels. Each
hit zeroes the square of block_size x block_size around it. The rest is multiplied by positions / kept positions,
counted over the whole batch.

As in NetAug's comparison (methods.md E), γ is not corrected for the border, where squares are cut off, and does not
grow during training. The layers come after every block of the last two stages. A block ends with the Add of a shortcut
(and the activation after it) or with the BatchNorm of a linear projection. A stage is a series of blocks of the same
resolution and width. The finished model has no DropBlock layers.

On a map smaller than the square, γ drops far less than the share 1 − keep: a map of 1x1 with a probability of
(1 − keep) / block_size². That follows from the formula; `warnings` reports it.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.nn.blocks import Tensor
from tinytrain.nn.graph import Call, walk
from tinytrain.train.method import Method, TrainingContext, require_functional

STAGES = 2
ACTIVATIONS = (layers.ReLU, layers.Activation)


def build(inner: Any, config: Config, training: TrainingContext) -> "DropBlockTraining":
    """Returns DropBlock around the plain model `inner`; raises UserError around another method or without blocks."""
    return DropBlockTraining(require_functional(inner, "dropblock"), config.dropblock.block_size, config.dropblock.keep)


class DropBlock(layers.Layer):
    """Zeroes squares of (B, H, W, C) and scales the rest, in training; else the identity.

    Args:
        block_size: the side of a square.
        keep: about the share of positions that are kept.
        seed: of the layer's own random numbers.
        **kwargs: of the Keras layer.
    """

    def __init__(self, block_size: int = 5, keep: float = 0.9, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.block_size, self.keep, self.seed = block_size, keep, seed
        self.seed_generator = keras.random.SeedGenerator(seed)  # a checkpoint holds its state

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns (B, H, W, C)."""
        if not training or self.keep == 1:
            return inputs
        drawn = keras.random.uniform((*tf.unstack(tf.shape(inputs))[:3], 1), dtype="float32", seed=self.seed_generator)
        kept = keep_mask(drawn, self.block_size, self.keep)
        scale = tf.cast(tf.size(kept), "float32") / tf.maximum(tf.reduce_sum(kept), 1)  # finite if nothing is kept
        return inputs * tf.cast(kept * scale, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        return super().get_config() | {"block_size": self.block_size, "keep": self.keep, "seed": self.seed}


def keep_mask(drawn: tf.Tensor, block_size: int, keep: float) -> tf.Tensor:
    """Returns 1 where a position is kept, else 0, (B, H, W, 1) float32, for uniform numbers.

    Args:
        drawn: (B, H, W, 1) in [0, 1).
        block_size: the side of a dropped square.
        keep: dropblock.keep.
    """
    hits = tf.cast(drawn < (1 - keep) / block_size**2, "float32")
    padding = [block_size // 2, (block_size - 1) // 2]
    hits = tf.pad(hits, [[0, 0], padding, padding, [0, 0]])
    return 1 - tf.nn.max_pool2d(hits, block_size, 1, "VALID")


def expected_keep(height: int, width: int, block_size: int, keep: float) -> float:
    """Returns the expected share of kept positions, 0..1, of a map of height x width.

    Args:
        height: of the map, in positions.
        width: of the map, in positions.
        block_size: the side of a dropped square.
        keep: dropblock.keep.
    """
    before, after = (block_size - 1) // 2, block_size // 2
    rows, columns = (  # for each index along a side: how many hits would zero it
        np.array([min(index + after, side - 1) - max(index - before, 0) + 1 for index in range(side)])
        for side in (height, width)
    )
    return float(np.mean((1 - (1 - keep) / block_size**2) ** np.outer(rows, columns)))


class DropBlockTraining(Method):
    """Trains a copy of `model` with DropBlock after every block of its last two stages."""

    def __init__(self, model: keras.Model, block_size: int = 5, keep: float = 0.9, **kwargs: Any) -> None:
        super().__init__(with_dropblock(model, block_size, keep), **kwargs)
        self._plain = lambda: model
        self.block_size, self.keep = block_size, keep

    def warnings(self) -> list[str]:
        """Returns a warning for each size of map that is smaller than the square."""
        return small_map_warnings(self.plain, self.block_size, self.keep)


def small_map_warnings(model: keras.Model, block_size: int, keep: float) -> list[str]:
    """Returns a warning for each size of map that is smaller than the square, with the layers that give such maps."""
    layers_by_size: dict[tuple[int, int], list[str]] = {}
    for name in block_ends(model) if keep < 1 else ():
        _, height, width, _ = model.get_layer(name).output.shape
        layers_by_size.setdefault((height, width), []).append(name)
    return [
        f"dropblock.block_size = {block_size} exceeds the maps of {width}x{height} after {', '.join(names)}: "
        f"{expected_keep(height, width, block_size, keep):.3g} of their positions are kept, not about dropblock.keep = "
        f"{keep:g}; use a smaller block, a larger model.resolution or model.stem=cifar"
        for (height, width), names in layers_by_size.items()
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
    """Returns the names of the layers that end the blocks of the last `stages` stages, in order.

    Raises:
        UserError: the model has no blocks, such as mobilenet_v1.
    """
    graph = walk(model)
    consumers = graph.consumers()
    ends = [end for call in graph.calls if (end := _block_end(call, consumers)) is not None]
    shapes = [graph.shapes[end.output] for end in ends]
    if not ends:
        raise UserError(
            f"the model '{model.name}' has no residual or linear block to put dropblock after: "
            "use one that has, such as mobilenet_v2"
        )
    firsts = [number for number, shape in enumerate(shapes) if number == 0 or shape != shapes[number - 1]]
    return [end.layer.name for end in ends[firsts[-min(stages, len(firsts))] :]]


def _block_end(call: Call, consumers: dict[int, list[Call]]) -> Call | None:
    """Returns the last call of the block whose Add or linear projection is `call`, or None if it is neither."""
    following = consumers[call.output]
    activation = next((consumer for consumer in following if isinstance(consumer.layer, ACTIVATIONS)), None)
    if isinstance(call.layer, layers.Add):
        return activation or call
    linear = isinstance(call.layer, layers.BatchNormalization) and activation is None
    added = len(following) == 1 and isinstance(following[0].layer, layers.Add)  # the block ends with that Add
    return call if linear and not added else None
