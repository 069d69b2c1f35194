"""Detectors on one data set: AP50 in float and int8, memory, instructions; resolutions; MixUp; seeds.

Each run is trained with `tinytrain fit`, exported for a board and, with TFLM_DIR, run in the emulator; what is finished
stays in the folder, so that a stopped measurement goes on. The figures of docs/detection.md are from here.

    TFLM_DIR=… python benchmarks/detection.py --data voc:BCCD --out detection [--only NAME] [--mcu BOARD] [KEY=VALUE …]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROWS = {
    "lite": [],
    "lite, seed 1": ["seed=1"],
    "lite, seed 2": ["seed=2"],
    "lite 32+16": ["detect.strides=[32,16]"],
    "single": ["detect.head=yolo_single"],
    "mobilenet_v3_large": ["model.name=mobilenet_v3_large", "detect.head=yolo_single"],
    "at 96": ["model.resolution=96"],
    "at 128": ["model.resolution=128"],
    "MixUp": ["augment.mixup=1.5"],
}
COLUMNS = ("float", "int8", "difference", "arena", "flash", "instructions", "ms", "MACs", "boxes different")


def command(*arguments):
    """Runs tinytrain and returns the JSON of its last line."""
    done = subprocess.run([sys.executable, "-m", "tinytrain", *arguments, "--json"], stdout=subprocess.PIPE, text=True)
    if not done.stdout.strip():
        sys.exit(f"tinytrain {' '.join(arguments)} ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def measured(name, words, arguments):
    """Returns the figures of a row; trains, exports and benches what is not there yet."""
    run = arguments.out / name.replace(" ", "_").replace(",", "").replace("+", "_")
    export = run / "export"
    if not (run / "metrics.json").is_file():
        begun = ["--resume"] if (run / "config.toml").is_file() else ["--data", arguments.data, "--mcu", arguments.mcu]
        keys = [] if begun == ["--resume"] else [*words, *arguments.words]
        command("fit", "--out", str(run), *begun, *keys)
    if not (export / "report.json").is_file():
        command("export", str(run), "--mcu", arguments.mcu, "--out", str(export))
    report = json.loads((export / "report.json").read_text())
    if arguments.bench and not (export / "bench.json").is_file():
        command("bench", str(export), "--images", str(report["accuracy"]["images"]))
    bench = json.loads((export / "bench.json").read_text()) if (export / "bench.json").is_file() else {}
    accuracy, memory = report["accuracy"], report["memory"]
    return {
        "float": accuracy["float"],
        "int8": accuracy["int8"],
        "difference": accuracy["int8"] - accuracy["float"],
        "arena": memory["arena_bytes"],
        "flash": memory["flash_bytes"],
        "instructions": report.get("emulated", {}).get("instructions"),
        "ms": report["latency_ms"],
        "MACs": report["model"]["macs"],
        "boxes different": bench.get("boxes", {}).get("different"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, default=Path("detection"))
    parser.add_argument("--mcu", default="stm32f746")
    parser.add_argument("--only", choices=ROWS, action="append")
    parser.add_argument("--bench", action="store_true", help="run all test images in the emulator, too")
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    arguments.out.mkdir(exist_ok=True)
    print(f"| detector | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}")
    for name in arguments.only or ROWS:
        figures = measured(name, ROWS[name], arguments)
        cells = [
            f"{figures[column]:,.4g}"
            if isinstance(figures[column], float)
            else f"{figures[column]:,}"
            if figures[column] is not None
            else ""
            for column in COLUMNS
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
