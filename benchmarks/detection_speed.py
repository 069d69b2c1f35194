"""Speed of training a detector: our pipeline, augmentation and trainer, beside a plain loop without augmentation.

Both train the same network with the same loss and optimizer on the same pictures, in turns, so that other work on the
machine slows both. The plain loop takes ready batches from memory; ours decodes from its cache, augments boxes and
pixels together, and keeps its metrics.

    python benchmarks/detection_speed.py --data voc:BCCD [--rounds N] [--steps N] [--json]
"""

import argparse
import json
import statistics
import time

from tinytrain.quiet import import_tensorflow

import_tensorflow()

import keras
import numpy as np
import tensorflow as tf

from tinytrain.config import load as configs
from tinytrain.data import batches
from tinytrain.data.load import load_dataset
from tinytrain.data.splits import Splits
from tinytrain.train import task
from tinytrain.train.resolve import resolve, with_usual
from tinytrain.train.trainer import Trainer


def trainer_of(spec):
    """Returns our trainer of MobileNetV1 0.25 at 160 pixels with the usual values of detection."""
    config = configs.load(None, [f"data.spec={spec}", "model.resolution=160"])
    dataset = load_dataset(config)
    config = resolve(with_usual(config, dataset, {"model.resolution"})[0], dataset)
    return Trainer(config, Splits(dataset, config), task.build_network(config, dataset.classes))


def plain_loop(trainer):
    """Returns a function that takes so many steps of the same network and loss on batches in memory."""
    network = keras.models.clone_model(trainer.method.plain)
    optimizer = keras.optimizers.Adam(1e-3)
    samples = trainer.data.samples("train")
    pixels = np.asarray(samples.images[: trainer.batch])
    x = batches.normalize(pixels)
    y = trainer.task.encode(*(tf.constant(part[: trainer.batch]) for part in (samples.annotations, samples.transforms)))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = trainer.task.loss(y, network(x, training=True))
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=False))
        return loss

    def run(steps):
        for _ in range(steps):
            loss = step()
        float(loss)

    return run


def our_loop(trainer):
    """Returns a function that takes so many steps as `tinytrain fit` does."""

    def run(steps):
        data = trainer.batches(trainer.config.seed, range(steps))
        trainer.method.fit(data, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="SPEC of a detection dataset")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="of each loop in a round")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    trainer = trainer_of(arguments.data)
    loops = {"plain": plain_loop(trainer), "ours": our_loop(trainer)}
    for run in loops.values():
        run(5)  # compiles
    rates = {name: [] for name in loops}
    for _ in range(arguments.rounds):
        for name, run in loops.items():
            started = time.perf_counter()
            run(arguments.steps)
            rates[name].append(arguments.steps * trainer.batch / (time.perf_counter() - started))
    ratios = [ours / plain for ours, plain in zip(rates["ours"], rates["plain"], strict=False)]
    result = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    result |= {"ratio": round(statistics.median(ratios), 3), "ratios": [round(ratio, 3) for ratio in ratios]}
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"images/s: plain loop {result['plain']}, tinytrain {result['ours']}; ratio {result['ratio']}")
        print(f"ratios of the rounds: {result['ratios']}")


if __name__ == "__main__":
    main()
