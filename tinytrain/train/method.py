"""Method: what stands between a plain model and `keras.Model.fit`, and owns the training step.

`Method` is plain training. A training method of `tinytrain/methods` is one of two kinds of subclass:
- of `Method`, around a functional model, where it changes the network that is trained: the innermost of its training;
- of `Around`, around another method, where it changes the loss, or how often gradients are taken.
Both change `gradients(x, objective, number)`, which asks the method inside with the objective that it wants: this is
how they nest. None subclasses a functional model (Keras rewrites the base classes of a functional subclass), and
`finish` gives the plain model back without a trace of the method.

A module of the room has `build(inner, config, training)` and may have
- `OFF`, KEY=VALUE words with which it is plain training, number for number, if there are such;
- `defaults(model, classes)`, {dotted key: value} of what "auto" means in its keys, for the name of a model;
- `JIT = False`, if XLA cannot compile its step.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tinytrain.errors import UserError
from tinytrain.nn.fused_batch_norm import with_fused_batch_norm

STATISTICS = ("moving_mean", "moving_variance")  # the running ones of a BatchNorm, by their names


@dataclasses.dataclass(frozen=True)
class Training:
    """What a method may want to know of the training that it is part of."""

    steps_per_epoch: int
    batch: int  # images a step
    batches: Callable[[int, int], tf.data.Dataset]  # (seed, steps) -> augmented training batches (x, one-hot y)
    classes: list[str] = dataclasses.field(default_factory=list)


class Step(NamedTuple):
    """What a training step found: loss (scalar) and logits (B, classes) of the network, a gradient for each variable.

    The gradients are in the order of `trainable_variables`.
    """

    loss: tf.Tensor
    logits: tf.Tensor
    gradients: list[tf.Tensor]


def _nothing(logits: tf.Tensor) -> tf.Tensor:
    return tf.zeros(())


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a pass minimises: `total` of the logits (B, classes), a scalar.

    It is `loss`, for the labels `y` (B, classes), and `part`, what methods around have added. Both are apart because a
    method may change what the labels ask for, such as a margin, which is no matter of the other parts.
    Its gradients are those of `scale(total)`, which the optimizer scales back: mixed precision needs it.
    """

    loss: Callable[[tf.Tensor], tf.Tensor]
    scale: Callable[[tf.Tensor], tf.Tensor]
    y: tf.Tensor | None = None
    part: Callable[[tf.Tensor], tf.Tensor] = _nothing

    def total(self, logits: tf.Tensor) -> tf.Tensor:
        """Returns all that is minimised."""
        return self.loss(logits) + self.part(logits)

    def plus(self, part: Callable[[tf.Tensor], tf.Tensor]) -> "Objective":
        """Returns this objective with another loss of the logits added."""
        return dataclasses.replace(self, part=lambda logits: self.part(logits) + part(logits))


def _policy(model: keras.Model) -> keras.DTypePolicy:
    """Returns the dtype policy of the layers of `model`; a copy itself has the one that was set when it was made.

    By that of the method Keras decides whether losses are scaled.
    """
    return next((layer.dtype_policy for layer in model.layers if layer.weights), model.dtype_policy)


