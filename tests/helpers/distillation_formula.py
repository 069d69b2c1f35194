"""Softmax and the loss of distillation, worked by hand in float64."""

import numpy as np


def softmax(values):
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def by_hand(y, teacher, student, weight, temperature):
    """CE(y, z) + w T² CE(softmax(t/T), z/T), means over the batch, in float64."""
    hard = -(y * np.log(softmax(student))).sum(axis=-1).mean()
    soft = -(softmax(teacher / temperature) * np.log(softmax(student / temperature))).sum(axis=-1).mean()
    return hard + weight * temperature**2 * soft
