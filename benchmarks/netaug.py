"""Speed of a NetAug training step: ours, our plain step, and both in PyTorch (netaug_torch.py, eager, channels_last).

MobileNetV2-Tiny of width 0.35, batches of 64 noise images, the same number of threads for each. Ours is the compiled
step that `keras.fit` calls. In the first half of a training it draws widths and expansions, in the second expansions
only, which is not measured in PyTorch. All take turns in every round while the others idle. Milliseconds and ratios are
medians of the rounds.

ours_over_plain  our NetAug step over our plain one
macs_ratio       the multiply-adds of the tiny and the drawn network over those of the tiny one, the ideal ratio
overhead         ours_over_plain / macs_ratio, the cost of NetAug beyond its arithmetic
torch_over_ours  PyTorch's NetAug step over ours, each divided by the multiply-adds of the networks that it drew: both
                 draw from the same distribution, but not the same networks

PyTorch is not a dependency: --torch-python names an interpreter that has it, else its columns are empty. It runs in the
environment in which it is fastest, or with --torch-stock in the unchanged one.

    python benchmarks/netaug.py [--quick] [--json] [--resolutions 32,96] [--threads 2]
        [--torch-python PATH] [--torch-stock]
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tinytrain.nn.build import build_model
from tinytrain.quiet import import_tensorflow

import_tensorflow()

import numpy as np
import tensorflow as tf

from tinytrain import tables
from tinytrain.config import load as configs
from tinytrain.nn import macs
from tinytrain.train import task, trainer
from tinytrain.train.method import TrainingContext

BATCH, CLASSES = 64, 10
STEPS_PER_EPOCH = 1000  # enough for all steps to lie in the first half of the training, which draws widths too
WORKER = Path(__file__).with_name("netaug_torch.py")
TORCH_ENVIRONMENT = {
    # oneDNN compiles kernels for every shape and caches 1024 of them; the drawn networks have thousands of shapes.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "20000",
    # glibc returns large tensors to the system at once: at 96 pixels a third of a step was page faults. (It makes no
    # difference for TensorFlow, which keeps its memory.)
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}
HALVES = {  # of the training; widths and expansions are drawn, then expansions only
    "first": [],
    "second": ["netaug.expansion_only=1", "optim.warmup_epochs=0"],
}
COLUMNS = {  # key: heading and format, steps in milliseconds
    "ours_plain_milliseconds": ("our plain step", "{:.1f}"),
    "ours_netaug_milliseconds": ("our NetAug step", "{:.1f}"),
    "ours_over_plain": ("ratio", "{:.2f}"),
    "macs_ratio": ("ratio of multiply-adds", "{:.2f}"),
    "overhead": ("the first to the second", "{:.2f}"),
    "torch_plain_milliseconds": ("PyTorch's plain step", "{:.1f}"),
    "torch_netaug_milliseconds": ("its NetAug step", "{:.1f}"),
    "torch_over_ours": ("over ours", "{:.2f}"),
}


class Ours:
    """Our training step with a method ("": plain); `overrides` are KEY=VALUE words."""

    def __init__(self, method, resolution, overrides=()):
        keys = f"model.width=0.35 model.resolution={resolution} model.channels=3 model.stem=imagenet".split()
        keys += [
            "model.name=mobilenet_v2_tiny",
            "device.precision=float32",
            "device.jit=false",
            f"method={method}",
            *overrides,
        ]
        config = configs.load(None, keys)
        random = np.random.default_rng(0)
        x = random.uniform(-1, 1, (BATCH, resolution, resolution, 3)).astype("float32")
        y = np.eye(CLASSES, dtype="float32")[random.integers(0, CLASSES, BATCH)]
        batches = tf.data.Dataset.from_tensors((x, y)).repeat()
        model = build_model(config, CLASSES)
        self.tiny_macs = macs.count(model)
        training = TrainingContext(STEPS_PER_EPOCH, BATCH, lambda seed, steps: batches.take(steps))
        self.method = trainer.build_method(model, config, training)
        trainer.compile_method(
            self.method, task.of(config, [str(n) for n in range(CLASSES)]), config.optim, STEPS_PER_EPOCH
        )
        self.method.make_train_function()
        self.batches = iter(batches)

    def steps(self, count):
        """Returns the seconds that `count` steps take."""
        start = time.perf_counter()
        for _ in range(count):
            logs = self.method.train_function(self.batches)
        float(logs["loss"])  # waits for the last step
        return time.perf_counter() - start

    def macs_ratio(self, count):
        """Returns the multiply-adds of the last `count` steps over those of as many plain steps."""
        last = int(self.method.optimizer.iterations)
        drawn = [self.method.drawn_macs(number) for number in range(last - count, last)]
        return 1 + statistics.mean(drawn) / self.tiny_macs


class Torch:
    """The worker process, which waits while others train."""

    def __init__(self, python, resolution, threads, environment):
        sizes = {"resolution": resolution, "batch": BATCH, "classes": CLASSES, "threads": threads}
        flags = [flag for name, size in sizes.items() for flag in (f"--{name}", str(size))]
        self.drawn = []  # mean multiply-adds of the networks drawn in each call
        self.process = subprocess.Popen(
            [python, str(WORKER), *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def steps(self, kind, count):
        """Returns the seconds that `count` steps of "plain" or "netaug" take."""
        print(kind, count, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{WORKER.name} ended before it answered; its output is above")
        seconds, macs_drawn = map(float, answer.split())
        self.drawn += [macs_drawn] if kind == "netaug" else []
        return seconds

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def measure(resolution, half, start_worker, count, warmup, rounds):
    """Returns one row of the table; `start_worker` returns the worker for a resolution, or None."""
    plain, netaug = Ours("", resolution), Ours("netaug", resolution, HALVES[half])
    contestants = {"ours_plain": plain.steps, "ours_netaug": netaug.steps}
    worker = start_worker(resolution) if half == "first" else None
    if worker:
        contestants["torch_netaug"] = lambda count: worker.steps("netaug", count)
        contestants["torch_plain"] = lambda count: worker.steps("plain", count)
    for steps in contestants.values():
        steps(warmup)
    milliseconds = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, steps in contestants.items():
            milliseconds[name].append(1000 * steps(count) / count)
    macs_ratio, torch_macs_ratio = netaug.macs_ratio(rounds * count), None
    if worker:
        worker.end()
        torch_macs_ratio = 1 + statistics.mean(worker.drawn[-rounds:]) / netaug.tiny_macs
    return {"resolution": resolution, "half": half, "batch": BATCH} | summary(
        milliseconds, macs_ratio, torch_macs_ratio
    )


def summary(milliseconds, macs_ratio, torch_macs_ratio):
    """Returns the columns from {contestant: milliseconds of each round}."""
    ratio = lambda a, b: statistics.median(x / y for x, y in zip(milliseconds[a], milliseconds[b], strict=True))  # noqa: E731
    ours_over_plain = ratio("ours_netaug", "ours_plain")
    row = dict.fromkeys(COLUMNS)
    row |= {f"{name}_milliseconds": statistics.median(times) for name, times in milliseconds.items()}
    row |= {"ours_over_plain": ours_over_plain, "macs_ratio": macs_ratio, "overhead": ours_over_plain / macs_ratio}
    if "torch_netaug" in milliseconds:
        row["torch_over_ours"] = ratio("torch_netaug", "ours_netaug") * macs_ratio / torch_macs_ratio
    return {key: value if value is None else round(value, 3) for key, value in row.items()}


def with_torch(python):
    """Returns `python` if it has PyTorch, else prints how to install it and returns None."""
    try:
        if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0:
            return python
    except OSError:
        pass
    print(
        f"{python} has no PyTorch: pip install torch (its build for CPUs) in another environment, then use "
        "--torch-python ENVIRONMENT/bin/python",
        file=sys.stderr,
    )
    return None


def cells(row):
    """Returns the cells of a row in Markdown, empty for what was not measured."""
    return ["" if row[key] is None else pattern.format(row[key]) for key, (_, pattern) in COLUMNS.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer steps and rounds, under two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    parser.add_argument("--resolutions", default="32,96", help="sides of the images in pixels")
    parser.add_argument("--torch-python", default=sys.executable, help="an interpreter that has PyTorch")
    parser.add_argument("--threads", type=int, default=2, help="threads of each; 1 is steadier on a shared machine")
    parser.add_argument("--torch-stock", action="store_true", help="leave PyTorch's environment as it is")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    python = with_torch(options.torch_python)
    environment = {} if options.torch_stock else TORCH_ENVIRONMENT
    start_worker = lambda resolution: Torch(python, resolution, options.threads, environment) if python else None  # noqa: E731
    rows = []
    table = [("", *(heading for heading, _ in COLUMNS.values()))]
    for resolution, half in itertools.product(map(int, options.resolutions.split(",")), HALVES):
        share = 64 / resolution  # larger images, fewer steps
        count, warmup, rounds = (4, 8, 3) if options.quick else (10, 40, 7)
        rows.append(measure(resolution, half, start_worker, round(count * share), round(warmup * share), rounds))
        table.append((f"{resolution}x{resolution}, {half} half", *cells(rows[-1])))
        print(*table[-1], sep="  ", file=sys.stderr, flush=True)
    print(tables.markdown(table, "<" + ">" * len(COLUMNS)))
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
