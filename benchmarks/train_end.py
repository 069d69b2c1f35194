"""How long a training takes to return after its last epoch, with and without the tuning of tf.data's pipeline.

    python benchmarks/train_end.py [--epochs 30,60]

It trains on the digits of scikit-learn. The time holds the evaluation of the network, about a second.
"""

import argparse
import tempfile
import time
from pathlib import Path

from tinytrain.quiet import import_tensorflow

import_tensorflow()

import tinytrain
from tinytrain import tables
from tinytrain.data import batches

KEYS = ["data.spec=digits", "model.name=mobilenet_v1", "model.resolution=32", "model.stem=imagenet", "data.check=false"]


def times(epochs):
    """Returns the seconds of a training and of them those after its last epoch."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        run = tinytrain.fit(tinytrain.load_config(overrides=[*KEYS, f"optim.epochs={epochs}"]), out=f"{folder}/run")
        ended = time.time()
        return ended - began, ended - (Path(run.folder) / "history.csv").stat().st_mtime


def main():
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", default="30,60")
    rows, untuned = [("epochs", "tuned, s", "at its end, s", "untuned, s", "at its end, s")], batches.untuned
    for epochs in map(int, parser.parse_args().epochs.split(",")):
        measured = []
        for change in (lambda data: data, untuned):
            batches.untuned = change
            measured += times(epochs)
        rows.append((str(epochs), *(f"{each:.1f}" for each in measured)))
    print("\n".join(tables.aligned(rows, [">6", ">10", ">14", ">12", ">14"])))


if __name__ == "__main__":
    main()
