"""Deep mutual learning (Zhang et al., 2018; arXiv 1706.00384): a fast student and a slow one teach each other.

The fast student is the network itself. The slow one is the same network with dropout and a cosine head; it is thrown
away in the end. With the answers f = softmax(z) and s = softmax(scale·cosθ) for the same batch, form "paper" minimises

    L_fast = CE(y, z)                  + w·KL(s ‖ f)
    L_slow = AM-Softmax(y, cosθ)       + w·KL(f ‖ s)

where the other's answers are constants, and "released", the code of the adaptive pipeline,

    ½(CE(y, z) + AM-Softmax(y, cosθ)) + w·½(H(p̄, f) + H(p̄, s)),    p̄ = ½(f + s), a constant.

As the gradient of H(p̄, f) is f − p̄ = ½(f − s), the released form with weight w has half the gradients of the paper's
with w/2 (methods.md C.7). Answers have no margin and temperature 1. One step trains both, each with its own BatchNorm
statistics, by the same optimizer; `loss` is the sum of both.

Where we differ from the released code: its slow student had no margin, by a mistake (dml.margin = 0 is what it did),
and PReLU before its head. With its scale of 1 the slow student's answers are nearly uniform: that is meant so.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tinytrain.config import method_keys
from tinytrain.config.schema import Config
from tinytrain.nn import cosine_head, initializers
from tinytrain.nn.fused_batch_norm import with_fused_batch_norm
from tinytrain.train import additive_margin
from tinytrain.train.method import Method, Objective, Step, TrainingContext, require_functional

OFF = ["dml.weight=0"]


def build(inner: Any, config: Config, training: TrainingContext) -> "Dml":
    """Returns mutual learning of the plain model `inner`; raises UserError around another method.

    With model.weights both students begin from them, without the head; else the slow one is drawn by itself.
    """
    initialize = functools.partial(initializers.draw, config=config, stream=2)
    return Dml(require_functional(inner, "dml"), config.dml, bool(config.model.weights), initialize)


class Dml(Method):
    """Training of `model`, the fast student, beside a slow one; `network` and what `finish` returns are the fast one.

    Args:
        model: the fast student.
        options: [dml].
        keep_weights: whether the slow student begins with the weights of `model`, all but the head.
        initialize: draws the weights of another one in place, but for the layer `skip`; by default as `blocks` does.
    """

    def __init__(
        self,
        model: keras.Model,
        options: method_keys.Dml,
        keep_weights: bool = False,
        initialize: Callable[..., None] = lambda slow, skip: None,
        **kwargs: Any,
    ) -> None:
        self.options, self.keep_weights, self.initialize = options, keep_weights, initialize  # `build` needs them
        super().__init__(model, **kwargs)

    def build(self, input_shape: tuple) -> None:
        """Makes the slow student, after the fast one: this draws its dropout as it would alone."""
        dropout, cosine = self.options.dropout, self.options.head == "cosine"
        with_head = cosine_head.with_cosine_head if cosine else cosine_head.with_dropout
        slow = with_head(self.plain, dropout, self.keep_weights)
        if not self.keep_weights:
            self.initialize(slow, skip=cosine_head.classifier(slow).name if cosine else "")
        slow = with_fused_batch_norm(slow)
        self.slow = cosine_head.in_training(slow) if cosine else slow
        super().build(input_shape)

    def students(self) -> list[list[keras.Variable]]:
        """Returns the trainable variables of the fast student and of the slow one."""
        return [self.network.trainable_variables, self.slow.trainable_variables]

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns the loss of both students, the logits of the fast one and the gradients of both."""
        with tf.GradientTape() as tape:
            logits, cosines = self.network(x, training=True), self.slow(x, training=True)
            loss = self.both(objective, logits, cosines)
            scaled = objective.scale(loss)
        return Step(loss, logits, tape.gradient(scaled, self.trainable_variables))

    def both(self, objective: Objective, logits: tf.Tensor, cosines: tf.Tensor) -> tf.Tensor:
        """Returns the loss of both students from the logits of the fast and the cosines of the slow one (B, classes).

        With dml.head = "softmax" the latter are logits too, without margin and scale.
        What other methods have added, such as a teacher's answers, is for both.
        """
        options, margin, scale = self.options, self.options.margin, self.options.scale
        own = objective.total(logits)
        if options.head == "softmax":
            own, scale = own + objective.total(cosines), 1.0
        else:
            own += additive_margin.am_softmax(objective, margin, scale).total(cosines)
        fast, slow = tf.nn.log_softmax(logits), tf.nn.log_softmax(scale * cosines)
        if options.form == "paper":
            return own + options.weight * (divergence(slow, fast) + divergence(fast, slow))
        mean = tf.stop_gradient((tf.exp(fast) + tf.exp(slow)) / 2)
        return (own + options.weight * (cross_entropy(mean, fast) + cross_entropy(mean, slow))) / 2


def divergence(peer: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
    """Returns KL(peer ‖ student), the mean over the batch, of log-probabilities (B, classes); the peer is constant."""
    peer = tf.stop_gradient(peer)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(peer) * (peer - student), axis=-1))


def cross_entropy(p: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
    """Returns −Σ p·log q, the mean over the batch, of probabilities p and log-probabilities log q (B, classes)."""
    return -tf.reduce_mean(tf.reduce_sum(p * student, axis=-1))
