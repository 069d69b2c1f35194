"""Decodes images once, into shards in the cache (`XDG_CACHE_HOME/tinytrain`), and opens the shards.

A shard is written as a draft and renamed: a decoding that is killed goes on at the last whole one. Several workers that
share the folder of the cache decode different shards, and wait for those of the others.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tinytrain import files, progress
from tinytrain.data import decoding_beats, resizing
from tinytrain.data.shards import RaggedShards, Shard, Shards
from tinytrain.data.source import ImageSet
from tinytrain.errors import UserError

T = TypeVar("T")
CACHE_VERSION = 4
REMEDY = "free some room, or name another folder with XDG_CACHE_HOME"
SHARD_IMAGES, SHARD_BYTES = 1 << 16, 1 << 30  # at most, of a shard
MOST_SHARDS = 256  # files that are open at a time
POLL_S = 1.0  # how often a worker looks for the shards of others
SIZES = np.dtype(np.uint16)  # of an image that keeps its aspect
MOST_SIDE = 65535


@dataclass(frozen=True)
class Workers:
    """Which of how many processes this one is; they share the cache, and each decodes its own shards."""

    number: int = 0
    count: int = 1


ALONE = Workers()


def decode(
    image_set: ImageSet,
    resolution: int,
    channels: int,
    resize: str,
    numbers: np.ndarray | None = None,
    workers: Workers = ALONE,
) -> tuple[Shards, np.ndarray]:
    """Returns images of one size and their transforms, from the cache if they are there.

    Args:
        image_set: the images.
        resolution: side of the result in pixels.
        channels: 1 gray or 3 color.
        resize: "stretch", "crop", "eval_crop" or "pad" (see `resizing.prepare`).
        numbers: (N,) of the images, ascending; None: all.
        workers: who decodes.

    Returns:
        images (N, resolution, resolution, channels) uint8; transforms (N, 4) float32, a `Transform` each.

    Raises:
        UserError: an image cannot be read any more, or the shard of another worker does not come.
    """
    shape = (resolution, resolution, channels)

    def write(path: Path, count: int, decoded: Iterator[tuple[np.ndarray, Any]]) -> tuple[Shard, np.ndarray]:
        with contextlib.ExitStack() as exit_stack:
            images = _begin(exit_stack, path, lambda draft: _reserve(draft, (count, *shape)))
            transforms = np.empty((count, 4), np.float32)
            for place, (image, transform) in enumerate(decoded):
                images[place], transforms[place] = image, transform
            images.flush()
            files.write_atomically(_beside(path), lambda file: np.save(file, transforms))
        return Shard(path, images.offset), transforms

    def read(path: Path, count: int) -> tuple[Shard, np.ndarray] | None:
        images, transforms = _mapped(path, (count, *shape), np.uint8), _mapped(_beside(path), (count, 4), np.float32)
        if images is None or transforms is None:
            return None
        return Shard(path, images.offset), np.array(transforms)

    def keep(decoded: Iterator[tuple[np.ndarray, Any]], path: Path) -> tuple[Shard, np.ndarray]:
        images, transforms = zip(*decoded, strict=True)
        return Shard(path, 0, np.stack(images)), np.array(transforms, np.float32)

    def prepare(image: Any) -> tuple[np.ndarray, Any]:
        return resizing.prepare(image, resolution, channels, resize)

    form = _Form([resolution, channels, resize], ".npy", int(np.prod(shape)), prepare, read, write, keep)
    parts, per_shard, count = _decoded(image_set, form, numbers, workers)
    transforms = np.concatenate([np.empty((0, 4), np.float32), *(part for _, part in parts)])
    return Shards([shard for shard, _ in parts], (count, *shape), per_shard), transforms


def read(image_set: ImageSet, numbers: np.ndarray, resolution: int, channels: int, resize: str) -> np.ndarray:
    """Returns a few images (N, resolution, resolution, channels) uint8, without the cache; arguments as of `decode`."""
    prepared = image_set.images(lambda image: resizing.prepare(image, resolution, channels, resize)[0], numbers)
    return np.array(list(prepared), np.uint8).reshape(len(numbers), resolution, resolution, channels)


def decode_larger(image_set: ImageSet, shorter: int, channels: int, workers: Workers = ALONE) -> RaggedShards:
    """Returns images that keep their aspect, from the cache if they are there; arguments and errors as of `decode`.

    shorter: the shorter side in pixels; smaller images stay as they are.
    """

    def write(path: Path, count: int, decoded: Iterator[np.ndarray]) -> tuple[Shard, np.ndarray]:
        sizes = np.zeros((count, 2), SIZES)
        with contextlib.ExitStack() as exit_stack, files.write_errors(path, REMEDY):
            file = _begin(exit_stack, path, lambda draft: exit_stack.enter_context(draft.open("wb")))
            for place, image in enumerate(decoded):
                sizes[place] = image.shape[:2]
                file.write(image.data)
            file.flush()
            os.fsync(file.fileno())
            files.write_atomically(_beside(path), lambda file: np.save(file, sizes))
        return Shard(path, 0), sizes

    def read(path: Path, count: int) -> tuple[Shard, np.ndarray] | None:
        sizes = _mapped(_beside(path), (count, 2), SIZES)
        if sizes is None or not path.is_file():
            return None
        whole = path.stat().st_size == sizes.prod(axis=1, dtype=np.int64).sum() * channels
        return (Shard(path, 0), np.array(sizes)) if whole else None

    def keep(decoded: Iterator[np.ndarray], path: Path) -> tuple[Shard, np.ndarray]:
        images = list(decoded)
        flat = np.concatenate([image.reshape(-1) for image in images])
        return Shard(path, 0, flat), np.array([image.shape[:2] for image in images], SIZES)

    def prepare(image: Any) -> np.ndarray:
        pixels = resizing.shrunk(image, shorter, channels)
        if max(pixels.shape) > MOST_SIDE:
            raise ValueError(f"a side of {max(pixels.shape):,} pixels is longer than {MOST_SIDE:,}")
        return np.ascontiguousarray(pixels)

    image_bytes = shorter * shorter * channels * 3 // 2
    form = _Form(["larger", shorter, channels], ".bytes", image_bytes, prepare, read, write, keep)
    parts, per_shard, _ = _decoded(image_set, form, None, workers)
    sizes = np.concatenate([np.empty((0, 2), SIZES), *(part for _, part in parts)])
    return RaggedShards([shard for shard, _ in parts], sizes, channels, per_shard)


class _Form(NamedTuple):
    """How images are kept.

    identity: what else than the images the files depend on; suffix: of the files; image_bytes: about, of one image;
    prepare: makes what is kept of an image; read: (path, images) -> the shard and an array about its images, None if it
    is not there or damaged; write: (path, images, iterator of them) -> the same; keep: (iterator, path) -> the same, in
    memory.
    """

    identity: list[Any]
    suffix: str
    image_bytes: int
    prepare: Callable[[Any], Any]
    read: Callable[[Path, int], tuple[Shard, np.ndarray] | None]
    write: Callable[[Path, int, Iterator[Any]], tuple[Shard, np.ndarray]]
    keep: Callable[[Iterator[Any], Path], tuple[Shard, np.ndarray]]


Part = tuple[Shard, np.ndarray]


def _decoded(
    image_set: ImageSet, form: _Form, numbers: np.ndarray | None, workers: Workers
) -> tuple[Sequence[Part], int, int]:
    """Returns the shards, decoded if they are not there, how many images each has, and how many there are in all."""
    total = len(image_set.names)
    chosen = np.arange(total) if numbers is None else numbers
    per_shard = max(1, min(SHARD_IMAGES, SHARD_BYTES // max(1, form.image_bytes)), -(-len(chosen) // MOST_SHARDS))
    subset = "" if numbers is None else hashlib.sha256(chosen.tobytes()).hexdigest()
    identity = json.dumps([CACHE_VERSION, image_set.key, total, subset, per_shard, *form.identity])
    folder = files.cache_folder() / f"images-{hashlib.sha256(identity.encode()).hexdigest()[:32]}"
    ranges = [chosen[start : start + per_shard] for start in range(0, len(chosen), per_shard)]
    paths = [folder / f"{number:05d}-of-{len(ranges):05d}{form.suffix}" for number in range(len(ranges))]
    parts = [form.read(path, len(own)) for path, own in zip(paths, ranges, strict=True)]
    mine = [number for number in range(workers.number, len(parts), workers.count) if parts[number] is None]
    wanted = np.concatenate([chosen[:0], *(ranges[number] for number in mine)])
    if len(wanted):
        with progress.stage("decoding", len(wanted), "image") as stage:
            images = image_set.images(form.prepare, wanted)
            decoded = _advancing(
                decoding_beats.beating(images, folder, workers.number) if workers.count > 1 else images, stage
            )
            for number in mine:
                parts[number] = _written(form, paths[number], len(ranges[number]), decoded, workers)
    _wait(form, paths, ranges, parts, workers)
    return [part for part in parts if part is not None], per_shard, len(chosen)


def _advancing(decoded: Iterator[Any], stage: progress.Stage) -> Iterator[Any]:
    for image in decoded:
        yield image
        stage.advance()


def _written(form: _Form, path: Path, count: int, decoded: Iterator[Any], workers: Workers) -> Part:
    """Returns the shard of the next `count` images, in the cache, or in memory if that cannot be written."""

    def taken() -> Iterator[Any]:
        for _ in range(count):
            yield next(decoded)

    try:
        return form.write(path, count, taken())
    except _NoRoomError as error:  # a read-only or full disk
        if workers.count > 1:
            raise UserError(f"cannot write '{path}' ({error}), which other workers wait for: {REMEDY}") from None
        return form.keep(taken(), path)


class _NoRoomError(Exception):
    """The cache cannot be written."""


def _begin(exit_stack: contextlib.ExitStack, path: Path, begin: Callable[[Path], T]) -> T:
    """Returns what `begin` makes of a draft of `path`, which replaces it when `exit_stack` closes.

    Raises _NoRoomError if it cannot be written, before any image is taken.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        return begin(exit_stack.enter_context(files.draft(path)))
    except OSError as error:
        raise _NoRoomError(error.strerror or str(error)) from error


