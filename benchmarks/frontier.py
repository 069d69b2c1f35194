"""The best int8 top-1 within the budgets of MLPerf Tiny, against the plain script's ResNet-8 of as many image passes.

For each budget, (1) the widest network of each architecture that is within it is trained for a quarter of the epochs;
(2) the best KEPT of them on val are trained for all epochs, as `fit` does it by itself and taught by a wider ResNet-8;
(3) the best of these on val is trained with the other seeds. Test images are looked at for what is printed, and decide
nothing. Passes of the teacher are not counted. Beside it stands `plain_keras.py`: ResNet-8, the same epochs, seeds and
images, quantized after training.

    python benchmarks/frontier.py --cifar10 DIR --cells DIR [--only WORD …] [--epochs 20] [--seeds 0 1 2] [--finished]
        [--picture FILE.png] [--json] [--out runs/frontier]

Hours. Each training is a folder of --out; the same command goes on after an interruption.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tinytrain.quiet import import_tensorflow

import_tensorflow()

import keras
from matplotlib.figure import Figure

from tinytrain import files, tables
from tinytrain.config import plugins
from tinytrain.deploy import estimate
from tinytrain.nn import macs
from tinytrain.quantize import convert
from tinytrain.run import Run
from tinytrain.tflite.strip import strip

try:
    from benchmarks import defaults
except ImportError:  # run as a file
    import defaults

WIDTHS = [round(0.05 * step, 2) for step in range(2, 61)]  # 0.1 to 3
KEPT = 2
TEACHER = "model.name=resnet8 model.width=2"
METHODS = {"alone": "", "taught": "method=distill"}


@dataclass(frozen=True)
class Budget:
    """The limits of a network: multiply-accumulates, and bytes of its .tflite."""

    data: str
    resolution: int
    macs: float
    model_bytes: float = float("inf")

    @property
    def stems(self):
        """The stems of its candidates."""
        return ("cifar", "imagenet") if self.resolution <= 64 else ("imagenet",)


BUDGETS = {
    # what MLPerf Tiny's own ResNet-8 has, and its .tflite
    "image classification: 12.5 M MACs, 98 kB": Budget("cifar10", 32, 12_501_632, 98_496),
    "five million MACs": Budget("cifar10", 32, 5e6),
    "visual wake words: 7.5 M MACs, 320 kB": Budget("cells", 96, 7.5e6, 320e3),
}


def within(budget, classes, name, width, stem):
    """Returns whether an untrained network is within a budget; it is converted only if its graph is."""
    keras.utils.clear_session()
    module = plugins.load("models", name)
    model = module.build(width=width, resolution=budget.resolution, channels=3, classes=classes, stem=stem)
    if macs.count(model) > budget.macs or estimate.arena_and_model_bytes(model, True)[1] > budget.model_bytes:
        return False
    return (
        budget.model_bytes == float("inf") or len(strip(convert.convert_untrained(model)).content) <= budget.model_bytes
    )


def candidates(budget, classes, path):
    """Returns [name, width, stem] of the widest network of each architecture and stem within a budget.

    They are kept in `path`, as looking for them takes minutes.
    """
    if not path.exists():
        found = []
        for name in plugins.names("models"):
            for stem in budget.stems:
                low, high = -1, len(WIDTHS) - 1  # WIDTHS[low] is within, what is above `high` is not
                while low < high:
                    middle = (low + high + 1) // 2
                    inside = within(budget, classes, name, WIDTHS[middle], stem)
                    low, high = (middle, high) if inside else (low, middle - 1)
                found += [[name, WIDTHS[low], stem]] if low >= 0 else []
        files.write_json(path, found)
    return json.loads(path.read_text())


class Trainings:
    """The trainings of one budget, in folders of `out`."""

    def __init__(self, options, title):
        self.options, self.budget = options, BUDGETS[title]
        self.folder = options.out / title.replace(" ", "-").replace(",", "").replace(":", "")
        self.data = {"cifar10": options.cifar10, "cells": options.cells}[self.budget.data]

    def said(self, epochs, seed):
        """Returns the KEY=VALUE words of all trainings."""
        return [
            f"data.spec=folder:{self.data}",
            "data.check=false",
            f"model.resolution={self.budget.resolution}",
            f"optim.epochs={epochs}",
            f"seed={seed}",
        ]

    def run(self, name, width, stem, epochs, seed, method=""):
        """Returns the finished run of a network, which is trained if it is not there; None with --finished."""
        kind = f"{name}-{width:g}-{stem}-{epochs}" + (f"-{method.partition('=')[2]}" if method else "")
        folder = self.folder / kind / f"seed{seed}"
        if not Run(folder).finished:
            if self.options.finished:
                return None
            words = [*self.said(epochs, seed), f"model.name={name}", f"model.width={width}", f"model.stem={stem}"]
            if method:
                words += [method, f"distill.teacher={self.teacher(epochs, seed).folder}"]
            words = ["--resume"] if (folder / "config.toml").exists() else words
            subprocess.run([sys.executable, "-m", "tinytrain", "fit", "--out", str(folder), *words], check=True)
        return Run.open(folder)

    def teacher(self, epochs, seed):
        """Returns the run of the teacher."""
        name, width = (word.partition("=")[2] for word in TEACHER.split())
        return self.run(name, float(width), self.budget.stems[0], epochs, seed)

    def int8(self, run):
        """Returns the share of test images that the exported int8 network of a run classifies right; kept beside it."""
        path = run.folder / "int8.json"
        if not path.exists() and not self.options.finished:
            files.write_json(path, {"test": defaults.int8_top1(run)})
        return json.loads(path.read_text())["test"] if path.exists() else None

    def plain(self, epochs, seed):
        """Returns the result of the plain script's ResNet-8, None with --finished if it is not there."""
        folder = self.folder / "plain" / f"{epochs}-seed{seed}"
        path = folder / "result.json"
        if not path.exists() and not self.options.finished:
            folder.mkdir(parents=True, exist_ok=True)
            words = [*self.said(epochs, seed), "model.name=resnet8"]
            files.write_json(path, defaults.train_plain(words, folder))
        return json.loads(path.read_text()) if path.exists() else None


