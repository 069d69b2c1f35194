"""Distillation (Hinton et al., 2015; arXiv 1503.02531): learns a trained teacher's probabilities beside the labels.

    L = CE(y, z) + w·T²·CE(softmax(z_teacher / T), z / T)

with the logits z of the student and z_teacher for the same augmented images. The second term is that of classification;
what another task compares its outputs by is `Task.distillation`. The teacher is in inference mode and is
not trained. T² keeps the size of the gradients when T changes (Hinton, section 2). T = 1 and w = 1 is what the authors
of NetAug do in their OFA code (methods.md A.7), except that their teacher normalizes with the batch. Around NetAug,
the teacher's term is added to the losses of both networks of a step.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tinytrain.config.schema import Config
from tinytrain.methods.distill import teachers
from tinytrain.train import task as tasks
from tinytrain.train.method import Method, MethodWrapper, Objective, Step, TrainingContext

OFF = ["distill.weight=0"]


class Distill(MethodWrapper):
    """Adds the teacher's term to the loss of every network that `inner` trains.

    Args:
        inner: the method that trains the student.
        teacher: images (B, H, W, C) -> outputs like the student's; its weights are neither trained nor saved.
        weight: w.
        temperature: T.
        term: (outputs of the student, outputs of the teacher, T) -> what w·T² multiplies: `Task.distillation`.
    """

    def __init__(
        self,
        inner: Method,
        teacher: keras.Model,
        weight: float,
        temperature: float,
        term: Callable[[Any, Any, float], tf.Tensor],
    ) -> None:
        super().__init__(inner)
        self._teacher = lambda: teacher  # behind a function, or Keras would add its weights to the student's
        self.weight, self.temperature, self.term = weight, temperature, term

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns the step of `inner` with the sum of both losses; the teacher runs once for each batch."""
        taught = tf.nest.map_structure(tf.stop_gradient, self._teacher()(x, training=False))

        def teacher_loss(outputs: Any) -> tf.Tensor:
            return self.weight * self.temperature**2 * self.term(outputs, taught, self.temperature)

        return self.inner.gradients(x, objective.plus(teacher_loss), number)


def build(inner: keras.Model | Method, config: Config, training: TrainingContext) -> Distill:
    """Returns distillation around `inner`, as configured by [distill]."""
    method = inner if isinstance(inner, Method) else Method(inner)
    task = tasks.of(config, training.classes)
    teacher = teachers.load(config.distill.teacher, method.network, training.classes, task)
    return Distill(method, teacher, config.distill.weight, config.distill.temperature, task.distillation)
