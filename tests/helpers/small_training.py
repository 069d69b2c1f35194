"""A small network, a batch of noise and a compiled method: what a test of a training method steps through."""

import keras
import numpy as np
import tensorflow as tf

from tinytrain.config.schema import Config
from tinytrain.methods.netaug import NetAug
from tinytrain.nn import blocks
from tinytrain.train import task
from tinytrain.train.method import TrainingContext
from tinytrain.train.optimizers.sgd import SGD

SOFT_LABELS = task.of(Config(), []).distillation  # of classification
SMALLEST = ["model.name=resnet8", "model.width=0.25", "model.stem=cifar", "model.resolution=16"]  # traced soonest
WIDTHS, EXPANSIONS = [1.0, 1.8, 2.6], [1.0, 1.6, 2.2, 2.8]


def images(count=8, resolution=32, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, (count, resolution, resolution, 3)), tf.float32)


def labels(count=8, seed=1):
    return tf.one_hot(np.random.default_rng(seed).integers(0, 10, count), 10)


def netaug(model, widths=WIDTHS, expansions=EXPANSIONS, outer_steps=100, keep_weights=True, x=None, **options):
    statistics = tf.data.Dataset.from_tensors((images() if x is None else x, labels()))
    return NetAug(model, widths, expansions, 0, outer_steps, statistics, keep_weights, **options)


def compiled(method, lr=0.05):
    method.compile(
        SGD(lr, coupled_decay=1e-3),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=[keras.metrics.CategoricalAccuracy("top1")],
        jit_compile=False,
    )
    method.optimizer.build(method.trainable_variables)
    return method


def shallow():
    """Every kind of block once: deep enough for all rules, shallow enough that float32 noise stays small."""
    image = blocks.image_input(16, 3)
    x = blocks.depthwise_bn(blocks.conv_bn(image, 8, 3, 2, "hard_swish", "stem"), 3, 1, "relu", "block0")
    x = blocks.inverted_residual(x, 24, 8, 3, 1, True, "block1")
    y = blocks.depthwise_bn(blocks.conv_bn(x, 20, 1, 1, "relu", "block2_expand"), 3, 1, "relu", "block2")
    y = blocks.squeeze_excite(y, 6, "relu", "hard_sigmoid", "block2")
    x = blocks.conv_bn(y, 12, 1, 1, None, "block2_project")
    return keras.Model(image, blocks.classifier(blocks.conv_bn(x, 32, 1, 1, "relu6", "head"), 10, 0.0))


NO_TRAINING = TrainingContext(1, 1, lambda seed, steps: tf.data.Dataset.range(steps))
