"""What many images take before the first step of a training: seconds and memory, at the first start and at the second.

It makes its own files: JPEG files of 96x96 pixels in class folders, random parts of the pictures below --pictures, or
noise without. Each start is a process of its own with an empty (first) or filled (second) cache, and does what
`tinytrain fit` does until the first step. Memory is what the process holds for itself (RssAnon): pages of files that
are mapped into memory can be dropped at any time, and do not count. Bytes an image are what stays after a stage.

    python benchmarks/large_data.py FOLDER [--images 200000] [--pictures /root/data/cifar10] [--decode] [--json]
"""

import argparse
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


def make_files(folder: Path, count: int, pictures: Path | None) -> None:
    """Writes `count` JPEG files into class folders; those that are there already stay."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    suffixes = {".jpg", ".jpeg", ".png"}
    sources = sorted(path for path in pictures.rglob("*") if path.suffix in suffixes) if pictures else []
    for number in range(CLASSES):
        (folder / f"class{number:03d}").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"class{number % CLASSES:03d}" / f"{number:08d}.jpg"
        if sources:
            index = int(random.integers(len(sources)))
            share, (x, y), gain = random.uniform(0.5, 1), random.uniform(size=2), random.uniform(0.7, 1.3)
            if path.exists():
                continue
            with Image.open(sources[index]) as image:
                side = share * min(image.size)
                left, top = x * (image.width - side), y * (image.height - side)
                part = image.convert("RGB").resize(
                    (SIDE, SIDE), Image.Resampling.BILINEAR, (left, top, left + side, top + side)
                )
            part = part.point(lambda value, gain=gain: min(255, int(value * gain)))
        else:
            coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            part = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        if not path.exists():
            part.save(path, quality=QUALITY)


class Memory:
    """Samples the anonymous memory of this process in a thread, and keeps the highest value."""

    def __init__(self) -> None:
        self.peak = 0
        threading.Thread(target=self._sample, daemon=True).start()

    def now(self) -> int:
        """Returns the bytes that the process holds for itself."""
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

    def _sample(self) -> None:
        while True:
            self.peak = max(self.peak, self.now())
            time.sleep(0.02)


def start(folder: Path, decode: bool) -> dict:
    """Does what `tinytrain fit` does before its first step, and returns its stages with seconds and bytes."""
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.config.schema import Config
    from tinytrain.data import check, identity
    from tinytrain.data.load import read_dataset
    from tinytrain.data.splits import Splits
    from tinytrain.run import Run
    from tinytrain.train.resolve import resolve

    memory, stages = Memory(), []
    config = Config()
    config.data.spec = f"folder:{folder}"
    begin = memory.now()
    images = 0

    def stage(name, function):
        before, wall, used = memory.now(), time.perf_counter(), time.process_time()
        memory.peak = before
        result = function()
        row = {"stage": name, "seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - used}
        stages.append(row | {"kept": memory.now() - before, "peak": memory.peak - before})
        return result

    dataset = stage("list and read", lambda: read_dataset(config))
    images = sum(len(one.names) for one in dataset.image_sets.values())
    config = resolve(config, dataset)
    data = stage("split", lambda: Splits(dataset, config))
    stage("check", lambda: check.findings(dataset, data.subsets, config, config))
    with tempfile.TemporaryDirectory() as run_folder:
        run = Run.create(Path(run_folder) / "run", "large")
        stage("record", lambda: identity.record(run, data))
        stage("compare with a run", lambda: identity.recorded_splits(run, dataset, config))
    if decode:
        stage("decode", lambda: data.samples("train"))
    return {"images": images, "stages": stages, "kept": memory.now() - begin}


def print_start(title: str, result: dict) -> None:
    """Prints the stages of a start."""
    images, stages = result["images"], result["stages"]
    print(f"{title}, {images:,} images    seconds  of processor  bytes an image kept  at most")
    for row in stages:
        kept, peak = row["kept"] / images, row["peak"] / images
        print(f"  {row['stage']:30} {row['seconds']:8.1f}  {row['processor_seconds']:12.1f}  {kept:19.0f}  {peak:7.0f}")
    seconds, used = (sum(row[name] for row in stages) for name in ("seconds", "processor_seconds"))
    print(f"  {'all':30} {seconds:8.1f}  {used:12.1f}  {result['kept'] / images:19.0f}", flush=True)


def main() -> None:
    """Makes the files, starts twice in processes of their own, and prints what both took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the files, made if it is missing")
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--pictures", type=Path, help="a folder of pictures that the files are parts of")
    parser.add_argument("--decode", action="store_true", help="decode the images, too")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # a start in this process
    options = parser.parse_args()
    if options.one:
        print(json.dumps(start(options.folder, options.decode)))
        return
    if sum(1 for _ in itertools.islice(options.folder.rglob("*.jpg"), options.images)) < options.images:
        make_files(options.folder, options.images, options.pictures)
    cache = Path(tempfile.mkdtemp(prefix="tinytrain-large-data-"))
    command = [sys.executable, __file__, str(options.folder), "--one", *["--decode"] * options.decode]
    results = {}
    try:
        for title in ("first start", "second start"):
            environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            results[title] = json.loads(done.stdout.splitlines()[-1])
            print_start(title, results[title])
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
