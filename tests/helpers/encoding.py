"""Batches as classification has them, for tests that need no config."""

import tensorflow as tf


def one_hot(classes):
    """Returns what `Task.encode` of a classifier does."""
    return lambda labels, transforms: tf.one_hot(labels, classes)