def _wait(
    form: _Form, paths: Sequence[Path], ranges: Sequence[np.ndarray], parts: list[Part | None], workers: Workers
) -> None:
    """Fills in the shards that other workers decode, as they come.

    Raises UserError if one of them gives no sign any more.
    """
    missing = [number for number, part in enumerate(parts) if part is None]
    if not missing:
        return
    with progress.stage("waiting for the images that other workers decode", len(missing), "shard") as stage:
        signs = {
            number % workers.count: decoding_beats.Signs(paths[0].parent, number % workers.count) for number in missing
        }
        while missing:
            for number in missing:
                parts[number] = form.read(paths[number], len(ranges[number]))
                if parts[number] is not None:
                    signs[number % workers.count].seen()
                    stage.advance()
            missing = [number for number in missing if parts[number] is None]
            for number in missing:
                if (silent := signs[number % workers.count].silent_too_long()) is not None:
                    raise UserError(
                        f"worker {number % workers.count} of {workers.count}, which decodes '{paths[number]}', has "
                        f"shown no sign of life for {silent:,.0f} s: check that it is running, and that all workers "
                        "share the folder XDG_CACHE_HOME"
                    )
            time.sleep(POLL_S if missing else 0.0)


def _mapped(path: Path, shape: tuple[int, ...], dtype: Any) -> np.memmap | None:
    """Returns the array in a file of the cache; None if it is missing or damaged, or has another shape or type."""
    try:
        array = np.lib.format.open_memmap(path, "r")  # np.load would take archives and pickles, too
    except (OSError, ValueError):  # not there, cut short by a full disk, or damaged in any other way
        return None
    return array if (array.shape, array.dtype, array.flags.c_contiguous) == (shape, dtype, True) else None


def _beside(path: Path) -> Path:
    """Returns the file of what else is known of the images in `path`: their transforms or their sizes."""
    return path.with_suffix(".beside")


def _reserve(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Returns an array in the file `path` whose room on the disk is taken.

    A map on a full disk would kill the process.
    """
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
