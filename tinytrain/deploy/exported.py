"""The folder that `tinytrain export` wrote, read back: the model of a board, and the outputs expected of it."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, takewhile
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tinytrain.data import boxes
from tinytrain.deploy import c_source
from tinytrain.deploy.exported_model import (
    COMPACT_FILE,
    REPORT_FILE,
    ExportedModel,
    check_decoder,
    damaged,
    refuse_incomplete,
)
from tinytrain.errors import UserError

GOLDEN_FILE = "golden.npz"
BENCH_FILE, PICTURE_FILE, BOXES_FILE = "bench.json", "operators.png", "boxes.png"  # what `tinytrain bench` adds
_ARRAYS = "model/model_data.cc"


def golden_outputs(outputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the outputs by their names in golden.npz.

    A single one is called "outputs", several are "outputs_0", "outputs_1" and so on.

    Args:
        outputs: (N, …) int8 of each output of the model.
    """
    if len(outputs) == 1:
        return {"outputs": outputs[0]}
    return {f"outputs_{i}": output for i, output in enumerate(outputs)}


def read_golden_outputs(golden: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Returns the outputs in golden.npz, (N, …) int8 each; none if it holds none."""
    if "outputs" in golden:
        return [golden["outputs"]]
    return [golden[name] for name in takewhile(golden.__contains__, (f"outputs_{i}" for i in count()))]


def _check(report: dict[str, Any], inputs: Any, outputs: list[np.ndarray], labels: Any, annotations: Any) -> None:
    """Raises ValueError unless these can be of an export."""
    if not isinstance(report.get("board"), str):
        raise ValueError(f"{REPORT_FILE} names no board")
    for name, array in (("inputs", inputs), *(("outputs", output) for output in outputs or [np.empty(0)])):
        if array is None or array.dtype != np.int8 or array.ndim < 2 or len(array) != len(inputs) or not array.size:
            raise ValueError(f"the {name} in {GOLDEN_FILE} are not int8 of some images")
    classes = outputs[0][0].size
    if labels is not None and (
        labels.shape != (len(inputs),)
        or labels.dtype.kind not in "iu"
        or not 0 <= labels.min() <= labels.max() < classes
    ):
        raise ValueError(f"the labels in {GOLDEN_FILE} are not one of {classes} classes for each image")
    if annotations is not None:
        check_annotations(annotations, len(inputs))


def check_annotations(annotations: np.ndarray, images: int) -> None:
    """Raises ValueError unless these are the boxes of so many images, as `tinytrain export` writes them."""
    if (
        annotations.dtype != np.float32
        or annotations.shape != (images, *annotations.shape[1:2], boxes.FIELDS)
        or not np.isfinite(annotations).all()
    ):
        raise ValueError(f"the annotations in {GOLDEN_FILE} are not boxes of each image")


@dataclass(frozen=True)
class Exported(ExportedModel):
    """An export, read back: its model, and the outputs expected of it.

    Attributes:
        inputs: (N, H, W, C) int8.
        outputs: (N, …) int8 of each output of the model, as TFLM's interpreter gives them.
        labels: (N,) class numbers, which index the first output, or None.
        annotations: of a detector: (N, M, FIELDS) float32 as in `data/boxes.py`, in pixels of the input, or None.
        firmware_model: the flatbuffer that the firmware holds.
    """

    inputs: np.ndarray
    outputs: Sequence[np.ndarray]
    labels: np.ndarray | None
    annotations: np.ndarray | None
    firmware_model: bytes

    @classmethod
    def open(cls, folder: Path) -> "Exported":
        """Returns the export in `folder`; raises UserError if it holds none, or one whose firmware cannot answer."""
        refuse_incomplete(folder, (REPORT_FILE, COMPACT_FILE, GOLDEN_FILE))
        if not (folder / "firmware").exists() and (folder / "library").exists():
            raise UserError(f"'{folder}' is a library, which bench cannot run: export with --target bare-metal, too")
        refuse_incomplete(folder, ("firmware",))
        if not (folder / "firmware" / "PROTOCOL.md").is_file():
            raise UserError(f"the firmware in '{folder}' is older than the binary protocol: export again")
        held = ExportedModel.open(folder)
        try:
            with np.load(folder / GOLDEN_FILE) as golden:
                inputs, outputs = golden.get("inputs"), read_golden_outputs(golden)
                labels, annotations = golden.get("labels"), golden.get("annotations")
            _check(held.report, inputs, outputs, labels, annotations)
            check_decoder(held.decoder, [output[0].size for output in outputs], GOLDEN_FILE)
            firmware_model = c_source.read_model_data(folder / "firmware" / _ARRAYS)
        except (ValueError, OSError, BadZipFile) as error:
            raise damaged(folder, error) from None
        parts = held.folder, held.report, held.model, held.decoder
        return Exported(*parts, inputs, outputs, labels, annotations, firmware_model)

    @property
    def sources(self) -> Path:
        """The firmware's folder."""
        return self.folder / "firmware"

    @property
    def is_compiled(self) -> bool:
        """Whether the firmware holds the network as C, and needs no TFLM."""
        return (self.sources / "model" / c_source.GRAPH_FILE).is_file()

    def steps(self, engine: str) -> list[list[int]]:
        """Returns what the engine of this name runs in order: the numbers of the operators of each step, from 0."""
        if engine != "compiled":
            return [[number] for number in range(len(self.summary.operators))]
        steps: list[list[int]] = [step["operators"] for step in self.report.get("engine", {}).get("steps", [])]
        return steps

    @property
    def firmware_crc(self) -> int:
        """CRC-32 of the flatbuffer that the firmware holds."""
        return zlib.crc32(self.firmware_model)

    def input_of(self, image: int) -> bytes:
        """Returns the int8 input of an image as bytes."""
        return np.ascontiguousarray(self.inputs[image], np.int8).tobytes()

    def outputs_of(self, image: int) -> list[np.ndarray]:
        """Returns the host's outputs for an image, (elements,) int8 each."""
        return [output[image].reshape(-1) for output in self.outputs]

    def boxes_of(self, image: int) -> np.ndarray:
        """Returns the host's boxes for an image of a detector, (D,) BOX."""
        if self.decoder is None:
            raise AssertionError("only a detector has boxes")
        return self.decoder.decode(self.outputs_of(image))

    @property
    def output_bytes(self) -> int:
        """The bytes of all outputs for one image."""
        return sum(output[0].size for output in self.outputs)

    def split(self, answer: bytes) -> list[np.ndarray]:
        """Returns the outputs in a board's answer, which has them one after the other: (elements,) int8 each."""
        offsets = np.cumsum([output[0].size for output in self.outputs])
        return np.split(np.frombuffer(answer, np.int8), offsets[:-1])

    @cached_property
    def _pixels_of(self) -> np.ndarray:
        """(1 or channels, 256) for an int8 input from -128 on: a pixel that the firmware turns into it, -1 for none."""
        tables = c_source.read_array(self.sources / _ARRAYS, "PixelToInput").reshape(-1, 256)
        pixels = np.full(tables.shape, -1)
        for row, table in zip(pixels, tables, strict=True):
            row[table.astype(np.int16) + 128] = np.arange(256)
        return pixels

    def pixels_of(self, image: int) -> bytes:
        """Returns 8-bit pixels, R, G, B, that the firmware's tables turn into the int8 input of an image."""
        values = self.inputs[image].astype(np.int16) + 128
        pixels = self._pixels_of[np.arange(values.shape[-1]) % len(self._pixels_of), values]
        if (pixels < 0).any():
            raise UserError(
                f"image {image} of '{self.folder}' is noise that no pixels can give: export with --data SPEC"
            )
        if self.report.get("input", {}).get("channel_order") == "bgr":
            pixels = pixels[..., ::-1]
        return pixels.astype(np.uint8).tobytes()
