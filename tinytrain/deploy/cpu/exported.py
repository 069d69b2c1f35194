"""The folder that `tinytrain export --cpu` wrote: its files by their names, and the folder read back for `bench`."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tinytrain.deploy.exported_model import REPORT_FILE, damaged, read_report, refuse_incomplete
from tinytrain.errors import UserError, shown

FLOAT, INT8 = "float", "int8"
KINDS = (FLOAT, INT8)
GOLDEN_FILE = "golden.npz"


def model_name(kind: str, suffix: str) -> str:
    """Returns the name of the file that the runtime loads, such as model.int8.xml."""
    return f"model.{kind}{suffix}"


def as_input(kind: str, images: np.ndarray) -> np.ndarray:
    """Returns int8 images, pixel - 128, as the model of this kind takes them: for float32 (pixel - 128) / 128."""
    return images.astype(np.float32) / 128 if kind == FLOAT else images


def golden_arrays(inputs: np.ndarray, outputs: Mapping[str, Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns what golden.npz holds: inputs (N, H, W, C) int8, and each output (N, …) of each kind for them."""
    numbered = {f"{kind}_{i}": output for kind in KINDS for i, output in enumerate(outputs[kind])}
    return {"inputs": inputs} | numbered


def files_section(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Returns what report.json says of the files of a model, the one that the runtime loads first."""
    contents = [(path.name, path.read_bytes()) for path in files]
    return [{"file": name, "bytes": len(held), "crc32": f"{zlib.crc32(held):08x}"} for name, held in contents]


def is_there(folder: Path) -> bool:
    """Returns whether `folder` holds an export for a CPU; one whose report cannot be read does not."""
    try:
        return "runtime" in read_report(folder / REPORT_FILE)
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class CpuExport:
    """An export for a CPU, read back.

    report: of report.json; inputs: (N, H, W, C) int8; outputs: {kind: each output (N, …) that the export had for them}.
    """

    folder: Path
    report: dict[str, Any]
    inputs: np.ndarray
    outputs: dict[str, list[np.ndarray]]

    @classmethod
    def open(cls, folder: Path) -> "CpuExport":
        """Returns the export in `folder`; raises UserError if it holds none, or one that is not as it was written."""
        refuse_incomplete(folder, (REPORT_FILE, GOLDEN_FILE))
        try:
            report = read_report(folder / REPORT_FILE)
            _check(report)
            with np.load(folder / GOLDEN_FILE) as golden:
                inputs = golden["inputs"]
                outputs = {
                    kind: [golden[name] for name in takewhile(golden.__contains__, (f"{kind}_{i}" for i in count()))]
                    for kind in KINDS
                }
            _check_golden(inputs, outputs)
        except (KeyError, ValueError, OSError, BadZipFile) as error:
            raise damaged(folder, error) from None
        opened = cls(folder, report, inputs, outputs)
        for kind in KINDS:
            opened._check_files(kind)
        return opened

    @property
    def runtime(self) -> str:
        """The name of its runtime."""
        return str(self.report["runtime"])

    def model(self, kind: str) -> Path:
        """Returns the file of a model that the runtime loads."""
        return self.folder / self._files(kind)[0]["file"]

    def _files(self, kind: str) -> list[dict[str, Any]]:
        files: list[dict[str, Any]] = self.report["model"][kind]
        return files

    def _check_files(self, kind: str) -> None:
        refuse_incomplete(self.folder, [entry["file"] for entry in self._files(kind)])
        for entry in self._files(kind):
            crc = f"{zlib.crc32((self.folder / entry['file']).read_bytes()):08x}"
            if crc != entry["crc32"]:
                raise UserError(
                    f"'{self.folder / entry['file']}' is damaged, or is another model (its CRC-32 is "
                    f"{crc}, {entry['crc32']} in {REPORT_FILE}): export again"
                )


def _check(report: dict[str, Any]) -> None:
    """Raises ValueError unless these are the keys that `open` needs of a report."""
    if not isinstance(report.get("runtime"), str):
        raise ValueError(f"{REPORT_FILE} names no runtime")
    for kind in KINDS:
        files = report["model"].get(kind)
        if not isinstance(files, list) or not files or not all(map(_is_entry, files)):
            raise ValueError(f"the {kind} model in {REPORT_FILE} is {shown(files)}")


def _is_entry(entry: Any) -> bool:
    """Returns whether this says of one file its plain name and its CRC-32."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("file", "crc32")):
        return False
    return Path(entry["file"]).name == entry["file"]


def _check_golden(inputs: np.ndarray, outputs: dict[str, list[np.ndarray]]) -> None:
    """Raises ValueError unless these are images and answers for each of them."""
    if inputs.dtype != np.int8 or inputs.ndim != 4 or not inputs.size:
        raise ValueError(f"the inputs in {GOLDEN_FILE} are not int8 of some images")
    for kind, dtype in ((FLOAT, np.float32), (INT8, np.int8)):
        arrays = outputs[kind]
        if not arrays or any(array.dtype != dtype or len(array) != len(inputs) for array in arrays):
            raise ValueError(f"the {kind} outputs in {GOLDEN_FILE} are not {np.dtype(dtype)} of these images")
