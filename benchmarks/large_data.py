"""What many images take before the first step of a training: seconds and memory, at the first start and at the second.

It makes its own files: JPEG files of 96x96 pixels in class folders, random parts of the pictures below --pictures, or
noise without. Each start is a process of its own with an empty (first) or filled (second) cache, and does what
`tinytrain fit` does until the first step. With --index there are no files: names and facts are made up, and only what
is done with them is measured. With --fit `tinytrain fit` is run for an epoch afterwards.

Memory is what a process holds for itself (RssAnon): pages of files can be dropped at any time, and do not count. Bytes
an image are what a stage leaves behind, and at most what it held meanwhile.

    python benchmarks/large_data.py FOLDER [--images 200000] [--pictures /root/data/cifar10] [--decode] [--fit]
    python benchmarks/large_data.py --index 1000000
"""

import argparse
import ctypes
import gc
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SIDE, CLASSES, QUALITY = 96, 100, 85  # pixels, folders, of the JPEG files
FIT = ["model.name=mobilenet_v1", "model.width=0.1", "model.resolution=96", "optim.epochs=1", "optim.batch=64"]


def make_files(folder: Path, count: int, pictures: Path | None) -> None:
    """Writes `count` JPEG files into class folders; those that are there already stay."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    suffixes = {".jpg", ".jpeg", ".png"}
    sources = sorted(path for path in pictures.rglob("*") if path.suffix in suffixes) if pictures else []
    for number in range(count):
        path = folder / f"class{number % CLASSES:03d}" / f"{number:08d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        index, share, gain = random.integers(1 << 30), random.uniform(0.5, 1), random.uniform(0.7, 1.3)
        x, y = random.uniform(size=2)
        if path.exists():
            continue
        if sources:
            with Image.open(sources[index % len(sources)]) as image:
                side = share * min(image.size)
                left, top = x * (image.width - side), y * (image.height - side)
                corners = (left, top, left + side, top + side)
                part = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR, corners)
        else:
            coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            part = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        part.point(lambda value, gain=gain: min(255, int(value * gain))).save(path, quality=QUALITY)


def anonymous_bytes(process: int | str = "self") -> int:
    """Returns the bytes that a process holds for itself."""
    with open(f"/proc/{process}/status") as file:
        line = next((line for line in file if line.startswith("RssAnon")), "RssAnon: 0")
    return int(line.split()[1]) * 1024


class Stages:
    """Runs the stages of a start, and notes their seconds and bytes."""

    def __init__(self) -> None:
        self.rows, self.peak = [], 0
        threading.Thread(target=self._sample, daemon=True).start()

    def __call__(self, name, function):
        """Returns what `function` does, after noting what it took."""
        before, wall, used = self.settled(), time.perf_counter(), time.process_time()
        self.peak = before
        result = function()
        seconds = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - used}
        peak = max(self.peak, anonymous_bytes()) - before
        self.rows.append({"stage": name, **seconds, "kept": self.settled() - before, "peak": peak})
        return result

    @staticmethod
    def settled() -> int:
        """Returns the bytes that the process holds after it gave back what it can."""
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        return anonymous_bytes()

    def _sample(self) -> None:
        while True:
            self.peak = max(self.peak, anonymous_bytes())
            time.sleep(0.005)


def start(read, decode: bool) -> dict:
    """Does what `tinytrain fit` does before its first step with the dataset of `read(config)`."""
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.config.schema import Config
    from tinytrain.data import batches, check, identity
    from tinytrain.data.splits import Splits
    from tinytrain.run import Run
    from tinytrain.train.resolve import resolve

    def go(stage, read, decode):
        dataset = stage("list and read", read)
        config = resolve(Config(), dataset)
        data = stage("split", lambda: Splits(dataset, config))
        stage("check", lambda: check.findings(dataset, data.subsets, config, config))
        with tempfile.TemporaryDirectory() as folder:
            run = Run.create(Path(folder) / "run", "large")
            stage("record in the run", lambda: identity.record(run, data))
            stage("compare with the run", lambda: identity.recorded_splits(run, dataset, config))
        if decode:
            samples = stage("decode", lambda: data.samples("train"))
            stage("order of an epoch", lambda: batches._Order(len(samples.images), 0)(0))
        return dataset, data

    with tempfile.TemporaryDirectory() as folder:  # loads the modules, which are not what is measured
        make_files(Path(folder), 40 * CLASSES, None)
        go(lambda _, function: function(), lambda: read_folder(Path(folder)), decode)
    stages = Stages()
    before = stages.settled()
    dataset, data = go(stages, read, decode)
    images = sum(len(one.names) for one in dataset.image_sets.values())
    return {"images": images, "stages": stages.rows, "kept": stages.settled() - before, "splits": len(data.subsets)}


def read_folder(folder: Path):
    """Returns the dataset of a folder of class folders."""
    from tinytrain.config.schema import Config, Data
    from tinytrain.data.load import read_dataset

    return read_dataset(Config(data=Data(spec=f"folder:{folder}")))


def made_up(count: int):
    """Returns a dataset of images that are in no file; one in a thousand is a copy of another."""
    import numpy as np

    from tinytrain.data import facts
    from tinytrain.data.facts import Facts
    from tinytrain.data.names import Names
    from tinytrain.data.source import Dataset, ImageSet

    random, rows = np.random.default_rng(0), np.zeros(count, facts.ROW)
    rows["size"], rows["mode"], rows["orientation"] = SIDE, b"RGB", 1
    rows["mean"], rows["square"] = random.random((2, count, 3), np.float32)
    rows["digest"] = random.integers(1, 256, (count, facts.DIGEST_BYTES), np.uint8).view(f"S{facts.DIGEST_BYTES}")[:, 0]
    rows["digest"][random.integers(0, count, count // 1000)] = rows["digest"][0]
    names = Names.of(f"class{number % CLASSES:03d}/{number:08d}.jpg" for number in range(count))
    image_set = ImageSet(np.arange(count) % CLASSES, names, "made up", lambda *_: iter(()), Facts(rows))
    return Dataset([f"class{number:03d}" for number in range(CLASSES)], {"all": image_set}, 3, SIDE)


def print_start(title: str, result: dict) -> None:
    """Prints the stages of a start."""
    images, stages = result["images"], result["stages"]
    print(f"{title}, {images:,} images    seconds  of processor  bytes an image kept  at most")
    for row in stages:
        kept, peak = row["kept"] / images, row["peak"] / images
        seconds = f"{row['seconds']:8.1f}  {row['processor_seconds']:12.1f}"
        print(f"  {row['stage']:30} {seconds}  {kept:19.0f}  {peak:7.0f}")
    seconds, used = (sum(row[name] for row in stages) for name in ("seconds", "processor_seconds"))
    print(f"  {'all':30} {seconds:8.1f}  {used:12.1f}  {result['kept'] / images:19.0f}", flush=True)


def fit(folder: Path, environment: dict[str, str]) -> None:
    """Runs `tinytrain fit` for an epoch and prints its highest anonymous memory."""
    with tempfile.TemporaryDirectory() as runs:
        words = ["fit", "--data", f"folder:{folder}", "--out", f"{runs}/run", *FIT]
        begin, peak = time.perf_counter(), 0
        command = [sys.executable, "-m", "tinytrain", *words]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            while process.poll() is None:
                peak = max(peak, anonymous_bytes(process.pid))
                time.sleep(0.05)
            print(process.stdout.read().splitlines()[-1])
        print(f"tinytrain {' '.join(words[:3])} {' '.join(FIT)}")
        print(f"  {time.perf_counter() - begin:.0f} s, at most {peak / 1e9:.3f} GB of anonymous memory", flush=True)


def main() -> None:
    """Makes the files, starts twice in processes of their own, and prints what both took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="of the files, made if it is missing")
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--pictures", type=Path, help="a folder of pictures that the files are parts of")
    parser.add_argument("--decode", action="store_true", help="decode the images, too")
    parser.add_argument("--fit", action="store_true", help="run tinytrain fit for an epoch, too")
    parser.add_argument("--index", type=int, help="made-up images, without files, in place of FOLDER")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # a start in this process
    options = parser.parse_args()
    if options.index:
        result = start(lambda: made_up(options.index), decode=False)
        print_start("made-up index", result)
        return
    if options.one:
        print(json.dumps(start(lambda: read_folder(options.folder), options.decode)))
        return
    if sum(1 for _ in itertools.islice(options.folder.rglob("*.jpg"), options.images)) < options.images:
        make_files(options.folder, options.images, options.pictures)
    cache = Path(tempfile.mkdtemp(prefix="tinytrain-large-data-"))
    environment, results = os.environ | {"XDG_CACHE_HOME": str(cache)}, {}
    command = [sys.executable, __file__, str(options.folder), "--one", *["--decode"] * options.decode]
    try:
        for title in ("first start", "second start"):
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            results[title] = json.loads(done.stdout.splitlines()[-1])
            print_start(title, results[title])
        if options.fit:
            fit(options.folder, environment)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
