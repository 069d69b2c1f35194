"""NetAug (Cai et al., 2022; arXiv 2110.08890): a tiny network trained as a part of wider ones, which help it to fit.

In a step, for the batch (x, y), with one set of weights W of the largest network:
1. g₁ = ∂L(tiny)/∂W, of the network that has the first channels of everything;
2. g₂ = ∂L(wider)/∂W, of one network drawn for this step, each layer by itself, of the same batch;
3. one step of the optimizer with g₁ + g₂ (Eq. 2, α = 1), weights that neither used included: they decay and coast.
In the first half both widths and expansions are drawn, then expansions only. In the first half, at the start of every
epoch, the hidden channels of each block are sorted by the L1 norm of what reads them, so that the tiny network
owns the important ones; the largest network computes the same as before.

Before every evaluation, and for the result, the BatchNorm statistics of the tiny network are estimated anew on fixed
training images (A.6): in the training passes the networks of all widths have mixed them up.

Where the paper and the released code (mit-han-lab/tinyml) differ, this is the code (methods.md A). Padding and the ε of
BatchNorm are those of our models; two more things differ:
- sorting moves the optimizer's momentum along with the weights, which the code forgets;
- the images for the statistics are drawn as the training's are, in batches of the training's size.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.methods.netaug.search_space import Width
from tinytrain.methods.netaug.super_network import SuperNetwork
from tinytrain.nn import initializers
from tinytrain.nn.fused_batch_norm import with_fused_batch_norm
from tinytrain.nn.graph import walk
from tinytrain.train import optimizers
from tinytrain.train.method import Method, Objective, Step, TrainingContext, require_functional

WIDTH_FACTORS = {  # of the released configs; the others have the first
    "mobilenet_v2": [1.0, 1.8, 2.6],
    "mobilenet_v3_large": [1.0, 2.0, 3.0],
    "mobilenet_v3_small": [1.0, 2.0, 3.0],
    "mcunet": [1.0, 1.6, 2.2],
}
STATISTICS_SEED = 937162211  # of the released code
JIT = False  # another width in every step


class NetAug(Method):
    """Trains `model` inside a super-network.

    Args:
        model: the functional model to be trained; its own weights are the first channels of the super-network's if
            `keep_weights`, else those are drawn as the others.
        width_factors, expansion_factors: ascending from 1.
        seed: of the networks that are drawn.
        outer_steps: the steps, from the first on, in which widths are drawn beside expansions.
        statistics: batches (x, y) on which the BatchNorm statistics are estimated.
        initialize: draws the weights of the largest network in place; by default they are those of the released code.
    """

    def __init__(
        self,
        model: keras.Model,
        width_factors: list[float],
        expansion_factors: list[float],
        seed: int,
        outer_steps: int,
        statistics: tf.data.Dataset,
        keep_weights: bool = False,
        initialize: Callable[[keras.Model], None] = lambda largest: None,
    ) -> None:
        tiny = with_fused_batch_norm(model)
        widened = SuperNetwork(model, width_factors, expansion_factors)
        initialize(widened.model)
        if keep_weights:
            widened.copy_weights(model, to_tiny=False)
        # Behind functions, or Keras would track the weights of the tiny network beside those that are trained.
        self._tiny, self._widened = (lambda: tiny), (lambda: widened)
        super().__init__(model)
        self.seed, self.outer_steps, self.statistics = seed, outer_steps, statistics
        self.keep_weights = keep_weights
        self._estimate = tf.function(functools.partial(batch_statistics, tiny), reduce_retracing=True)

    def trained(self, model: keras.Model) -> keras.Model:
        """Returns the largest network."""
        return self._widened().model

    @property
    def network(self) -> keras.Model:
        """The tiny network, as `slice_tiny` left it."""
        return self._tiny()

    @property
    def super_network(self) -> SuperNetwork:
        """The networks to draw from."""
        return self._widened()

    def call(self, x: tf.Tensor, training: bool = False) -> Any:
        """Returns the outputs of the tiny network for the images (B, H, W, C)."""
        return self.network(x, training=training)

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns loss and outputs of the tiny network, and its gradients added to those of the wider network."""
        drawn = self.drawn(number)
        tiny, wider = (self._pass(x, objective, widths) for widths in (self.super_network.smallest, drawn))
        return tiny._replace(gradients=self.super_network.sum_gradients(tiny.gradients, wider.gradients, drawn))

    def _pass(self, x: tf.Tensor, objective: Objective, widths: list[Width]) -> Step:
        weights = self.super_network.cut(widths)
        forward = functools.partial(self.super_network, x, widths, training=True, weights=weights)
        return self.differentiate(forward, objective, weights)

    def drawn(self, number: tf.Tensor) -> list[Width]:
        """Returns the widths, a scalar for each group of channels, of the network of step `number`."""
        seed = tf.stack([tf.constant(self.seed, tf.int64), tf.cast(number, tf.int64)])
        return self.super_network.draw(seed, outer=tf.cast(number, tf.int64) < self.outer_steps)

    def sampled_macs(self, number: int) -> int:
        """Returns the multiply-adds of the network drawn in step `number`."""
        return self.super_network.macs([int(width) for width in self.drawn(tf.constant(number))])

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns what sorts the channels before an epoch and brings the tiny network up to date before it is used."""
        return [_BetweenSteps(self)]

    def slice_tiny(self) -> None:
        """Copies the tiny network's weights out of the super-network and estimates its BatchNorm statistics."""
        self.super_network.copy_weights(self.network, to_tiny=True)
        recalibrate(self.network, self._estimate, self.statistics)

    def sort_channels(self, optimizer: keras.optimizers.Optimizer | None = None) -> None:
        """Brings the most important hidden channels of every block to the front; the largest network stays the same.

        Every variable that holds something for each channel moves, what the optimizer keeps for it too. The channels
        of squeeze-excites follow, sorted by the convolution that reads them.
        """
        for choice, carriers in zip(self.super_network.choices, self.super_network.carriers(), strict=True):
            if choice.group.kind in ("inner", "squeezed"):
                order = np.argsort(-self.super_network.importance(choice.group), kind="stable")
                for variable, axis in carriers:
                    for kept in [variable, *(optimizers.slots(optimizer, variable) if optimizer else [])]:
                        kept.assign(np.take(kept.numpy(), order, axis))


