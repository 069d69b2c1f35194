"""Measures the networks that `fit --model auto` and the first trial of `search` are chosen from: priors.toml.

    python benchmarks/priors.py --data folder:CIFAR,folder:CELLS --out runs/priors [--epochs 12] [--images 10000]
        [--seeds 1] [--resolutions 32,96] [--only NAME] [--write] [KEY=VALUE …]

Each network is trained by `fit` in OUT/DATA/NETWORK/seedK; the same command, run again, keeps what is finished and
goes on with what is not. The accuracy of a row is the mean over data and seeds of the best float top-1 on val: the
order counts, not the number. Networks of a resolution are compared at that resolution on all data, smaller images
enlarged. --write writes tinytrain/searching/priors.toml, with the command in it.
"""

import argparse
import shlex
import statistics
import sys
from pathlib import Path

import tomli_w

from tinytrain.config import load as configs
from tinytrain.experiments.runs import data_name
from tinytrain.files import write_text
from tinytrain.run import Run
from tinytrain.searching.priors import TABLE
from tinytrain.searching.space import MOST_CIFAR

WIDTHS = {  # about 0.1 to 1 MB of weights each, the most that a microcontroller of today has room for
    "resnet8": (0.5, 1.0, 2.0, 3.0),
    "mobilenet_v1": (0.25, 0.5, 0.75),
    "mobilenet_v2": (0.2, 0.35, 0.5),
    "mobilenet_v2_tiny": (0.2, 0.35, 0.5, 0.75),
    "mobilenet_v3_small": (0.25, 0.35, 0.5),
    "mobilenet_v3_large": (0.25, 0.35),
    "mcunet": (0.5, 1.0),
    "proxylessnas": (0.2, 0.35),
    "efficientnet_b0": (0.2, 0.35),
    "resnet50": (0.15, 0.25),
}


def networks(resolutions, only):
    """Yields (name, width, resolution, stem) of every network, those with few weights first."""
    for place in range(max(map(len, WIDTHS.values()))):
        for name, widths in WIDTHS.items():
            if place < len(widths) and only in (None, name):
                for resolution in resolutions:
                    yield name, widths[place], resolution, "cifar" if resolution <= MOST_CIFAR else "imagenet"


def run_of(asked, spec, network, seed):
    """Returns the run of a network, which may not have been trained yet."""
    name, width, resolution, stem = network
    return Run(Path(asked.out) / data_name(spec) / f"{name}-{width:g}-{resolution}-{stem}" / f"seed{seed}")


def train(asked, spec, network, seed):
    """Trains a network, unless its run is finished."""
    import keras

    from tinytrain.commands.fit import fit

    run, (name, width, resolution, stem) = run_of(asked, spec, network, seed), network
    if run.finished:
        return
    words = [f"data.spec={spec}", f"model.name={name}", f"model.width={width}", f"model.resolution={resolution}"]
    words += [f"model.stem={stem}", f"seed={seed}", f"optim.epochs={asked.epochs}", "data.check=false"]
    words += [f"data.train_images={asked.images}", *asked.words]
    config, typed = configs.load(None, words), configs.typed(None, words)
    fit(config, run.folder, resume=run.config_path.is_file(), typed=typed)
    keras.utils.clear_session()


def row(asked, network):
    """Returns the row of a network, None unless all its runs are finished."""
    runs = [run_of(asked, spec, network, seed) for spec in asked.data.split(",") for seed in range(asked.seeds)]
    if not all(run.finished for run in runs):
        return None
    accuracy = statistics.mean(run.metrics()["val"]["top1"] for run in runs)
    return dict(zip(("name", "width", "resolution", "stem"), network, strict=True)) | {"accuracy": round(accuracy, 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="SPEC,SPEC…")
    parser.add_argument("--out", default="runs/priors")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--images", type=int, default=10_000, help="of each training set, at most")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--resolutions", default="32,96")
    parser.add_argument(
        "--only", choices=list(WIDTHS), help="train one architecture; the table has all that are finished"
    )
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="for every network")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    from tinytrain.quiet import import_tensorflow

    import_tensorflow(at_once=True)
    sides = [int(side) for side in asked.resolutions.split(",")]
    for network in networks(sides, asked.only):
        for spec in asked.data.split(","):
            for seed in range(asked.seeds):
                train(asked, spec, network, seed)
        print(*network, f"{100 * row(asked, network)['accuracy']:.2f} %", flush=True)
        if asked.write:
            finished = [found for every in networks(sides, None) if (found := row(asked, every))]
            command = shlex.join(["python", "benchmarks/priors.py", *sys.argv[1:]])
            write_text(TABLE, f"# {command}\n\n{tomli_w.dumps({'networks': finished})}")


if __name__ == "__main__":
    main()
