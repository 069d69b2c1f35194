"""What `tinytrain export` writes: the folder as a whole, the models with golden.npz, and the firmware."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain import files
from tinytrain.data import boxes
from tinytrain.deploy import targets
from tinytrain.deploy.boards import Board
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled.plan import Plan
from tinytrain.deploy.decode import of_config
from tinytrain.deploy.decode.boxes import Decoder
from tinytrain.deploy.exported import GOLDEN_FILE, golden_outputs
from tinytrain.deploy.exported_model import COMPACT_FILE, MODEL_FILE, REPORT_FILE
from tinytrain.deploy.targets import bare_metal
from tinytrain.exporting.int8_model import Int8Model
from tinytrain.tflite.model import Model

TITLE = "A network for a microcontroller, written by `tinytrain export`"
FILES = {
    MODEL_FILE: "the network: int8 in and out",
    COMPACT_FILE: "the same without what TensorFlow Lite Micro never reads",
    GOLDEN_FILE: "the test images and the outputs that the firmware has to give for them",
    REPORT_FILE: "board, memory, accuracy, latency, and what was proven",
    "firmware/": "the C project; its own README or Makefile says how to build and flash it",
    "library/": "instead of firmware/ with --target library: the network as C code for your own firmware",
    "bench.json": "what `tinytrain bench` measured, once it was run",
}


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


def models(folder: Path, model: Int8Model, stripped: Model, outputs: list[np.ndarray]) -> None:
    """Writes both .tflite files, golden.npz and README.txt.

    Args:
        folder: where to.
        model: the model with its images.
        stripped: its .tflite without what TFLM never reads.
        outputs: (N, elements) int8 of each output, for the images of `model`.
    """
    known = {} if model.finetuned_scores is None else {"finetuned": model.finetuned_scores}
    if model.samples is not None and model.task.name in boxes.TASKS:
        known |= {"annotations": boxes.transformed(model.samples.annotations, model.samples.transforms)}
    elif model.samples is not None:
        known |= {"labels": model.samples.annotations}
    arrays = {"inputs": model.images, **golden_outputs(outputs), **known}
    (folder / MODEL_FILE).write_bytes(model.tflite.content)
    (folder / COMPACT_FILE).write_bytes(stripped.content)
    files.write_readme(folder, TITLE, FILES)
    np.savez_compressed(folder / GOLDEN_FILE, **arrays)  # type: ignore[arg-type]  # numpy's other keyword is a bool


def contents(
    model: Int8Model,
    stripped: Model,
    outputs: list[np.ndarray],
    own_kernels: bool,
    plan: Plan | None,
    arena_bytes: int,
) -> Contents:
    """Returns what the firmware holds of the stripped model.

    `outputs` are as in `models`, the other arguments as in Contents.
    """
    golden = golden_case(model, outputs)
    return Contents(
        model=stripped,
        name=model.name,
        arena_bytes=arena_bytes,
        labels=model.classes,
        golden_input=model.images[golden],
        golden_outputs=[output[golden] for output in outputs],
        pixels=model.pixels.tables(stripped.inputs[0]),
        bgr=model.pixels.bgr,
        decoder=decoder(model),
        own_kernels=own_kernels,
        plan=plan,
        resize=model.resize,
    )


def decoder(model: Int8Model) -> Decoder | None:
    """Returns how the firmware of a detector decodes its boxes; None for another task."""
    if model.task.name not in boxes.TASKS:
        return None
    return of_config.decoder(model.task.config, len(model.classes), model.tflite)


def golden_case(model: Int8Model, outputs: list[np.ndarray]) -> int:
    """Returns the number of the image that the firmware proves itself on: one with a right output, or most boxes."""
    figures, annotations = model.task.figures, model.samples.annotations if model.samples else None
    if figures.golden_case:
        return figures.golden_case(outputs[0], annotations)
    of_boxes = of_config.decoder(model.task.config, len(model.classes), model.tflite)
    return int(np.argmax([len(of_boxes.decode(list(each))) for each in zip(*outputs, strict=True)]))


@contextlib.contextmanager
def firmware(folder: Path, target: str, board: Board, held: Contents) -> Iterator[Path]:
    """Writes what `target` does into `folder`; yields the bare-metal firmware that holds the same, to prove it with.

    That is folder/firmware itself where `target` is that one, else a temporary folder.
    """
    project = targets.write(target, folder, board, held)
    if target == targets.PROVEN:
        yield project
    else:
        with files.folder() as temporary:
            yield bare_metal.write(temporary, board, held)


def output_descriptions(model: Model) -> list[dict[str, Any]]:
    """Returns the section "outputs" of report.json: what each output is; real = scale · (int8 - zero_point)."""
    return [
        {
            "name": output.name,
            "shape": list(output.shape),
            "scale": output.scale[0],
            "zero_point": output.zero_point[0],
        }
        for output in model.outputs
    ]
