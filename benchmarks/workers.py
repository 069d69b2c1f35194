"""What a second worker brings: training speed of one worker on one core and of two on a core each, side by side.

Each training is `tinytrain fit` of MobileNetV2 0.35 on IMAGES enlarged digits, its workers pinned to cores: one worker
with BATCH images a step, two with as many each (twice the batch), and two that share BATCH. The digits alone would be
ten steps an epoch, and what is done once an epoch would count as much as the steps. The speed is the median over the
epochs after the first; runs take turns, and the best of ROUNDS counts, since nothing but other work makes one slower.
 Beside them: the same with synchronised BatchNorm, and two trainings at once that know nothing of each other,
whose sum is the most that the machine has to give.

    python benchmarks/workers.py [--sides 32,96] [--rounds N] [--json]

Needs two idle cores.
"""

import argparse
import csv
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import PIL.Image
from sklearn.datasets import load_digits

from tinytrain import tables
from tinytrain.workers import cluster, launch

BATCH, EPOCHS, IMAGES, HELD_OUT = 64, 4, 3840, 64  # the last: for val, and for test
ALONE, APART = "1 worker", "2 trainings that exchange nothing"
EACH = "2 workers, same batch each"
KEYS = [
    *("model.name=mobilenet_v2", "model.width=0.35", "data.check=false", "optim.lr=0.01"),
    *(f"data.val_images={HELD_OUT}", f"data.test_images={HELD_OUT}"),
]
THREADS = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
ARMS = {  # workers, images a step of each, more keys
    ALONE: (1, BATCH, []),
    APART: (1, BATCH, []),
    EACH: (2, BATCH, []),
    "2 workers, one batch shared": (2, BATCH // 2, []),
    "2 workers, same batch each, synchronised": (2, BATCH, ["optim.sync_batch_norm=true"]),
}
LEAST = {96: 1.8, 32: 1.6}  # of the second arm to the first; issue 20


def write_images(folder: Path, side: int) -> None:
    """Writes color images of digits, one folder for each class, no two of them equal."""
    digits, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    for number in range(IMAGES + 2 * HELD_OUT):
        label = folder / str(labels[number % len(labels)])
        label.mkdir(parents=True, exist_ok=True)
        digit = PIL.Image.fromarray(np.uint8(digits[number % len(digits)].reshape(8, 8) * 15)).resize((side, side))
        noise = random.integers(0, 16, (side, side, 3), np.uint8)
        PIL.Image.fromarray(np.asarray(digit)[:, :, None] + noise).save(label / f"{number}.png")


def speed(data: Path, side: int, workers: int, batch: int, keys: list[str], folder: Path, trainings: int = 1) -> float:
    """Returns images a second of all workers and trainings together, the median over the epochs after the first."""
    addresses = launch.free_addresses(workers)
    words = [
        f"data.spec=folder:{data}",
        *KEYS,
        *keys,
        f"model.resolution={side}",
        f"optim.batch={batch * workers}",
        f"optim.epochs={EPOCHS}",
    ]
    cores = sorted(os.sched_getaffinity(0))
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tinytrain", "fit", "--out", str(folder / f"run{number % trainings}"), *words],
            env=os.environ | THREADS | ({cluster.VARIABLE: cluster.to_text(addresses, number)} if workers > 1 else {}),
            preexec_fn=lambda core=cores[number]: os.sched_setaffinity(0, {core}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(workers * trainings)
    ]
    statuses = [process.wait() for process in processes]
    if any(statuses):
        raise RuntimeError(f"tinytrain {' '.join(words)} failed: run it by hand")
    images = 0.0
    for training in range(trainings):
        rows = list(csv.DictReader((folder / f"run{training}" / "history.csv").read_text().splitlines()))
        images += statistics.median(float(row["images_per_second"]) for row in rows[1:])
    return images


def best_of(side: int, rounds: int, only: str) -> dict[str, float]:
    """Returns the best speed of each arm whose name has `only` in it, and of the first."""
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as images:
        write_images(Path(images), side)
        for _ in range(rounds):
            for arm, (workers, batch, keys) in ARMS.items():
                if only in arm or arm == ALONE:
                    trainings = 2 if arm == APART else 1
                    with tempfile.TemporaryDirectory() as folder:
                        found = speed(Path(images), side, workers, batch, keys, Path(folder), trainings)
                    best[arm] = max(best.get(arm, 0.0), found)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", default="32,96", help="pixels")
    parser.add_argument("--rounds", type=int, default=2, help="trainings of each kind")
    parser.add_argument("--only", default="", help="a part of the names of some trainings, beside the first")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("this needs two processor cores")
    rows, met = [], True
    for side in map(int, options.sides.split(",")):
        best = best_of(side, options.rounds, options.only)
        for arm, images in best.items():
            rows.append({"pixels": side, "training": arm, "images_per_second": images, "ratio": images / best[ALONE]})
        met &= best.get(EACH, math.inf) >= LEAST.get(side, 0.0) * best[ALONE]
    cells = [
        (str(row["pixels"]), row["training"], f"{row['images_per_second']:,.0f}", f"{row['ratio']:.2f}") for row in rows
    ]
    print(tables.markdown([("pixels", "training", "images/s", "to 1 worker"), *tables.without_repeats(cells)], "><>>"))
    print("; ".join(f"at {side} pixels at least {least}" for side, least in LEAST.items()), "met" if met else "MISSED")
    if options.json:
        print(json.dumps(rows))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
