"""`tinytrain search` against five networks that a person picks, in the same time: int8 top-1 of the best of each.

The search gets --hours, and so do the five together: each its fifth, for a dry run that tells how long an epoch is, the
training of as many epochs as fit, its test and its int8 fine-tune. The best of the five on val is what a person would
keep. Both sides run at the same time, each on a processor core of its own, so that neither has a quieter machine.

    python benchmarks/search_by_hand.py --data SPEC --mcu BOARD --hours 1 --out DIR [--json] [KEY=VALUE …]

The same command goes on after an interruption. DIR/search and DIR/hand hold the runs.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from tinytrain import files, tables

# Of published work on such boards: MLPerf Tiny's networks of images, NetAug's and MCUNet's, MobileNetV3; the width is
# the first that fits.
HAND = (
    ("resnet8", (1.0, 0.75, 0.5)),
    ("mobilenet_v1", (0.25,)),
    ("mobilenet_v2", (0.35, 0.25)),
    ("mcunet", (0.5, 0.35)),
    ("mobilenet_v3_small", (0.35, 0.25)),
)
SIDES = ("auto", 80, 64, 48, 32)  # pixels: that of the images, at most 96, or the largest that fits
SMALL_SIDE = 48  # up to here published networks begin with a stride of 1
LEAST_EPOCHS = 2
FINE_TUNED = 3.0  # epochs of training that the fine-tune of an export and its tests take, as seen


def tinytrain(core, *words, check=True):
    """Runs a command on one core and returns its last line as JSON, None if it failed."""
    done = subprocess.run(
        [sys.executable, "-m", "tinytrain", *map(str, words), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1"),
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if check and done.returncode:
        raise RuntimeError(f"tinytrain {words} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1]) if not done.returncode else None


def searched(options, core):
    """Returns the row of the search's winner."""
    began, path = time.monotonic(), options.out / "search.json"
    if not path.exists():
        words = [f"--data={options.data}", f"--mcu={options.mcu}", f"--hours={options.hours}", *options.words]
        result = tinytrain(core, "search", *words, "--out", options.out / "search")
        files.write_json(path, result | {"wall_seconds": time.monotonic() - began})
    result = json.loads(path.read_text())
    winner = result["winner"]
    return {
        "side": "search",
        "network": f"{winner['name']} {winner['width']:g} at {winner['resolution']}",
        "epochs": winner["epochs"],
        "int8_val": winner["finalist_int8_val"],
        "int8_test": winner["finalist_int8_test"],
        "minutes": result["wall_seconds"] / 60,
    }


def plan(options, core, name, widths):
    """Returns (the words of `fit`, its plan) of the widest and then largest form of a network that fits the board."""
    for width in widths:
        for side in SIDES:
            words = ["fit", f"--data={options.data}", f"--mcu={options.mcu}", f"--model={name}", f"model.width={width}"]
            words += [f"model.resolution={side}", "data.check=false", *options.words]
            found = tinytrain(core, *words, "--dry-run", check=False)
            if found and int(found["config"]["model"]["resolution"]) <= SMALL_SIDE:
                words.append("model.stem=cifar")
                found = tinytrain(core, *words, "--dry-run", check=False)
            if found:
                return words, found
    raise RuntimeError(f"no form of {name} fits {options.mcu}")


def picked(options, core, name, widths):
    """Returns the row of a network that was picked by hand, trained and exported in its share of the time."""
    folder = options.out / "hand" / name
    path, seconds = folder / "row.json", 3600 * options.hours / len(HAND)
    if path.exists():
        return json.loads(path.read_text())
    began = time.monotonic()
    words, found = plan(options, core, name, widths)
    left = seconds - 2 * (time.monotonic() - began)  # once more for what is compiled and evaluated
    epochs = max(int(left / (found["seconds"] / found["epochs"]) - FINE_TUNED), LEAST_EPOCHS)
    tinytrain(core, *words, "--out", folder / "run", f"optim.epochs={epochs}")
    report = tinytrain(core, "export", folder / "run", "--mcu", options.mcu)
    model = found["config"]["model"]
    row = {
        "side": "hand",
        "network": f"{name} {model['width']:g} at {model['resolution']}",
        "epochs": epochs,
        "int8_val": report["accuracy"]["val"]["int8"],
        "int8_test": report["accuracy"]["int8"],
        "minutes": (time.monotonic() - began) / 60,
    }
    files.write_json(path, row)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--mcu", required=True)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    cores, rows = sorted(os.sched_getaffinity(0)), []
    search = threading.Thread(target=lambda: rows.append(searched(options, cores[0])))
    search.start()
    hand = [picked(options, cores[-1], name, widths) for name, widths in HAND]
    search.join()
    best = max(hand, key=lambda row: row["int8_val"])
    rows += hand
    cells = [
        (
            row["side"] + (", best on val" if row is best else ""),
            row["network"],
            str(row["epochs"]),
            *(f"{100 * row[key]:.2f}" for key in ("int8_val", "int8_test")),
            f"{row['minutes']:.0f}",
        )
        for row in rows
    ]
    head = ("side", "network", "epochs", "int8 val top-1 %", "int8 test top-1 %", "minutes")
    print(tables.markdown([head, *cells], "<<>>>>"))
    minutes = sum(row["minutes"] for row in hand)
    ahead = 100 * (rows[0]["int8_test"] - best["int8_test"])
    print(f"five by hand: {minutes:.0f} minutes in all; the search is {ahead:+.2f} points ahead of the best on test")
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
