"""Whether two checkouts train the same weights, bit for bit: short runs of each, compared array by array.

Each checkout trains the digits, and the first images of each class of an image folder (train/CLASS, test/CLASS) if one
is given, for two epochs: plain, with NetAug, SAM and mutual learning, and with both ways to balance classes. Then it
exports the plain run of the digits with one epoch of the quantization-aware fine-tune. A row says `same` if best.npz,
last.npz and the weights in model.keras hold equal arrays (`model.tflite`, if it is the same file), else `different` and
how many arrays differ. Everything of a checkout runs in one process, whose PYTHONPATH is the checkout.

    python benchmarks/same_weights.py REFERENCE CHECKOUT [--images FOLDER]
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np

IMAGES = {"train": 36, "test": 10}  # of each class, of an image folder
METHODS = {  # name of a row: KEY=VALUE words
    "plain": [],
    "netaug": ["method=netaug", "netaug.statistics_images=64"],
    "sam": ["method=sam"],
    "dml": ["method=dml"],
    "class_weights": ["data.balance=class_weights"],
    "balanced_sampling": ["data.balance=balanced_sampling"],
}
KEYS = [
    *("optim.epochs=2", "optim.batch=32", "data.train_images=256", "augment.mixup=0.2", "seed=7"),
    *("model.resolution=32", "model.width=0.25", "data.check=false"),
]
EXPORT = ["--mcu", "stm32f746", "qat.epochs=1", "qat.batch=32", "qat.calibration_images=64"]
WORKER = """
import json, runpy, sys
for words in json.loads(sys.argv.pop()):
    sys.argv = ["tinytrain", *words]
    try:
        runpy.run_module("tinytrain", run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if stop.code:
            raise
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs=2, type=Path, metavar="CHECKOUT")
    parser.add_argument("--images", type=Path, help="a folder of images: train/CLASS and test/CLASS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="same-weights-") as name:
        scratch = Path(name)
        specs = {"digits": "digits"}
        if options.images:
            specs[options.images.name] = f"folder:{few_images(options.images, scratch / 'images')}"
        folders = [scratch / "reference", scratch / "other"]
        for checkout, folder in zip(options.checkouts, folders, strict=True):
            train(checkout.resolve(), folder, specs)
        rows = [compared(folders, f"{data}-{method}") for data in specs for method in METHODS]
        rows.append(compared(folders, "digits-plain/export-stm32f746g_disco"))
    print(f"reference {revision(options.checkouts[0])}, compared with {revision(options.checkouts[1])}")
    for row in rows:
        print(row)


def few_images(source: Path, target: Path) -> Path:
    """Copies the first images of each class."""
    for split, count in IMAGES.items():
        for folder in sorted(path for path in (source / split).iterdir() if path.is_dir()):
            (target / split / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[:count]:
                shutil.copy(path, target / split / folder.name)
    return target


def train(checkout: Path, folder: Path, specs: dict[str, str]) -> None:
    """Trains all runs of a checkout and exports one of them."""
    folder.mkdir()
    fit = ["fit", "--model", "mobilenet_v2"]
    commands = [
        [*fit, "--data", spec, "--out", f"{data}-{method}", *KEYS, *words]
        for data, spec in specs.items()
        for method, words in METHODS.items()
    ]
    commands.append(["export", "digits-plain", *EXPORT])
    environment = {**os.environ, "PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(folder / "cache")}
    environment.pop("TFLM_DIR", None)  # nothing is linked or emulated
    worker = [sys.executable, "-c", WORKER, json.dumps(commands)]
    subprocess.run(worker, cwd=folder, env=environment, check=True)


def compared(folders: list[Path], run: str) -> str:
    """Returns the row of a run."""
    first, second = (arrays(folder / run) for folder in folders)
    different = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    verdict = f"different ({len(different)} arrays, such as {different[0]})" if different else "same"
    digest = hashlib.sha256(json.dumps(second, sort_keys=True).encode()).hexdigest()[:16]
    return f"{run:32} {len(first):4} arrays  {verdict:10} {digest}"


def arrays(run: Path) -> dict[str, str]:
    """Returns the SHA-256 of each array of a run, or of the file of an export."""
    if (run / "model.tflite").is_file():
        return {"model.tflite": hashlib.sha256((run / "model.tflite").read_bytes()).hexdigest()}
    found: dict[str, str] = {}
    for name in ("best.npz", "last.npz"):
        with np.load(run / name) as saved:
            found |= {f"{name}:{key}": digest(saved[key]) for key in saved.files if key != "state"}
    with zipfile.ZipFile(run / "model.keras") as archive, archive.open("model.weights.h5") as file:
        weights = h5py.File(file, "r")
        weights.visititems(
            lambda name, item: (
                found.update({f"model.keras:{name}": digest(item[()])}) if hasattr(item, "shape") else None
            )
        )
    return found


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def revision(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
