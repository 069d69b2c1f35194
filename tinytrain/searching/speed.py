"""How fast this machine trains: a few steps of two networks, on noise, before a search with --hours is planned.

They give one factor on what nn/step_cost.py estimates. What the trials then take corrects it (study.Study.pace).
"""

import statistics
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


def measure(configs: Sequence[Config], step_seconds: Sequence[float], classes: list[str]) -> Speed:
    """Returns the speed of this machine.

    Args:
        configs: of some networks, without "auto".
        step_seconds: what is estimated of each.
        classes: the names of the classes.
    """
    with progress.stage("measuring how fast this machine trains"):
        times = [_seconds(config, classes) for config in configs]
    compiled = max(seconds for _, seconds in times)
    slowness = statistics.mean(image / estimate for (image, _), estimate in zip(times, step_seconds, strict=True))
    return Speed(slowness, STARTS * compiled, FINALS * compiled)


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
