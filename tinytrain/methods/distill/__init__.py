"""Distillation (Hinton et al., 2015; arXiv 1503.02531): learns a trained teacher's probabilities beside the labels.

    L = CE(y, z) + w·T²·CE(softmax(z_teacher / T), z / T)

with the logits z of the student and z_teacher for the same augmented images. The teacher is in inference mode and is
not trained. T² keeps the size of the gradients when T changes (Hinton, section 2). T = 1 and w = 1 is what the authors
of NetAug do in their OFA code (methods.md A.7), except that their teacher normalizes with the batch. Around NetAug,
the teacher's term is added to the losses of both networks of a step.
"""

import keras
import tensorflow as tf

from tinytrain.config.schema import Config
from tinytrain.methods.distill import teachers
from tinytrain.train.method import Method, MethodWrapper, Objective, Step, TrainingContext

OFF = ["distill.weight=0"]


class Distill(MethodWrapper):
    """Adds the teacher's term to the loss of every network that `inner` trains.

    Args:
        inner: the method that trains the student.
        teacher: images (B, H, W, C) -> logits (B, classes); its weights are neither trained nor saved.
        weight: w.
        temperature: T.
    """

    def __init__(self, inner: Method, teacher: keras.Model, weight: float, temperature: float) -> None:
        super().__init__(inner)
        self._teacher = lambda: teacher  # behind a function, or Keras would add its weights to the student's
        self.weight, self.temperature = weight, temperature

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns the step of `inner` with the sum of both losses; the teacher runs once for each batch."""
        soft_labels = tf.nn.softmax(tf.cast(self._teacher()(x, training=False), tf.float32) / self.temperature)
        soft_labels = tf.stop_gradient(soft_labels)

        def teacher_loss(logits: tf.Tensor) -> tf.Tensor:
            scaled = tf.cast(logits, tf.float32) / self.temperature
            losses = tf.nn.softmax_cross_entropy_with_logits(soft_labels, scaled)
            return self.weight * self.temperature**2 * tf.reduce_mean(losses)

        return self.inner.gradients(x, objective.plus(teacher_loss), number)


def build(inner: keras.Model | Method, config: Config, training: TrainingContext) -> Distill:
    """Returns distillation around `inner`, as configured by [distill]."""
    method = inner if isinstance(inner, Method) else Method(inner)
    teacher = teachers.load(config.distill.teacher, method.network, training.classes)
    return Distill(method, teacher, config.distill.weight, config.distill.temperature)
