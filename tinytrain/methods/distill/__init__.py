"""Distillation (Hinton et al., 2015; arXiv 1503.02531): a trained teacher's answers beside the labels.

    L = CE(y, z) + w·T²·CE(softmax(z_teacher / T), z / T)

with the student's logits z and the teacher's of the same augmented images; the teacher is in inference mode and is not
trained. T² keeps the size of the gradients when T changes (Hinton, section 2). With T = 1 and w = 1 it is what the
authors of NetAug do in their OFA code (methods.md A.7), save that their teacher normalises with the batch. Around
NetAug the teacher's part is added to the loss of both networks of a step.
"""

import keras
import tensorflow as tf

from tinytrain.config.schema import Config
from tinytrain.methods.distill import teachers
from tinytrain.train.method import Method, MethodWrapper, Objective, Step, TrainingContext

OFF = ["distill.weight=0"]


class Distill(MethodWrapper):
    """Adds the teacher's part to the loss of every network that `inner` trains.

    teacher: images (B, H, W, C) -> logits (B, classes); its weights are neither trained nor saved with the student's.
    """

    def __init__(self, inner: Method, teacher: keras.Model, weight: float, temperature: float) -> None:
        super().__init__(inner)
        self._teacher = lambda: teacher  # behind a function, or Keras would take its weights for ours
        self.weight, self.temperature = weight, temperature

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns what `inner` finds for the sum of both losses; the teacher answers once for a batch."""
        taught = tf.nn.softmax(tf.cast(self._teacher()(x, training=False), tf.float32) / self.temperature)
        taught = tf.stop_gradient(taught)

        def part(logits: tf.Tensor) -> tf.Tensor:
            soft = tf.nn.softmax_cross_entropy_with_logits(taught, tf.cast(logits, tf.float32) / self.temperature)
            return self.weight * self.temperature**2 * tf.reduce_mean(soft)

        return self.inner.gradients(x, objective.plus(part), number)


def build(inner: keras.Model | Method, config: Config, training: TrainingContext) -> Distill:
    """Returns distillation around `inner` as [distill] of `config` says."""
    method = inner if isinstance(inner, Method) else Method(inner)
    teacher = teachers.load(config.distill.teacher, method.network, training.classes)
    return Distill(method, teacher, config.distill.weight, config.distill.temperature)