class Method(keras.Model):
    """Plain training of `model`; other methods change `gradients`.

    The weights that are trained belong to a copy that is fast in training. `finish` brings them back.
    """

    def __init__(self, model: keras.Model, **kwargs: Any) -> None:
        super().__init__(name=f"{model.name}_training", dtype=_policy(model), **kwargs)
        self._plain = lambda: model  # not an attribute, or Keras would track its weights a second time
        self._learner = self.trained(model)
        self.build(model.input_shape)

    def trained(self, model: keras.Model) -> keras.Model:
        """Returns the network that is trained in place of `model`."""
        return with_fused_batch_norm(model)

    @property
    def network(self) -> keras.Model:
        """The network that is evaluated and saved, with the weights of `model` in their order."""
        return self._learner

    @property
    def plain(self) -> keras.Model:
        """The model that `finish` will return."""
        return self._plain()

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the logits (B, classes) of the images (B, H, W, C)."""
        return self.network(x, training=training)

    def build(self, input_shape: tuple) -> None:
        """Marks the method as built: its network always is."""
        self.built = True

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Takes one step of the optimizer on the batch (x, y); returns the metrics so far in the epoch.

        In mixed precision the optimizer lowers its loss scale and skips the step where a gradient is not finite; then
        the running statistics stay as they were, too.
        """
        x, y = data
        objective = Objective(lambda logits: self.compute_loss(x=x, y=y, y_pred=logits), self.optimizer.scale_loss, y)
        before = [(variable, tf.identity(variable.value)) for variable in self._statistics()]
        step = self.gradients(x, objective, self.optimizer.iterations)
        if before:
            taken = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in step.gradients])
            for variable, value in before:
                variable.assign(tf.where(taken, variable.value, value))
        self.optimizer.apply_gradients(zip(step.gradients, self.trainable_variables, strict=True))
        self._loss_tracker.update_state(step.loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, step.logits)

    def _statistics(self) -> list[keras.Variable]:
        """Returns the running statistics of all networks, if the optimizer skips steps that overflow."""
        if not isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            return []
        return [variable for variable in self.non_trainable_variables if variable.name in STATISTICS]

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns loss, logits and gradients of the batch `x`; this is what a method changes.

        number: of the step, counted from 0; what is drawn at random should depend on it and the seed alone.
        """
        return self.differentiate(lambda: self.network(x, training=True), objective)

    def differentiate(
        self, forward: Callable[[], tf.Tensor], objective: Objective, sources: list[Any] | None = None
    ) -> Step:
        """Returns loss, logits and gradients of one pass, whose logits `forward` computes.

        sources: tensors to differentiate with respect to, by default the trainable variables.
        """
        with tf.GradientTape() as tape:
            if sources is not None:
                tape.watch(sources)
            logits = forward()
            loss = objective.total(logits)
            scaled = objective.scale(loss)
        return Step(loss, logits, tape.gradient(scaled, self.trainable_variables if sources is None else sources))

    def students(self) -> list[list[keras.Variable]]:
        """Returns the trainable variables of each network that is trained: one, unless several learn side by side."""
        return [self.trainable_variables]

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns what the method does between the steps."""
        return []

    def warnings(self) -> list[str]:
        """Returns what will not act as its keys say on this network, a sentence each."""
        return []

    def finish(self) -> keras.Model:
        """Returns the plain model with the trained weights."""
        self.plain.set_weights(self.network.get_weights())
        return self.plain


class Around(Method):
    """A method around another method, `inner`, whose network it trains; by itself it changes nothing."""

    def __init__(self, inner: Method, **kwargs: Any) -> None:
        name = f"{inner.name}_{type(self).__name__.lower()}"
        keras.Model.__init__(self, name=name, dtype=inner.dtype_policy, **kwargs)
        self.inner = inner
        self.build(())

    @property
    def network(self) -> keras.Model:
        """The network of the innermost method."""
        return self.inner.network

    @property
    def plain(self) -> keras.Model:
        """The model that `finish` will return."""
        return self.inner.plain

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the logits (B, classes) of the images (B, H, W, C)."""
        return self.inner(x, training=training)

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns what the inner method finds."""
        return self.inner.gradients(x, objective, number)

    def students(self) -> list[list[keras.Variable]]:
        """Returns those of the inner method."""
        return self.inner.students()

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns those of the inner method."""
        return self.inner.callbacks()

    def warnings(self) -> list[str]:
        """Returns those of the inner method."""
        return self.inner.warnings()

    def finish(self) -> keras.Model:
        """Returns the plain model with the trained weights."""
        return self.inner.finish()


def functional(inner: keras.Model | Method, name: str) -> keras.Model:
    """Returns `inner`, for the method `name`, which changes the network itself; refuses one that is in a method."""
    if isinstance(inner, Method):
        raise UserError(
            f"the method {name} changes the network itself: expected it first, and no second one that does so"
        )
    return inner