def best(runs):
    """Returns the key of the run with the best val top-1 of {key: run}, those that are None left out."""
    known = {key: run.metrics()["val"]["top1"] for key, run in runs.items() if run}
    return sorted(known, key=lambda key: -known[key])


def search(title, options):
    """Returns the row of a budget, and the runs whose curves are shown; trains what is not there."""
    trainings, epochs, first = Trainings(options, title), options.epochs, options.seeds[0]
    trainings.folder.mkdir(parents=True, exist_ok=True)
    classes = sum(path.is_dir() for path in (trainings.data / "train").iterdir())
    networks = [tuple(each) for each in candidates(trainings.budget, classes, trainings.folder / "candidates.json")]
    screened = {network: trainings.run(*network, max(epochs // 4, 1), first) for network in networks}
    kept = best(screened)[:KEPT]
    whole = {
        (network, name): trainings.run(*network, epochs, first, method)
        for network in kept
        for name, method in METHODS.items()
    }
    row = {"budget": title, "ours_percent": [], "float_percent": [], "plain_percent": [], "plain_float_percent": []}
    if not (ranked := best(whole)):
        return row, {}
    network, name = ranked[0]
    row["network"] = f"{network[0]} {network[1]:g}, stem {network[2]}, {name}"
    for seed in options.seeds:
        run, plain = trainings.run(*network, epochs, seed, METHODS[name]), trainings.plain(epochs, seed)
        if run and plain and (int8 := trainings.int8(run)) is not None:
            row["ours_percent"].append(100 * int8)
            row["float_percent"].append(100 * run.metrics()["test"]["top1"])
            row["plain_percent"].append(100 * plain["int8"]["test"])
            row["plain_float_percent"].append(100 * plain["last"]["test"])
    return row, {f"{each[0]} {each[1]:g} {kind}": run for (each, kind), run in whole.items() if run}


def picture(curves, path):
    """Draws the val top-1 of the whole trainings, a panel for each budget: {title: {name: run}}."""
    figure = Figure(figsize=(5.5 * len(curves), 4), layout="constrained")
    for axes, (title, runs) in zip(figure.subplots(1, len(curves), squeeze=False).flat, curves.items(), strict=True):
        for name, run in runs.items():
            rows = list(csv.DictReader((run.folder / "history.csv").read_text().splitlines()))
            axes.plot([int(row["epoch"]) for row in rows], [100 * float(row["val_top1"]) for row in rows], label=name)
        axes.set(title=title, xlabel="epoch", ylabel="val top-1 / %")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="a folder with train/CLASS and test/CLASS")
    parser.add_argument("--cells", type=Path, help="a folder with train/CLASS, val/CLASS and test/CLASS")
    parser.add_argument("--only", nargs="*", default=[], help="budgets whose name holds one of the words")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--finished", action="store_true", help="train nothing, print the table of what is finished")
    parser.add_argument("--picture", type=Path, help="where the curves are drawn")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/frontier"))
    options = parser.parse_args()
    given = {"cifar10": options.cifar10, "cells": options.cells}
    rows, curves = [], {}
    for title, budget in BUDGETS.items():
        if given[budget.data] and (not options.only or any(word in title for word in options.only)):
            row, runs = search(title, options)
            rows.append(row)
            curves |= {title: runs} if runs else {}
    kinds = ("plain_float_percent", "plain_percent", "float_percent", "ours_percent")
    cells = [
        (
            row["budget"],
            row.get("network", "-"),
            str(len(row["ours_percent"])),
            *(defaults.figure(row[kind]) for kind in kinds),
            defaults.figure([a - b for a, b in zip(row["ours_percent"], row["plain_percent"], strict=True)], "+"),
        )
        for row in rows
    ]
    head = ("budget", "network", "seeds", "plain, float", "plain, int8", "ours, float", "ours, int8", "ahead, points")
    print(tables.markdown([head, *cells], "<<>>>>>>"))
    if options.picture and curves:
        picture(curves, options.picture)
    ahead = [
        statistics.mean(row["ours_percent"]) - statistics.mean(row["plain_percent"])
        for row in rows
        if row["ours_percent"]
    ]
    print(f"aim: 3 points ahead; of {len(ahead)} budgets {sum(each >= 3 for each in ahead)} are")
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
