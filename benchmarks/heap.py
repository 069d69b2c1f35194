"""What it brings that the C library keeps freed memory (tinytrain.heap): two trainings in turn, with it and without.

Each is `tinytrain fit` in a process of its own, on the digits unless a key says otherwise. The processor time counts,
of which other work takes less than of the speed, with the page faults and the largest resident memory.

    python benchmarks/heap.py [--rounds N] [--json] [KEY=VALUE …]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

from tinytrain import tables

KEYS = ["model.name=mobilenet_v2", "model.width=0.35", "model.channels=3", "data.check=false", "optim.epochs=4"]
PROGRAM = "from tinytrain.cli.main import main; main()"
ARMS = {"given back": f"from tinytrain import heap; heap.keep = lambda: None; {PROGRAM}", "kept": PROGRAM}


def train(program: str, keys: list[str]) -> dict[str, float]:
    """Returns what a training took of the processor and the memory."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "fit", "--out", f"{folder}/run", *keys],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"tinytrain fit {' '.join(keys)} failed: run it by hand")
    return {
        "seconds": usage.ru_utime + usage.ru_stime,
        "of_the_kernel": usage.ru_stime,
        "page_faults": usage.ru_minflt,
        "mb": usage.ru_maxrss / 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("keys", nargs="*", help="of the trainings, beside those of this script")
    options = parser.parse_args()
    keys = [*KEYS, *options.keys]
    runs: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    for _ in range(options.rounds):
        for arm, program in ARMS.items():
            runs[arm].append(train(program, keys))
    rows = {arm: {key: statistics.median(run[key] for run in ran) for key in ran[0]} for arm, ran in runs.items()}
    cells = [
        (arm, f"{row['seconds']:.1f}", f"{row['of_the_kernel']:.1f}", f"{row['page_faults']:,.0f}", f"{row['mb']:,.0f}")
        for arm, row in rows.items()
    ]
    print(tables.markdown([("memory", "processor s", "of the kernel", "page faults", "MB at most"), *cells], "<>>>>"))
    print(f"processor time kept to given back: {rows['kept']['seconds'] / rows['given back']['seconds']:.3f}")
    if options.json:
        print(json.dumps({arm: runs[arm] for arm in ARMS}))


if __name__ == "__main__":
    main()
