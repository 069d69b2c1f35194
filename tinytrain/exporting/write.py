"""What `tinytrain export` writes: the folder as a whole, the models with golden.npz, and the firmware."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tinytrain import files
from tinytrain.deploy import firmware
from tinytrain.deploy.boards import Board
from tinytrain.deploy.exported import COMPACT_FILE, GOLDEN_FILE, MODEL_FILE
from tinytrain.exporting.int8_model import Int8Model
from tinytrain.tflite.model import Model


@contextlib.contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """Yields a folder under a temporary name, which becomes `folder`, free or empty, when the block ends well."""
    remedy = "free some room, or name another folder with --out"
    with files.folder(folder.parent) as temporary, files.write_errors(folder, remedy):
        yield temporary
        if folder.exists():
            folder.rmdir()  # empty, as checked
        os.chmod(temporary, 0o755)
        temporary.replace(folder)


def models(folder: Path, model: Int8Model, stripped: Model, outputs: np.ndarray) -> None:
    """Writes both .tflite files and golden.npz; `outputs` (N, classes) int8 are those of the model's images."""
    arrays = {"inputs": model.images, "outputs": outputs, "labels": model.labels, "finetuned": model.finetuned_scores}
    known = {name: array for name, array in arrays.items() if array is not None}
    (folder / MODEL_FILE).write_bytes(model.tflite.content)
    (folder / COMPACT_FILE).write_bytes(stripped.content)
    np.savez_compressed(folder / GOLDEN_FILE, **known)  # type: ignore[arg-type]  # numpy's other keyword is a bool


def sources(
    folder: Path, arena_bytes: int, model: Int8Model, stripped: Model, outputs: np.ndarray, board: Board
) -> Path:
    """Writes folder/firmware for the stripped model, and returns its path."""
    golden = model.task.figures.golden_case(outputs, model.labels)
    return firmware.emit(
        folder,
        board,
        model=stripped,
        name=model.name,
        arena_bytes=arena_bytes,
        labels=model.classes,
        golden_input=model.images[golden],
        golden_output=outputs[golden],
        pixels=model.pixels.tables(stripped.inputs[0]),
        bgr=model.pixels.bgr,
    )
