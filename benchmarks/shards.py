"""How fast random images come out of decoded shards on the disk: memory maps, read calls and ArrayRecord.

Each way reads the same random batches of 64 images of 96x96x3 bytes, as training does, once from files that are in
the page cache and once from files that have just been dropped from it. Needs `pip install array-record`, which comes
with tensorflow-datasets.

    python benchmarks/shards.py [--images 40000] [--folder FOLDER]
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from array_record.python import array_record_module

from tinytrain import tables

SIDE, BATCH, SHARD = 96, 64, 16384
IMAGE_BYTES = SIDE * SIDE * 3


def write(folder: Path, count: int) -> None:
    """Writes the same noise as .npy files and as ArrayRecord files, one record an image."""
    random = np.random.default_rng(0)
    for shard, first in enumerate(range(0, count, SHARD)):
        images = random.integers(0, 256, (min(SHARD, count - first), SIDE, SIDE, 3), dtype=np.uint8)
        np.save(folder / f"{shard}.npy", images)
        writer = array_record_module.ArrayRecordWriter(
            str(folder / f"{shard}.array_record"), "group_size:1,uncompressed"
        )
        for image in images:
            writer.write(image.tobytes())
        writer.close()


def drop(folder: Path) -> None:
    """Drops the files from the page cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def by_maps(folder: Path, count: int):
    """Returns a function that reads images through memory maps."""
    maps = [np.load(folder / f"{shard}.npy", mmap_mode="r") for shard in range(-(-count // SHARD))]

    def read(chosen):
        result = np.empty((len(chosen), SIDE, SIDE, 3), np.uint8)
        for place, index in enumerate(chosen):
            result[place] = maps[index // SHARD][index % SHARD]
        return result

    return read


def by_calls(folder: Path, count: int):
    """Returns a function that reads images by calls of preadv."""
    handles = [os.open(folder / f"{shard}.npy", os.O_RDONLY) for shard in range(-(-count // SHARD))]
    start = np.load(folder / "0.npy", mmap_mode="r").offset

    def read(chosen):
        result = np.empty((len(chosen), SIDE, SIDE, 3), np.uint8)
        for place, index in enumerate(chosen):
            os.preadv(handles[index // SHARD], [result[place]], start + index % SHARD * IMAGE_BYTES)
        return result

    return read


def by_records(folder: Path, count: int):
    """Returns a function that reads images as records of ArrayRecord."""
    options = "readahead_buffer_size:0"
    paths = [folder / f"{shard}.array_record" for shard in range(-(-count // SHARD))]
    readers = [array_record_module.ArrayRecordReader(str(path), options) for path in paths]

    def read(chosen):
        result = np.empty((len(chosen), SIDE, SIDE, 3), np.uint8)
        for shard in np.unique(chosen // SHARD):
            (places,) = np.nonzero(chosen // SHARD == shard)
            for place, record in zip(places, readers[shard].read((chosen[places] % SHARD).tolist()), strict=True):
                result[place] = np.frombuffer(record, np.uint8).reshape(SIDE, SIDE, 3)
        return result

    return read


def main() -> None:
    """Writes the files, reads them in each way, and prints microseconds an image in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--folder", type=Path, help="where the files are written, by default the temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write(folder, options.images)
        order = np.random.default_rng(1).permutation(options.images)
        cells = [("", "in the page cache", "from the disk")]
        for title, make in (("memory maps", by_maps), ("read calls", by_calls), ("ArrayRecord", by_records)):
            seconds = {}
            for kind in ("disk", "cache"):  # the first pass of a way brings its files into the cache
                if kind == "disk":
                    drop(folder)
                read, start, sums = make(folder, options.images), time.perf_counter(), 0
                for first in range(0, options.images, BATCH):
                    sums += int(read(order[first : first + BATCH])[:, 0, 0, 0].sum())
                seconds[kind] = (time.perf_counter() - start) / options.images * 1e6
            cells.append((title, f"{seconds['cache']:.1f}", f"{seconds['disk']:.1f}"))
    print(tables.markdown(cells, "<>>"))


if __name__ == "__main__":
    main()
