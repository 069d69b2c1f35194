"""tinytrain with no key set but data and model, against forty lines of Keras (`plain_keras.py`): top-1 on test.

Both train the same network on the same images for the same epochs with the same seed. The cells are cut out of the
photographs of BCCD. Each training is a folder of --out with its result.json; the same command goes on after an
interruption, tinytrain's after the last whole epoch, the plain script's with the training that was cut off.

    python benchmarks/defaults.py --cifar10 DIR --bccd DIR [--seeds 3] [--only WORD …] [--epochs N] [--finished]
        [--no-int8] [--json] [--out runs/defaults]

The plain script is read at its last epoch and at its best one on val: "plain" is the better of both by val.
"""

import argparse
import json
import statistics
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from tinytrain.quiet import import_tensorflow

import_tensorflow()

import keras
from PIL import Image

from tinytrain import files, tables
from tinytrain.config import load as configs
from tinytrain.data.load import load_dataset
from tinytrain.data.splits import Splits
from tinytrain.exporting import int8_model
from tinytrain.run import Run
from tinytrain.searching import trial
from tinytrain.train.resolve import resolve
from tinytrain.train.task import build_network

try:
    from benchmarks import plain_keras
except ImportError:  # run as a file
    import plain_keras

MOBILENET = "model.name=mobilenet_v2 model.width=0.35"
CASES = {  # name: (data, what a user says beside it, epochs of both)
    "resnet8, CIFAR-10": ("cifar10", "model.name=resnet8 model.resolution=32", 20),
    "mobilenet_v2 0.35, CIFAR-10": ("cifar10", f"{MOBILENET} model.stem=cifar model.resolution=32", 20),
    "mobilenet_v2 0.35, cells": ("cells", MOBILENET, 30),
    "resnet8, 1,000 of CIFAR-10": ("cifar10", "model.name=resnet8 model.resolution=32 data.train_images=1000", 30),
}
ARMS = ("plain", "tinytrain")
RULE = 1.0  # points that tinytrain should be ahead on average; nowhere behind


