"""The folder that `tinytrain export` wrote, read back: the model of a board, and the outputs expected of it."""

import json
import math
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, takewhile
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tinytrain.data import boxes
from tinytrain.deploy import c_source
from tinytrain.deploy.decode import description
from tinytrain.deploy.decode.boxes import Decoder
from tinytrain.deploy.tflm import supported
from tinytrain.errors import UserError, shown
from tinytrain.files import refuse_links
from tinytrain.quiet import quiet
from tinytrain.tflite.model import Model

MODEL_FILE, COMPACT_FILE = "model.tflite", "model.compact.tflite"  # what TensorFlow reads; all that TFLM reads
GOLDEN_FILE, REPORT_FILE = "golden.npz", "report.json"
BENCH_FILE, PICTURE_FILE, BOXES_FILE = "bench.json", "operators.png", "boxes.png"  # what `tinytrain bench` adds
_ARRAYS = "model/model_data.cc"


_FIGURES = ("accuracy", "memory", "parity")  # sections of numbers, unknown ones null
_SECTIONS = (
    *_FIGURES,
    "decoder",
    "diagnosis",
    "emulated",
    "input",
    "kernels",
    "latency_basis",
    "model",
    "tensorflow_lite",
)


def read_report(path: Path) -> dict[str, Any]:
    """Returns the report.json at `path`, of this version or an older one, which lacks some keys.

    Raises OSError, or ValueError if a section of it is not of the type that `tinytrain export` writes.
    """
    try:
        report = json.loads(path.read_text())
    except RecursionError:
        raise ValueError("its lists are nested too deeply") from None
    if not isinstance(report, dict):
        raise ValueError(f"{REPORT_FILE} holds a {type(report).__name__}, expected an object")
    objects = {name: report.get(name, {}) for name in _SECTIONS}
    texts = {name: report.get(name, []) for name in ("classes", "unproven")}
    interval = report.get("latency_range_ms") or [0, 0]
    sound = {
        **{name: isinstance(section, dict) for name, section in objects.items()},
        **{name: isinstance(section, list) and _are(section, str) for name, section in texts.items()},
        "outputs": isinstance(outputs := report.get("outputs", []), list) and _are(outputs, dict),
        "latency_ms": _are([report.get("latency_ms")], int | float | None),
        "latency_range_ms": isinstance(interval, list) and len(interval) == 2 and _are(interval, int | float),
    }
    for name, is_sound in sound.items():
        values = objects[name] | {"val": None} if is_sound and name in _FIGURES else {}
        if not is_sound or not _are(values.values(), int | float | None):
            raise ValueError(f"'{name}' in {REPORT_FILE} is {shown(report[name])}, as no export writes it")
    return report


def _are(values: Iterable[Any], kind: Any) -> bool:
    return all(isinstance(value, kind) for value in values)


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


def _decoder(report: dict[str, Any], outputs: list[np.ndarray]) -> Decoder | None:
    """Returns the decoder of a detector, None of a classifier; raises ValueError for one of other outputs."""
    if not report.get("decoder"):
        return None
    decoder = description.read(report["decoder"])
    sizes, expected = [output[0].size for output in outputs], [math.prod(shape) for shape in decoder.shapes]
    if sizes != expected:
        raise ValueError(f"its decoder expects outputs of {expected} values, {GOLDEN_FILE} holds {sizes}")
    return decoder


@dataclass(frozen=True)
class Exported:
    """An export, read back.

    Attributes:
        model: the flatbuffer that the firmware holds.
        inputs: (N, H, W, C) int8.
        outputs: (N, …) int8 of each output of the model, as TFLM's interpreter gives them.
        labels: (N,) class numbers, which index the first output, or None.
        annotations: of a detector: (N, M, FIELDS) float32 as in `data/boxes.py`, in pixels of the input, or None.
        decoder: of a detector, how boxes follow from the outputs.
    """

    folder: Path
    report: dict[str, Any]
    model: bytes
    inputs: np.ndarray
    outputs: Sequence[np.ndarray]
    labels: np.ndarray | None
    annotations: np.ndarray | None = None
    decoder: Decoder | None = None

    @classmethod
    def open(cls, folder: Path) -> "Exported":
        """Returns the export in `folder`; raises UserError if it holds none, or one whose firmware cannot answer."""
        needed = [REPORT_FILE, COMPACT_FILE, GOLDEN_FILE, "firmware"]
        missing = [name for name in needed if not (folder / name).exists()]
        if missing:
            what = f"lacks {', '.join(missing)}" if folder.is_dir() else "does not exist"
            raise UserError(f"'{folder}' {what}: give the folder that `tinytrain export` wrote")
        refuse_links(folder)
        if not (folder / "firmware" / "PROTOCOL.md").is_file():
            raise UserError(f"the firmware in '{folder}' is older than the binary protocol: export again")
        try:
            report = read_report(folder / REPORT_FILE)
            with np.load(folder / GOLDEN_FILE) as golden:
                inputs, outputs = golden.get("inputs"), read_golden_outputs(golden)
                labels, annotations = golden.get("labels"), golden.get("annotations")
            _check(report, inputs, outputs, labels, annotations)
            decoder = _decoder(report, outputs)
            content = c_source.read_model_data(folder / "firmware" / _ARRAYS)
        except (ValueError, OSError, BadZipFile) as error:
            raise UserError(f"'{folder}' is damaged ({error}): export again") from None
        return cls(folder, report, content, inputs, outputs, labels, annotations, decoder)

    @property
    def sources(self) -> Path:
        """The firmware's folder."""
        return self.folder / "firmware"

    @property
    def task(self) -> str:
        """What the model was trained for; an older report does not say so."""
        task: str = self.report.get("task", "classify")
        return task

    @property
    def model_crc(self) -> int:
        """CRC-32 of the model that the firmware holds."""
        return zlib.crc32(self.model)

    @cached_property
    def summary(self) -> Model:
        """The model as TFLM's interpreter runs it on the host, parsed. Starts TensorFlow, which has the format."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        with quiet():
            return supported.parse((self.folder / COMPACT_FILE).read_bytes(), f"'{self.folder / COMPACT_FILE}'")

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
            raise UserError(f"image {image} of '{self.folder}' is noise that no pixels give: export with --data SPEC")
        if self.report.get("input", {}).get("channel_order") == "bgr":
            pixels = pixels[..., ::-1]
        return pixels.astype(np.uint8).tobytes()
