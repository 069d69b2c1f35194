"""How fast this machine trains: a few steps of two networks, on noise, before a search with --hours is planned.

The seconds of an image are taken to be a + b·MACs, a line through the two. What the trials then take corrects it
(study.Study.pace).
"""

import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tinytrain import progress
from tinytrain.config.schema import Config
from tinytrain.searching.budget import Speed
from tinytrain.train import task as tasks
from tinytrain.train.method import TrainingContext
from tinytrain.train.trainer import build_method, compile_method

STEPS = 6  # that are timed, after the one that is compiled
# Beside epochs, in times of what the compilation of a step took: a trial reads, compiles, evaluates and quantizes, a
# finalist is rebuilt, compiled, converted and run on its images.
STARTS, FINALS = 3.0, 5.0


def measure(configs: Sequence[Config], macs: Sequence[int], classes: list[str]) -> Speed:
    """Returns the speed of this machine.

    Args:
        configs: of two networks, the smaller first, without "auto".
        macs: of both.
        classes: the names of the classes.
    """
    with progress.stage("measuring how fast this machine trains"):
        times = [_seconds(config, classes) for config in configs]
    (small, first), (large, second) = times
    compiled = max(first, second)
    slope = max(large - small, 0.0) / max(macs[1] - macs[0], 1)
    return Speed(max(small - slope * macs[0], 0.0), slope, STARTS * compiled, FINALS * compiled)


def _seconds(config: Config, classes: list[str]) -> tuple[float, float]:
    """Returns the seconds of one image, and those until the first step is compiled and done."""
    task, batch, side = tasks.of(config, classes), config.optim.batch, int(config.model.resolution)
    generator = np.random.default_rng(0)
    x = tf.constant(generator.uniform(-1, 1, (batch, side, side, int(config.model.channels))), tf.float32)
    annotations = tf.constant(generator.integers(0, len(classes), batch), tf.int64)
    y = task.encode(annotations, tf.zeros((batch, 4)))
    task.weigh(annotations.numpy())
    began = time.perf_counter()
    batches = tf.data.Dataset.from_tensors((x, y)).repeat()
    context = TrainingContext(STEPS, batch, lambda seed, steps: batches.take(steps), classes)
    method = build_method(tasks.build_network(config, classes), config, context)
    compile_method(method, task, config.optim, STEPS, total_steps=10 * STEPS, jit=bool(config.device.jit))
    method.fit(batches, steps_per_epoch=1, shuffle=False, verbose=0)
    compiled = time.perf_counter()
    method.fit(batches, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    ended = time.perf_counter()
    return (ended - compiled) / STEPS / batch, compiled - began
