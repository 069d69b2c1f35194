"""Accuracy by initial weights: model.init=he against model.init=torch.

Both are trained on the same images with the same seed, order and augmentation, so that a pair differs only in the
initial weights. Decide by val top-1; test top-1 stands beside it. Each line has the mean of the paired differences
(torch - he) in percentage points of top-1 and their 95 % t interval.

Data is given as NAME=SPEC, and cases without data are left out; the digits of scikit-learn are used if none is given.
Each run is kept in --out, and the same command goes on after an interruption without training finished runs again. With
--finished it trains nothing and shows the finished runs.

    python benchmarks/initial_weights.py [--quick] [--json] [--seeds 3] [--finished] [--out runs/initial_weights]
        [--data cifar10=folder:PATH cells=folder:PATH]
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from tinytrain.quiet import import_tensorflow

import_tensorflow()

from tinytrain import tables
from tinytrain.config import load as configs
from tinytrain.experiments import paired
from tinytrain.experiments.runs import Planned, train_all
from tinytrain.run import Run

INITS = ("he", "torch")
SMALL = "model.stem=cifar model.resolution=32 data.val_images=1000"
CASES = {  # name: (data, KEY=VALUE arguments)
    "ResNet-8, 5,000 images of CIFAR-10, 10 epochs": (
        "cifar10",
        f"model.name=resnet8 {SMALL} data.train_images=5000 optim.epochs=10",
    ),
    "MobileNetV2 0.35, cells, 12 epochs": (
        "cells",
        "model.name=mobilenet_v2 model.width=0.35 model.resolution=48 data.resize=pad data.balance=class_weights "
        "optim.epochs=12",
    ),
    "MobileNetV1 0.25, 1,000 images of CIFAR-10, 20 epochs": (
        "cifar10",
        f"model.name=mobilenet_v1 model.width=0.25 {SMALL} data.train_images=1000 optim.epochs=20",
    ),
    "MobileNetV1 0.25, 3,000 images of CIFAR-10, 8 epochs": (
        "cifar10",
        f"model.name=mobilenet_v1 model.width=0.25 {SMALL} data.train_images=3000 optim.epochs=8",
    ),
    "MobileNetV1 0.25, digits, 6 epochs": (
        "digits",
        "model.name=mobilenet_v1 model.width=0.25 model.stem=cifar model.resolution=16 optim.epochs=6",
    ),
}
ALL = "all pairs"


def plan(data, seeds, out):
    """Returns the runs of all cases with data, those of the first seed first."""
    runs = []
    for seed in range(seeds):
        for case, (name, keys) in CASES.items():
            for init in INITS if name in data else ():
                folder = out / case.replace(",", "").replace(" ", "-") / init / f"seed{seed}"
                overrides = [f"data.spec={data[name]}", f"model.init={init}", f"seed={seed}", "data.check=false"]
                config = configs.load(None, [*keys.split(), *overrides])
                runs.append(Planned(case, init, seed, config, folder, Path(__file__), configs.keys()))
    return runs


def rows(results):
    """Returns a row for each case and one over all pairs, from {(case, init, seed): {"val", "test"}} in percent."""
    cases = list(dict.fromkeys(case for case, _, _ in results))
    return [row(case, [case], results) for case in cases] + [row(ALL, cases, results)] * (len(cases) > 1)


def row(name, cases, results):
    """Returns the means of both initial weights and of their differences, over all complete pairs."""
    seeds = sorted({(case, seed) for case, _, seed in results if case in cases})
    pairs = [pair for pair in seeds if all((pair[0], init, pair[1]) in results for init in INITS)]
    figures = {"case": name, "pairs": len(pairs)}
    for split in ("val", "test") if pairs else ():
        he, torch = ([results[case, init, seed][split] for case, seed in pairs] for init in INITS)
        differences = [b - a for a, b in zip(he, torch, strict=True)]
        low, high = paired.interval(differences) or (None, None)
        figures |= {
            f"{split}_he_percent": statistics.mean(he),
            f"{split}_torch_percent": statistics.mean(torch),
            f"{split}_difference_points": statistics.mean(differences),
            f"{split}_low_points": low,
            f"{split}_high_points": high,
        }
    return figures


def table(rows):
    """Returns the table in Markdown, val before test."""
    cells = [("", "pairs", "", "he", "torch", "torch − he", "95 % interval")]
    for row in rows:
        for split in ("val", "test") if row["pairs"] else ():
            low, high = row[f"{split}_low_points"], row[f"{split}_high_points"]
            interval = "" if low is None else f"{low:+.1f} to {high:+.1f}".replace("-", "−")
            percent = [f"{row[f'{split}_{init}_percent']:.2f}" for init in ("he", "torch")]
            difference = f"{row[f'{split}_difference_points']:+.2f}".replace("-", "−")
            cells.append((row["case"], str(row["pairs"]), split, *percent, difference, interval))
    return tables.markdown(tables.without_repeats(cells), "<><>>><")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the digits with two seeds: under two minutes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--finished", action="store_true", help="train nothing, print the table of the finished runs")
    parser.add_argument("--out", type=Path, default=Path("runs/initial_weights"))
    parser.add_argument("--data", nargs="*", default=[], metavar="NAME=SPEC", help="cifar10=SPEC, cells=SPEC")
    args = parser.parse_args()
    data = dict(argument.split("=", 1) for argument in args.data)
    if unknown := data.keys() - {name for name, _ in CASES.values()}:
        parser.error(f"no case has the data {sorted(unknown)}: name cifar10, cells or digits")
    if args.quick or not data:
        data = {"digits": "digits"}
    results = {}

    def finished(planned, run):
        metrics = run.metrics()
        top1 = {split: 100 * metrics[split]["top1"] for split in ("val", "test")}
        results[planned.name, planned.data, planned.seed] = top1
        print(f"{planned.folder}: val {top1['val']:.2f} %, test {top1['test']:.2f} %", file=sys.stderr, flush=True)

    runs = plan(data, 2 if args.quick else args.seeds, args.out)
    if args.finished:
        for planned in runs:
            if (run := Run(planned.folder)).finished:
                finished(planned, run)
    else:
        train_all(runs, args.out / "results", finished)
    table_rows = rows(results)
    print(table(table_rows))
    if args.json:
        print(json.dumps({"rows": table_rows}))


if __name__ == "__main__":
    main()