class _BetweenSteps(keras.callbacks.Callback):
    def __init__(self, netaug: NetAug) -> None:
        super().__init__()
        self.netaug = netaug

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sorts while widths are drawn; before the first step not what was trained elsewhere."""
        steps = int(self.model.optimizer.iterations)
        if steps < self.netaug.outer_steps and (steps or not self.netaug.keep_weights):
            self.netaug.sort_channels(self.model.optimizer)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Slices: what is evaluated is what would be saved."""
        self.netaug.slice_tiny()


def batch_statistics(network: keras.Model, x: tf.Tensor) -> list[tf.Tensor]:
    """Returns the mean and the biased variance (C,) of the batch `x` before each BatchNorm, in the order of the layers.

    Each BatchNorm normalises with them, so that the next one sees what it does in training; Dropout does nothing.
    """
    graph = walk(network)
    tensors, found = {graph.inputs[0]: x}, []
    for call in graph.calls:
        inputs = [tensors[number] for number in call.inputs]
        if isinstance(call.layer, keras.layers.BatchNormalization):
            layer = call.layer
            y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs[0], layer.gamma.value, layer.beta.value, epsilon=layer.epsilon, is_training=True
            )
            count = tf.cast(tf.size(inputs[0]) / tf.size(mean), tf.float32)
            found += [
                mean,
                variance * (count - 1) / count,
            ]  # the kernel normalises with the biased one, gives the other
        else:
            y = call.layer(inputs if len(inputs) > 1 else inputs[0])
        tensors[call.output] = y
    return found


def recalibrate(network: keras.Model, statistics: Callable, batches: tf.data.Dataset) -> None:
    """Sets the running statistics of `network` to the average over `batches` of what `statistics` finds (A.6)."""
    found = [statistics(x) for x, _ in batches]
    means = [np.mean([batch[place] for batch in found], axis=0) for place in range(len(found[0]))]
    norms = [call.layer for call in walk(network).calls if isinstance(call.layer, keras.layers.BatchNormalization)]
    for layer, mean, variance in zip(norms, means[::2], means[1::2], strict=True):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)


def usual(model: str, classes: int) -> dict[str, Any]:
    """Returns what "auto" means in the keys of [netaug]."""
    return {"netaug.width_factors": usual_width_factors(model)}


def usual_width_factors(name: str) -> list[float]:
    """Returns the width factors of the released configs for an architecture."""
    return list(WIDTH_FACTORS.get(name, WIDTH_FACTORS["mobilenet_v2"]))


def build(inner: keras.Model | Method, config: Config, training: TrainingContext) -> NetAug:
    """Returns NetAug around the functional model `inner` as [netaug] of `config` says."""
    options = config.netaug
    model = require_functional(inner, "netaug")
    if config.device.jit is True:
        raise UserError("device.jit = true cannot compile networks of another width in every step: expected false")
    widths = usual_width_factors(model.name) if options.width_factors == "auto" else options.width_factors
    for key, factors in (("width_factors", widths), ("expansion_factors", options.expansion_factors)):
        if sorted(set(factors)) != list(factors) or factors[:1] != [1.0]:
            raise UserError(f"netaug.{key} = {factors}: expected factors that ascend from 1, such as [1, 1.8, 2.6]")
    epochs = config.optim.epochs - options.expansion_only * (config.optim.epochs - config.optim.warmup_epochs)
    batches = max(1, options.statistics_images // training.batch)
    return NetAug(
        model,
        list(widths),
        list(options.expansion_factors),
        seed=config.seed,
        outer_steps=math.ceil(epochs) * training.steps_per_epoch,
        statistics=training.batches(STATISTICS_SEED, min(batches, training.steps_per_epoch)),
        keep_weights=bool(config.model.weights),
        initialize=functools.partial(initializers.draw, config=config, stream=2),
    )
