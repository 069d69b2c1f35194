"""NetAug (Cai et al., 2022; arXiv 2110.08890): trains a tiny network as a part of wider ones, which help it to fit.

A step for the batch (x, y), with one set of weights W, those of the largest network:
1. g₁ = ∂L(tiny)/∂W, for the network of the first channels of every layer;
2. g₂ = ∂L(wider)/∂W, for one wider network that is drawn for this step, layer by layer;
3. one optimizer step with g₁ + α·g₂ (Eq. 2, α = 1), also for weights that neither network uses: they still have weight
   decay and momentum.
With netaug.networks = n it is g₁ + α·(g₂ + … + gₙ₊₁) for n networks drawn independently (Eq. 1).

The paper's r and s are netaug.factor and netaug.diversity: widths w·(1 + j·(r − 1)/s) for j = 0 … s. The released
configs have a list for each axis instead, which is the default (methods.md A.1).

In the first half of the training both widths and expansions are drawn, then expansions only. In the first half, before
every epoch, the hidden channels of each block are sorted by the L1 norm of the weights that read them, so that the tiny
network has the important ones. The function of the largest network does not change.

Before every evaluation, and for the result, the BatchNorm statistics of the tiny network are estimated again on fixed
training images (A.6), since the running ones are a mixture over networks of all widths.

Where the paper and the released code (mit-han-lab/tinyml) differ, this follows the code (methods.md A). Padding and the
ε of BatchNorm are those of the models here. Two more things differ from the code:
- sorting moves the optimizer's momentum along with the weights, which the code forgets;
- the images for the statistics are drawn like those of the training, in batches of the same size.
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
from tinytrain.train.method import Method, Objective, Step, TrainingContext, require_functional

WIDTH_FACTORS = {  # of the released configs; other architectures use those of mobilenet_v2
    "mobilenet_v2": [1.0, 1.8, 2.6],
    "mobilenet_v3_large": [1.0, 2.0, 3.0],
    "mobilenet_v3_small": [1.0, 2.0, 3.0],
    "mcunet": [1.0, 1.6, 2.2],
}
STATISTICS_SEED = 937162211  # of the released code
JIT = False  # the widths, and so the shapes, change in every step


class NetAug(Method):
    """Trains `model` inside a super-network.

    Args:
        model: the functional model to be trained.
        width_factors: ascending from 1.
        expansion_factors: ascending from 1.
        seed: of the draws of wider networks.
        outer_steps: how many of the first steps draw widths beside expansions.
        statistics: batches (x, y) on which the BatchNorm statistics are estimated.
        keep_weights: whether the weights of `model` become the first channels of the super-network.
        initialize: draws the weights of the largest network in place; by default they stay as Keras drew them.
        alpha: α, the weight of the loss of each wider network.
        networks: n, how many of them are drawn for a step.
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
        alpha: float = 1.0,
        networks: int = 1,
    ) -> None:
        tiny = with_fused_batch_norm(model)
        super_network = SuperNetwork(model, width_factors, expansion_factors)
        initialize(super_network.model)
        if keep_weights:
            super_network.copy_weights(model, to_tiny=False)
        # Behind functions, or Keras would track the weights of the tiny network beside those that are trained.
        self._tiny, self._super_network = (lambda: tiny), (lambda: super_network)
        super().__init__(model)
        self.seed, self.outer_steps, self.statistics = seed, outer_steps, statistics
        self.alpha, self.networks = alpha, networks
        self.keep_weights = keep_weights
        self._estimate = tf.function(functools.partial(batch_statistics, tiny), reduce_retracing=True)

    def trained(self, model: keras.Model) -> keras.Model:
        """Returns the largest network."""
        return self._super_network().model

    @property
    def network(self) -> keras.Model:
        """The tiny network, as `slice_tiny` left it."""
        return self._tiny()

    @property
    def super_network(self) -> SuperNetwork:
        """The network that holds all the others."""
        return self._super_network()

    def call(self, x: tf.Tensor, training: bool = False) -> Any:
        """Returns the outputs of the tiny network for the images (B, H, W, C)."""
        return self.network(x, training=training)

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns loss and outputs of the tiny network, and the sum of its gradients and α times the wider ones'."""
        tiny = self._step_of(x, objective, self.super_network.smallest)
        networks = [(tiny.gradients, self.super_network.smallest)]
        for index in range(self.networks):
            widths = self.draw_widths(number, index)
            wider = self._step_of(x, objective, widths).gradients
            networks.append((wider if self.alpha == 1 else [self.alpha * one for one in wider], widths))
        return tiny._replace(gradients=self.super_network.sum_gradients(networks))

    def _step_of(self, x: tf.Tensor, objective: Objective, widths: list[Width]) -> Step:
        weights = self.super_network.slice_weights(widths)
        forward = functools.partial(self.super_network, x, widths, training=True, weights=weights)
        return self.differentiate(forward, objective, weights)

    def draw_widths(self, number: tf.Tensor, index: int = 0) -> list[Width]:
        """Returns the widths, a scalar for each group of channels, of the wider network `index` of step `number`."""
        place = self.networks * tf.cast(number, tf.int64) + index
        seed = tf.stack([tf.constant(self.seed, tf.int64), place])
        return self.super_network.draw(seed, outer=tf.cast(number, tf.int64) < self.outer_steps)

    def drawn_macs(self, number: int) -> int:
        """Returns the multiply-accumulates of the wider networks of step `number`."""
        drawn = [self.draw_widths(tf.constant(number), index) for index in range(self.networks)]
        return sum(self.super_network.macs([int(width) for width in widths]) for widths in drawn)

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns the callback that sorts channels before epochs and updates the tiny network before evaluations."""
        return [_SortAndSlice(self)]

    def slice_tiny(self) -> None:
        """Copies the weights of the tiny network out of the super-network and estimates its BatchNorm statistics."""
        self.super_network.copy_weights(self.network, to_tiny=True)
        recalibrate(self.network, self._estimate, self.statistics)

    def sort_channels(self, kept_for: Callable[[keras.Variable], list[keras.Variable]] = lambda variable: []) -> None:
        """Moves the most important hidden channels of every block to the front, without changing the function.

        All variables with an entry for each channel are permuted, and so is what the training keeps for them. The
        squeezed channels of squeeze-excites are sorted by the convolution that reads them.

        Args:
            kept_for: returns what is kept for a variable, such as its velocity (`Method.kept_for`).
        """
        for choice, axes in zip(self.super_network.choices, self.super_network.channel_axes(), strict=True):
            if choice.group.kind in ("inner", "squeezed"):
                order = np.argsort(-self.super_network.importance(choice.group), kind="stable")
                for variable, axis in axes:
                    for permuted in [variable, *kept_for(variable)]:
                        permuted.assign(np.take(permuted.numpy(), order, axis))


class _SortAndSlice(keras.callbacks.Callback):
    def __init__(self, netaug: NetAug) -> None:
        super().__init__()
        self.netaug = netaug

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sorts the channels while widths are drawn; before the first step only if the weights are random."""
        steps = int(self.model.optimizer.iterations)
        if steps < self.netaug.outer_steps and (steps or not self.netaug.keep_weights):
            self.netaug.sort_channels(self.model.kept_for)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Updates the tiny network, so that what is evaluated is what would be saved."""
        self.netaug.slice_tiny()


def batch_statistics(network: keras.Model, x: tf.Tensor) -> list[tf.Tensor]:
    """Returns mean and biased variance (C,) of the input of each BatchNorm for the batch `x`, in the order of calls.

    Each BatchNorm normalizes with them, so that the next one gets the same input as in training. Dropout is off.
    """
    graph = walk(network)
    tensors, statistics = {graph.inputs[0]: x}, []
    for call in graph.calls:
        inputs = [tensors[number] for number in call.inputs]
        if isinstance(call.layer, keras.layers.BatchNormalization):
            layer = call.layer
            y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs[0], layer.gamma.value, layer.beta.value, epsilon=layer.epsilon, is_training=True
            )
            count = tf.cast(tf.size(inputs[0]) / tf.size(mean), tf.float32)
            # The kernel normalizes with the biased variance, but returns the unbiased one.
            statistics += [mean, variance * (count - 1) / count]
        else:
            y = call.layer(inputs if len(inputs) > 1 else inputs[0])
        tensors[call.output] = y
    return statistics


def recalibrate(network: keras.Model, statistics: Callable, batches: tf.data.Dataset) -> None:
    """Sets the running statistics of `network` to their average over batches (methods.md A.6).

    Args:
        network: the network.
        statistics: a function of x that returns `batch_statistics` of `network`.
        batches: of (x, y).
    """
    of_batches = [statistics(x) for x, _ in batches]
    means = [np.mean(values, axis=0) for values in zip(*of_batches, strict=True)]
    norms = [call.layer for call in walk(network).calls if isinstance(call.layer, keras.layers.BatchNormalization)]
    for layer, mean, variance in zip(norms, means[::2], means[1::2], strict=True):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)


def defaults(model: str, classes: int) -> dict[str, Any]:
    """Returns the values that "auto" stands for in [netaug]."""
    return {"netaug.width_factors": default_width_factors(model)}


def default_width_factors(name: str) -> list[float]:
    """Returns the width factors of the released configs for an architecture."""
    return list(WIDTH_FACTORS.get(name, WIDTH_FACTORS["mobilenet_v2"]))


def spaced_factors(factor: float, steps: int) -> list[float]:
    """Returns the paper's factors 1 + j·(r − 1)/s, j = 0 … s, for r = `factor` and s = `steps`.

    Raises:
        UserError: r is not above 1.
    """
    if factor <= 1:
        raise UserError(
            f"netaug.factor = {factor:g}: expected more than 1, how wide the largest network is, or 0 for the lists"
        )
    return [1 + number * (factor - 1) / steps for number in range(steps + 1)]


def build(inner: keras.Model | Method, config: Config, training: TrainingContext) -> NetAug:
    """Returns NetAug around the functional model `inner`, as configured by [netaug].

    Raises:
        UserError: `inner` is another method, its layers cannot be widened, or keys of the config do not fit.
    """
    options = config.netaug
    model = require_functional(inner, "netaug")
    if config.device.jit is True:
        raise UserError("device.jit = true cannot compile networks of another width in every step: expected false")
    widths = default_width_factors(model.name) if options.width_factors == "auto" else options.width_factors
    expansions = options.expansion_factors
    if options.factor:
        widths = expansions = spaced_factors(options.factor, options.diversity)
    for key, factors in (("width_factors", widths), ("expansion_factors", expansions)):
        if sorted(set(factors)) != list(factors) or factors[:1] != [1.0]:
            raise UserError(f"netaug.{key} = {factors}: expected factors that ascend from 1, such as [1, 1.8, 2.6]")
    epochs = config.optim.epochs - options.expansion_only * (config.optim.epochs - config.optim.warmup_epochs)
    batches = max(1, options.statistics_images // training.batch)
    return NetAug(
        model,
        list(widths),
        list(expansions),
        seed=config.seed,
        outer_steps=math.ceil(epochs) * training.steps_per_epoch,
        statistics=training.batches(STATISTICS_SEED, min(batches, training.steps_per_epoch)),
        keep_weights=bool(config.model.weights),
        initialize=functools.partial(initializers.draw_weights, config=config, stream=2),
        alpha=options.alpha,
        networks=options.networks,
    )
