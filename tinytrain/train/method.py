"""Method: what stands between a plain model and `keras.Model.fit`, and owns the training step.

`Method` is plain training. A training method of `tinytrain/methods` is one of two kinds of subclass:
- of `Method`, around a functional model, where it changes the network that is trained: the innermost of its training;
- of `MethodWrapper`, around another method, where it changes the loss, or how often gradients are taken.
Both change `gradients(x, objective, number)`, which asks the method inside with the objective that it wants: this is
how they nest. `after_step(number)` is for what follows the optimizer's step, as the averages of `averaging` do. None
subclasses a functional model (Keras rewrites the base classes of a functional subclass), and `finish` gives the plain
model back without a trace of the method.

A module of tinytrain/methods has `build(inner, config, training)` and may have
- `OFF`, KEY=VALUE words with which it is plain training, number for number, if there are such;
- `defaults(model, classes)`, {dotted key: value} of what "auto" means in its keys, for the name of a model;
- `JIT = False`, if XLA cannot compile its step.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tinytrain.errors import UserError
from tinytrain.nn.fused_batch_norm import with_fused_batch_norm
from tinytrain.train import optimizers
from tinytrain.workers import collectives

STATISTICS = ("moving_mean", "moving_variance")  # the running ones of a BatchNorm, by their names


@dataclasses.dataclass(frozen=True)
class TrainingContext:
    """The training that a method is part of, as far as a method may need to know it."""

    steps_per_epoch: int
    batch: int  # images a step
    batches: Callable[[int, int], tf.data.Dataset]  # (seed, steps) -> augmented training batches (x, targets)
    classes: list[str] = dataclasses.field(default_factory=list)


class Step(NamedTuple):
    """The result of a training step: loss (scalar) and outputs of the network, a gradient for each variable.

    The outputs are a tensor (B, …), of a classifier logits (B, classes), or a structure of tensors. The gradients are
    in the order of `trainable_variables`.
    """

    loss: tf.Tensor
    outputs: Any
    gradients: list[tf.Tensor]


def _nothing(outputs: Any) -> Any:
    return 0.0  # of any dtype, as losses in float64 are


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a pass minimises: `total` of the outputs of the network, a scalar.

    It is `loss`, for the targets `y`, and `part`, what methods around have added. Both are apart because a method may
    change what the targets ask for, such as a margin, which does not concern the other parts.
    Its gradients are those of `scale(total)`, which the optimizer scales back: mixed precision needs it.
    """

    loss: Callable[[Any], tf.Tensor]
    scale: Callable[[tf.Tensor], tf.Tensor]
    y: Any = None
    part: Callable[[Any], tf.Tensor] = _nothing

    def total(self, outputs: Any) -> tf.Tensor:
        """Returns all that is minimised."""
        return self.loss(outputs) + self.part(outputs)

    def plus(self, part: Callable[[Any], tf.Tensor]) -> "Objective":
        """Returns this objective with another loss of the outputs added."""
        return dataclasses.replace(self, part=lambda outputs: self.part(outputs) + part(outputs))


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

    def call(self, x: tf.Tensor, training: bool = False) -> Any:
        """Returns the outputs for the images (B, H, W, C)."""
        return self.network(x, training=training)

    def build(self, input_shape: tuple) -> None:
        """Marks the method as built: its network always is."""
        self.built = True

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[Any, Any], tf.Tensor],
        metrics: Sequence[keras.metrics.Metric] = (),
        **kwargs: Any,
    ) -> None:
        """Sets what the training needs; Keras' own losses and metrics know one output at a time, these see all.

        Args:
            optimizer: takes the steps.
            loss: (targets, outputs) -> scalar.
            metrics: of (targets, outputs), each named after its column of history.csv.
            **kwargs: those of keras.Model.compile.
        """
        super().compile(optimizer=optimizer, **kwargs)
        self._measure = lambda: (loss, list(metrics))  # not an attribute, or Keras would track the metrics' variables

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The mean loss, and the metrics that `compile` was given."""
        return [self._loss_tracker, *self._measure()[1]] if self.compiled else []

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> tf.Tensor:
        """Returns the loss of targets and outputs."""
        return self._measure()[0](y, y_pred)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, tf.Tensor]:
        """Returns loss and metrics so far in the epoch, those of this batch included."""
        for metric in self._measure()[1]:
            metric.update_state(y, y_pred)
        return self.get_metrics_result()

    def train_step(self, data: tuple[tf.Tensor, Any]) -> dict[str, tf.Tensor]:
        """Takes one step of the optimizer on the batch (x, y); returns the metrics so far in the epoch.

        Workers that train together each have their share of a batch: loss and gradients are the means of theirs.

        In mixed precision the optimizer lowers its loss scale and skips the step where a gradient is not finite; then
        the running statistics stay as they were, too.
        """
        x, y = data
        objective = Objective(lambda outputs: self.compute_loss(x, y, outputs), self.optimizer.scale_loss, y)
        before = [(variable, tf.identity(variable.value)) for variable in self._statistics()]
        number = tf.identity(self.optimizer.iterations.value)
        step = self.gradients(x, objective, number)
        loss, *gradients = collectives.here().mean([step.loss, *step.gradients])
        if before:
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
            for variable, value in before:
                variable.assign(tf.where(finite, variable.value, value))
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.after_step(number)
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, step.outputs)

    def _statistics(self) -> list[keras.Variable]:
        """Returns the running statistics of all networks, if the optimizer skips steps that overflow."""
        if not isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            return []
        return self.running_statistics()

    def running_statistics(self) -> list[keras.Variable]:
        """Returns the running means and variances of all networks that are trained."""
        return [variable for variable in self.non_trainable_variables if variable.name in STATISTICS]

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns loss, outputs and gradients of the batch `x`; this is what a method changes.

        Args:
            x: images (B, H, W, C) float32 in [-1, 1).
            objective: what is minimised.
            number: of the step, counted from 0; what is drawn at random should depend on it and the seed alone.
        """
        return self.differentiate(lambda: self.network(x, training=True), objective)

    def after_step(self, number: tf.Tensor) -> None:
        """Does what follows the optimizer's step, as a part of the training step: by default nothing.

        Args:
            number: of the step, counted from 0. In mixed precision it may be one that the optimizer has skipped.
        """

    def kept_for(self, variable: keras.Variable) -> list[keras.Variable]:
        """Returns what the training keeps for each entry of `variable`: a method that moves entries moves these, too.

        Of methods within each other the outermost one, which Keras compiles, has to be asked.
        """
        return optimizers.slots(self.optimizer, variable)

    def differentiate(self, forward: Callable[[], Any], objective: Objective, sources: list[Any] | None = None) -> Step:
        """Returns loss, outputs and gradients of one pass, whose outputs `forward` computes.

        Args:
            forward: computes the outputs.
            objective: what is minimised.
            sources: tensors to differentiate with respect to, by default the trainable variables.
        """
        with tf.GradientTape() as tape:
            if sources is not None:
                tape.watch(sources)
            outputs = forward()
            loss = objective.total(outputs)
            scaled = objective.scale(loss)
        return Step(loss, outputs, tape.gradient(scaled, self.trainable_variables if sources is None else sources))

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


class MethodWrapper(Method):
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

    def call(self, x: tf.Tensor, training: bool = False) -> Any:
        """Returns the outputs for the images (B, H, W, C)."""
        return self.inner(x, training=training)

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns what the inner method finds."""
        return self.inner.gradients(x, objective, number)

    def after_step(self, number: tf.Tensor) -> None:
        """Does what the inner method does."""
        self.inner.after_step(number)

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


def require_functional(inner: keras.Model | Method, name: str) -> keras.Model:
    """Returns `inner`, for the method `name`, which changes the network itself; refuses one that is in a method."""
    if isinstance(inner, Method):
        raise UserError(
            f"the method {name} changes the network itself: expected it as the first one, and no other one that does so"
        )
    return inner
