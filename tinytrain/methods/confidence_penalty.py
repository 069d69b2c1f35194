"""The confidence penalty (Pereyra et al., 2017; arXiv 1701.06548): answers of low entropy cost more.

    L = CE(y, z) − β·H(p),    H(p) = −Σ_j p_j·log p_j,    p = softmax(z)

the mean over the images of a batch. Label smoothing draws the answers towards even ones by KL(u ‖ p), this by
KL(p ‖ u) and a constant. It adds nothing to the finished model. Around AM-Softmax p is softmax(s·cosθ), and around
methods that train several networks each of them is penalised.
"""

import keras
import tensorflow as tf

from tinytrain.config.schema import Config
from tinytrain.train.method import Method, MethodWrapper, Objective, Step, TrainingContext

OFF = ["confidence_penalty.beta=0"]


class ConfidencePenalty(MethodWrapper):
    """Takes β·H(p) from the loss of every network that `inner` trains.

    Args:
        inner: the method around which it is.
        beta: β; 0 leaves `inner` as it is.
    """

    def __init__(self, inner: Method, beta: float) -> None:
        super().__init__(inner)
        self.beta = beta

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns the step of `inner` with the penalty in its loss."""
        if not self.beta:
            return self.inner.gradients(x, objective, number)
        return self.inner.gradients(x, objective.plus(lambda logits: -self.beta * mean_entropy(logits)), number)


def mean_entropy(logits: tf.Tensor) -> tf.Tensor:
    """Returns the mean entropy in nats of softmax(logits), (B, classes) -> scalar."""
    logs = tf.nn.log_softmax(logits)
    return -tf.reduce_mean(tf.reduce_sum(tf.exp(logs) * logs, axis=-1))


def build(inner: keras.Model | Method, config: Config, training: TrainingContext) -> ConfidencePenalty:
    """Returns the penalty around `inner`, as configured by [confidence_penalty]."""
    return ConfidencePenalty(inner if isinstance(inner, Method) else Method(inner), config.confidence_penalty.beta)
