"""The additive margin of AM-Softmax in what a training minimises (Wang et al., 2018; arXiv 1801.05599)."""

import dataclasses

import tensorflow as tf

from tinytrain.train.method import Objective


def am_softmax(objective: Objective, margin: float, scale: float) -> Objective:
    """Returns `objective`, of logits, as one of cosines (B, classes): AM-Softmax with margin m and scale s.

    The loss of the labels y sees s·(cosθ − m·y); for mixed labels the margin is mixed likewise. What other methods have
    added, such as a teacher's answers, sees s·cosθ: the logits of the class probabilities. The margin makes the true
    class harder than it is; a teacher's answers must be compared with what the network says, not with that.
    """

    def labels(cosines: tf.Tensor) -> tf.Tensor:
        return objective.loss(scale * (cosines - margin * tf.cast(objective.y, cosines.dtype)))

    return dataclasses.replace(objective, loss=labels, part=lambda cosines: objective.part(scale * cosines))
