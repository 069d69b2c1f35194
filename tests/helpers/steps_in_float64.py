"""Takes three steps of training methods in float64, alone or as one of several workers, and writes all numbers.

    python steps_in_float64.py OUT METHOD,METHOD…

OUT-METHOD.npz holds the variables, in order, and the loss. BatchNorm is synchronised and nothing is dropped out, so
that workers must compute what one process does, up to rounding.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from tinytrain.config import load as configs
from tinytrain.data.load import load_dataset
from tinytrain.data.splits import Splits
from tinytrain.train.resolve import resolve
from tinytrain.train.task import build_network
from tinytrain.train.trainer import Trainer
from tinytrain.workers import cluster, collectives

WORKERS = collectives.begin(cluster.of_environment())

KEYS = ["model.name=resnet8", "model.width=0.25", "model.stem=cifar", "model.resolution=16", "data.train_images=128"]
KEYS += ["optim.batch=32", "optim.warmup_epochs=0", "optim.sync_batch_norm=true", "dml.dropout=0"]
KEYS += ["optim.ema=0.9"]
STEPS = 3


def in_float64(value):
    return tf.cast(value, tf.float64) if value.dtype.is_floating else value


def taken(method):
    """Returns {name: array} after the steps."""
    config = configs.load(None, [*KEYS, f"method={method}"])
    dataset = load_dataset(config)
    config = resolve(config, dataset)
    config.device.precision = "float64"  # no key has it: it is of use for nothing else
    network = build_network(config, dataset.classes)
    network64 = keras.models.clone_model(
        network, clone_function=lambda layer: type(layer).from_config(layer.get_config() | {"dtype": "float64"})
    )
    network64.set_weights(network.get_weights())
    trainer = Trainer(config, Splits(dataset, config), network64)
    step = tf.function(trainer.method.train_step)
    for batch in trainer.batches(0, range(STEPS), WORKERS.share(trainer.batch)):
        loss = step(tf.nest.map_structure(in_float64, batch))["loss"]
    arrays = {f"{number:03d}": variable.numpy() for number, variable in enumerate(trainer.method.variables)}
    assert arrays["000"].dtype == np.float64
    sums = WORKERS.gather([float(np.abs(array).sum()) for array in arrays.values()])
    assert all(each == sums[0] for each in sums), "the workers have different weights"
    return arrays | {"loss": loss.numpy()}


if __name__ == "__main__":
    keras.config.set_floatx("float64")
    for name in sys.argv[2].split(","):
        arrays = taken(name)
        if WORKERS.chief:
            np.savez(f"{sys.argv[1]}-{name or 'plain'}.npz", **arrays)
    WORKERS.barrier()