def cut_cells(bccd, out):
    """Cuts all white cells and platelets and every other object that is a red cell out of BCCD, by its splits."""
    for split in ("train", "val", "test"):
        for name in (bccd / "ImageSets" / "Main" / f"{split}.txt").read_text().split():
            objects = list(ElementTree.parse(bccd / "Annotations" / f"{name}.xml").getroot().iter("object"))
            with Image.open(bccd / "JPEGImages" / f"{name}.jpg") as photograph:
                photograph = photograph.convert("RGB")
            for number, each in enumerate(objects):
                label = each.findtext("name")
                left, top, right, bottom = (
                    int(each.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")
                )
                if right > left and bottom > top and (label != "RBC" or number % 2 == 0):
                    path = out / split / label / f"{name}_{number:04d}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    photograph.crop((left, top, right, bottom)).save(path)


def words(case, seed, data, epochs):
    """Returns the KEY=VALUE words of a case: all that is said, of both arms."""
    name, said, usual = CASES[case]
    return [f"data.spec=folder:{data[name]}", *said.split(), f"optim.epochs={epochs or usual}", f"seed={seed}"]


def train_plain(said, folder):
    """Returns the result of the plain script on the split, and with the network, that tinytrain has for `said`."""
    config = configs.load(None, said)
    dataset = load_dataset(config)
    config = resolve(config, dataset)
    splits = Splits(dataset, config)
    parts = [splits.arrays(name) for name in ("train", "val", "test")]
    keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    network = build_network(config, dataset.classes)
    parts = [(images[:], labels) for images, labels in parts]
    return plain_keras.train(network, *parts, config.optim.epochs, config.seed, folder)


def train_ours(said, folder):
    """Returns the result of `tinytrain fit` with the words `said` alone."""
    run, fit = folder / "run", [sys.executable, "-m", "tinytrain", "fit", "--out", str(folder / "run")]
    subprocess.run([*fit, "--resume"] if (run / "config.toml").exists() else [*fit, *said], check=True)
    read = Run.open(run).metrics()
    return {"last": {split: read[split]["top1"] for split in ("val", "test")}}


def int8_top1(run):
    """Returns the share of test images that the exported int8 network of a run classifies right."""
    model = int8_model.from_run(run, run.config())
    return trial.int8_figure(model.task, model.tflite, model.samples)


def trained(case, arm, seed, options, data):
    """Returns the result of a training, which is done unless it is there; None with --finished if it is not."""
    folder = options.out / case.replace(",", "").replace(" ", "-") / arm / f"seed{seed}"
    path = folder / "result.json"
    result = json.loads(path.read_text()) if path.exists() else None
    if result is None and not options.finished:
        folder.mkdir(parents=True, exist_ok=True)
        train = train_plain if arm == "plain" else train_ours
        result = train(words(case, seed, data, options.epochs), folder)
        files.write_json(path, result)
    if result and arm == "tinytrain" and "int8" not in result and not (options.finished or options.no_int8):
        result["int8"] = {"test": int8_top1(Run.open(folder / "run"))}
        files.write_json(path, result)
    return result


def row(case, seeds):
    """Returns the figures of a case in percent, from {seed: {arm: result}} of all seeds that both arms have."""
    kinds = {
        "plain, last": lambda each: each["plain"]["last"],
        "plain, best": lambda each: each["plain"]["best"],
        "plain, int8": lambda each: each["plain"].get("int8", {}),
        "tinytrain": lambda each: each["tinytrain"]["last"],
        "tinytrain, int8": lambda each: each["tinytrain"].get("int8", {}),
    }
    pairs = [each for each in seeds.values() if set(each) == set(ARMS)]
    values = {
        name: [100 * kind(each)["test"] for each in pairs if "test" in kind(each)] for name, kind in kinds.items()
    }
    plain = [
        max((each["plain"][kind] for kind in ("last", "best")), key=lambda kind: kind["val"])["test"] for each in pairs
    ]
    ahead = [ours - 100 * theirs for ours, theirs in zip(values["tinytrain"], plain, strict=True)]
    return {"case": case, "seeds": len(pairs)} | values | {"ahead": ahead}


def figure(values, sign=""):
    """Returns "79.88 ± 0.31", the mean and the deviation of several values."""
    if not values:
        return "-"
    mean = f"{statistics.mean(values):{sign}.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="a folder with train/CLASS and test/CLASS")
    parser.add_argument("--bccd", type=Path, help="the folder of BCCD, with JPEGImages, Annotations and ImageSets")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="by default 0 1 2")
    parser.add_argument("--only", nargs="*", default=[], help="cases or arms whose name holds one of the words")
    parser.add_argument("--arms", nargs="*", default=ARMS, choices=ARMS)
    parser.add_argument("--epochs", type=int, help="of every training, for a short look: give another --out")
    parser.add_argument("--finished", action="store_true", help="train nothing, print the table of what is finished")
    parser.add_argument("--no-int8", action="store_true", help="leave the int8 figures out: no export")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/defaults"))
    options = parser.parse_args()
    data = {"cifar10": options.cifar10, "cells": options.out / "cells"}
    if options.bccd and not data["cells"].exists():
        cut_cells(options.bccd, data["cells"])
    chosen = [
        case
        for case, (name, _, _) in CASES.items()
        if (data[name] and data[name].exists()) and (not options.only or any(word in case for word in options.only))
    ]
    results = {case: {seed: {} for seed in options.seeds} for case in chosen}
    for seed in options.seeds:
        for case in chosen:
            for arm in options.arms:
                if result := trained(case, arm, seed, options, data):
                    results[case][seed][arm] = result
                    print(f"{case}, {arm}, seed {seed}: {json.dumps(result)}", file=sys.stderr, flush=True)
    rows = [row(case, seeds) for case, seeds in results.items()]
    kinds = ("plain, last", "plain, best", "plain, int8", "tinytrain", "tinytrain, int8")
    cells = [
        (each["case"], str(each["seeds"]), *(figure(each[kind]) for kind in kinds), figure(each["ahead"], "+"))
        for each in rows
    ]
    heads = ("", "seeds", "plain, last epoch", "plain, best epoch on val", *kinds[2:], "points ahead")
    print(tables.markdown([heads, *cells], "<>>>>>>>"))
    means = [statistics.mean(each["ahead"]) for each in rows if each["ahead"]]
    if means:
        met = min(means) >= 0 and statistics.mean(means) >= RULE
        print(
            f"on average {statistics.mean(means):+.2f} points, at least {min(means):+.2f}:", "met" if met else "MISSED"
        )
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
