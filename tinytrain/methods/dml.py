"""Deep mutual learning (Zhang et al., 2018; arXiv 1706.00384): a fast student and a slow one teach each other.

The fast student is the network itself. The slow one is the same network with dropout and a cosine head, and is dropped
after training. With the probabilities f = softmax(z) and s = softmax(scale·cosθ) for the same batch, dml.form = "paper"
minimizes

    L_fast = CE(y, z)                  + w·KL(s ‖ f)
    L_slow = AM-Softmax(y, cosθ)       + w·KL(f ‖ s)

where the other student's probabilities are constants; "released", the code of the adaptive pipeline, minimizes

    ½(CE(y, z) + AM-Softmax(y, cosθ)) + w·½(H(p̄, f) + H(p̄, s)),    p̄ = ½(f + s), a constant.

As the gradient of H(p̄, f) is f − p̄ = ½(f − s), the released form with weight w has half the gradients of the paper's
with w/2 (methods.md C.7). The probabilities have no margin and temperature 1. One step of one optimizer trains both
students, each with its own BatchNorm statistics; `loss` is the sum of both.

Differences from the released code: its slow student has no margin, by mistake (dml.margin = 0 reproduces that), and
PReLU before its head (dml.prelu = true does). With its scale of 1 the slow student's probabilities are nearly uniform,
which is intended.
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
from tinytrain.nn.prelu import with_prelu
from tinytrain.train import additive_margin_loss
from tinytrain.train.method import Method, Objective, Step, TrainingContext, require_functional

OFF = ["dml.weight=0"]


def build(inner: Any, config: Config, training: TrainingContext) -> "Dml":
    """Returns mutual learning of the plain model `inner`; raises UserError around another method.

    With model.weights, both students start from these weights, except the head; else the slow one has its own draw.
    """
    initialize = functools.partial(initializers.draw_weights, config=config, stream=2)
    return Dml(require_functional(inner, "dml"), config.dml, bool(config.model.weights), initialize)


class Dml(Method):
    """Trains `model`, the fast student, together with a slow one; `network` and `finish` give the fast one.

    Args:
        model: the fast student.
        options: the [dml] section.
        keep_weights: whether the slow student starts with the weights of `model`, except the head.
        initialize: (slow student, name of a layer to skip): draws the weights of the slow student in place, if they
            are not kept; by default they stay as `blocks` draws them.
        **kwargs: of keras.Model.
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
        """Makes the slow student; after the fast one, whose dropout masks are thus the same as without it."""
        dropout, cosine = self.options.dropout, self.options.head == "cosine"
        with_head = cosine_head.with_cosine_head if cosine else cosine_head.with_dropout
        body = with_prelu(self.plain) if self.options.prelu else self.plain
        slow = with_head(body, dropout, self.keep_weights)
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
            loss = self.joint_loss(objective, logits, cosines)
            scaled = objective.scale(loss)
        return Step(loss, logits, tape.gradient(scaled, self.trainable_variables))

    def joint_loss(self, objective: Objective, logits: tf.Tensor, cosines: tf.Tensor) -> tf.Tensor:
        """Returns the sum of both students' losses.

        Terms that other methods add to the objective, such as distillation, count for both students.

        Args:
            objective: the loss of the labels, and what other methods add to it.
            logits: (B, classes), of the fast student.
            cosines: (B, classes), of the slow student; with dml.head = "softmax" logits, without margin and scale.
        """
        options, margin, scale = self.options, self.options.margin, self.options.scale
        label_loss = objective.total(logits)
        if options.head == "softmax":
            label_loss, scale = label_loss + objective.total(cosines), 1.0
        else:
            label_loss += additive_margin_loss.am_softmax(objective, margin, scale).total(cosines)
        fast, slow = tf.nn.log_softmax(logits), tf.nn.log_softmax(scale * cosines)
        if options.form == "paper":
            return label_loss + options.weight * (kl_divergence(slow, fast) + kl_divergence(fast, slow))
        mean = tf.stop_gradient((tf.exp(fast) + tf.exp(slow)) / 2)
        return (label_loss + options.weight * (cross_entropy(mean, fast) + cross_entropy(mean, slow))) / 2


def kl_divergence(peer: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
    """Returns KL(peer ‖ student), the mean over the batch; the peer is constant. Log-probabilities (B, classes)."""
    peer = tf.stop_gradient(peer)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(peer) * (peer - student), axis=-1))


def cross_entropy(probabilities: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
    """Returns −Σ p·log q, the mean over the batch, of `probabilities` p and log q of the `student` (B, classes)."""
    return -tf.reduce_mean(tf.reduce_sum(probabilities * student, axis=-1))
