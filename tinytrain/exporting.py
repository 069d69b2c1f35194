"""`tinytrain export`: from a run, or a .tflite of anyone's, to a proven int8 model and the firmware that runs it."""

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tinytrain import config as configs
from tinytrain import disk, int8_model, locks, metrics
from tinytrain.deploy import boards, carray, compact, firmware, fits, flatbuffer, latency, memory
from tinytrain.deploy.boards import Board
from tinytrain.deploy.oracle import Oracle
from tinytrain.errors import UserError
from tinytrain.evaluation import dequantize
from tinytrain.exported import COMPACT_FILE, GOLDEN_FILE, MODEL_FILE, REPORT_FILE
from tinytrain.int8_model import Int8Model
from tinytrain.run import Run, make_folder, write_json
from tinytrain.schema import Config

# About what an export takes on the disk: copies of the int8 model, two as such and one in C; the rest of firmware/;
# what the compiler makes of it.
MODEL_COPIES = 6
FIRMWARE_FOLDER_BYTES = 500_000
BUILD_BYTES = 6_000_000


def export(
    target: PathLike[str] | str,
    mcu: str,
    out: Path | str | None = None,
    overrides: Sequence[str] = (),
    data: str | None = None,
    diagnose: bool = False,
) -> tuple[dict[str, Any], Path]:
    """Exports a finished run, or a .tflite file, for a board; returns (report.json, the folder written).

    Args:
        target: a run, its folder or MODEL.tflite.
        mcu: a board or microcontroller.
        out: the folder to write, by default RUN/export-BOARD (beside the file for a .tflite).
        overrides: KEY=VALUE words for the keys of [qat] and [export].
        data: for a .tflite, the SPEC of the images to prove it on; without one it is proven on noise.
        diagnose: for a run, add the section "diagnosis" to the report: signal to noise of each layer (the keys of
            `deploy.diagnosis.layers`) and accuracy of each class, float and int8, worst first.

    Raises:
        UserError: no finished run, no int8 .tflite, or a folder that already holds an export. A model that does not fit
        the board is exported all the same; the report says `"fits": false`.
    """
    target, board = Path(target), boards.load(mcu)
    from_file = target.is_file()
    folder = Path(out) if out else (target.parent if from_file else target) / f"export-{board.name}"
    _refuse_taken(folder)
    _check_library(board)
    _check_room(target, folder)
    if not from_file:
        Run.open(target)
    make_folder(folder.parent)
    with locks.held(folder.with_name(f".{folder.name}.lock"), f"the export '{folder}'"):
        _refuse_taken(folder)  # another process may have ended since
        if from_file:
            model, config = _model_of_file(target, overrides, data, diagnose)
        else:
            model, config = _model_of_run(Run.open(target), overrides, data, diagnose)
        return _prove_and_write(model, board, config, folder, str(target)), folder


def _refuse_taken(folder: Path) -> None:
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise UserError(f"'{folder}' is there already: remove it, or name another folder with --out")


def _check_library(board: Board) -> None:
    """Raises UserError, before the long work, if TFLM_DIR does not serve for a board that the firmware is built for."""
    firmware.check_library(board)
    if (twin := boards.emulated_twin(board)) and not firmware.lacking(emulator=True):
        firmware.check_library(twin)


def _check_room(target: Path, folder: Path) -> None:
    """Raises UserError, before the long work, if what is exported would find no room in `folder` or in $TMPDIR."""
    model_bytes, images = target.stat().st_size if target.is_file() else 0, 0
    if target.is_dir() and (run := Run(target)).finished:
        config = run.config()
        model_bytes = run.model_path.stat().st_size // 4  # float32 there
        pixels = int(config.model.resolution) ** 2 * int(config.model.channels)
        images = pixels * len(run.split().get("test", ()))
    needed = images + MODEL_COPIES * model_bytes + FIRMWARE_FOLDER_BYTES
    disk.require(folder, needed, "the export", "name another folder with --out")
    build = 0 if firmware.lacking() else BUILD_BYTES
    needed = images + model_bytes + build
    disk.require(disk.temporary_place(), needed, "the export's proof", "name another folder with TMPDIR")


def _model_of_file(path: Path, overrides: Sequence[str], data: str | None, diagnose: bool) -> tuple[Int8Model, Config]:
    config = _with_overrides(Config(), overrides)
    if diagnose:
        raise UserError(f"--diagnose compares with the float model, which a .tflite such as '{path}' has not")
    return int8_model.from_file(path, data, config.export.input_range), config


def _model_of_run(run: Run, overrides: Sequence[str], data: str | None, diagnose: bool) -> tuple[Int8Model, Config]:
    if data:
        raise UserError("--data goes with a .tflite; a run is exported with the data it was trained on")
    config = _with_overrides(run.config(), overrides)
    if config.export.input_range:
        raise UserError("export.input_range goes with a .tflite; a run is fed with pixels as it was trained")
    run.metrics()  # refuses an unfinished run
    return int8_model.from_run(run, config, diagnose), config


def _with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    known = configs.keys()
    for word in overrides:
        dotted = word.partition("=")[0]
        if dotted in known and not dotted.startswith(("qat.", "export.")):
            raise UserError(
                f"export cannot change {dotted}: the run is trained; it takes the keys of [qat] and [export]"
            )
    return configs.apply(config, overrides)


def _prove_and_write(model: Int8Model, board: Board, config: Config, folder: Path, source: str) -> dict[str, Any]:
    """Writes the export under a temporary name, then gives it its own; returns report.json."""
    outputs = _run(model.content, model.images, "int8 model on the test images")
    with disk.folder(folder.parent) as draft, disk.told(folder, "free some room, or name another folder with --out"):
        report = {"source": source} | _write(draft, model, outputs, board, config)
        write_json(draft / REPORT_FILE, report)
        if folder.exists():
            folder.rmdir()  # empty, as checked
        os.chmod(draft, 0o755)
        draft.replace(folder)
    return report


def _write(draft: Path, model: Int8Model, outputs: np.ndarray, board: Board, config: Config) -> dict[str, Any]:
    """Writes the models, golden.npz and firmware/ into `draft`; returns what is proven and measured of them."""
    graph, compacted = flatbuffer.read(model.content, model.name), compact.compact(model.content)
    arena_bytes = memory.target_arena_bytes(compacted) + config.export.arena_margin_bytes
    _write_models(draft, model, compacted, outputs)
    sources = _emit(draft, model, compacted, outputs, arena_bytes, board)
    report = {
        "board": board.name,
        "fits": False,
        "model": {
            "bytes": len(model.content),
            "compact_bytes": len(compacted),
            "macs": model.macs,
            "ops": graph.counts,
        },
        "input": _input(model, graph),
        "accuracy": _accuracy(model, outputs, graph),
        "parity": _parity(sources, model.images, outputs, config.export.parity_images),
        **_memory(sources, graph, compacted, arena_bytes, board),
        **_emulated(sources, board),
        **_diagnosis(model, outputs, graph),
    }
    report |= _latency(report, graph, board)
    report["fits"] = fits.Memory(**report["memory"]).fits
    return report


def _write_models(draft: Path, model: Int8Model, compacted: bytes, outputs: np.ndarray) -> None:
    """Writes both .tflite files and golden.npz."""
    arrays = {"inputs": model.images, "outputs": outputs, "labels": model.labels}
    known = {name: array for name, array in arrays.items() if array is not None}
    (draft / MODEL_FILE).write_bytes(model.content)
    (draft / COMPACT_FILE).write_bytes(compacted)
    np.savez_compressed(draft / GOLDEN_FILE, **known)  # type: ignore[arg-type]  # numpy's other keyword is a bool


def _emit(draft: Path, model: Int8Model, compacted: bytes, outputs: np.ndarray, arena_bytes: int, board: Board) -> Path:
    """Writes draft/firmware for the compact model, and returns its path."""
    golden, (low, high) = _golden(outputs, model.labels), model.input_range
    return firmware.emit(
        draft,
        board,
        model=compacted,
        name=model.name,
        arena_bytes=arena_bytes,
        labels=model.classes,
        golden_input=model.images[golden],
        golden_output=outputs[golden],
        pixels=carray.pixel_values(flatbuffer.read(compacted).inputs[0], (high - low) / 255, low),
    )


def _input(model: Int8Model, graph: flatbuffer.Summary) -> dict[str, Any]:
    low, high = model.input_range
    shape = list(graph.inputs[0].shape)
    return {"shape": shape, "pixel_0": low, "pixel_255": high, "notes": list(model.notes)}


def _run(content: bytes, images: np.ndarray, what: str) -> np.ndarray:
    with tqdm(total=len(images), desc=what, unit="image", leave=False, disable=None) as bar:
        found = Oracle(content).run(images, lambda done, _: bar.update(done - bar.n) and None)
    return found.reshape(len(images), -1)  # MCUNet's files give (1, 1, 1, classes)


def _golden(outputs: np.ndarray, labels: np.ndarray | None) -> int:
    """Returns the number of the golden image: the first one that is classified right, else the first."""
    right = outputs.argmax(axis=1) == labels if labels is not None else np.zeros(len(outputs), bool)
    return int(right.argmax())


def _accuracy(model: Int8Model, outputs: np.ndarray, graph: flatbuffer.Summary) -> dict[str, Any]:
    if model.labels is None:
        return {"float": None, "int8": None, "images": 0}
    before = None if model.float_scores is None else metrics.top_k(model.float_scores, model.labels, 1)
    after = metrics.top_k(dequantize(outputs, graph.outputs[0]), model.labels, 1)
    return {"float": before, "int8": after, "images": len(outputs)}


def _diagnosis(model: Int8Model, outputs: np.ndarray, graph: flatbuffer.Summary) -> dict[str, Any]:
    """Returns the section "diagnosis", if the model was measured layer by layer; classes that lost most come first."""
    if model.layers is None or model.float_scores is None or model.labels is None:
        return {}
    before = metrics.recall(model.float_scores, model.labels)
    after = metrics.recall(dequantize(outputs, graph.outputs[0]), model.labels)
    images = np.bincount(model.labels, minlength=len(model.classes))
    rows = [
        {"class": name, "images": int(count), "float": float(old), "int8": float(new)}
        for name, count, old, new in zip(model.classes, images, before, after, strict=True)
        if count
    ]
    return {"diagnosis": {"layers": model.layers, "classes": sorted(rows, key=lambda row: row["int8"] - row["float"])}}


def _parity(sources: Path, images: np.ndarray, outputs: np.ndarray, count: int) -> dict[str, int]:
    """Runs the compact model as it stands in the C array, read back from the file the compiler will see.

    Equal outputs prove both that it computes what model.tflite does and that it reaches the compiler unharmed.
    """
    count = min(count or len(images), len(images))
    content = carray.read_model_data(sources / "model" / "model_data.cc")
    found = _run(content, images[:count], "parity of the C array")
    different = (found != outputs[:count]).reshape(count, -1).any(axis=1)
    return {"images": count, "different": int(different.sum())}


def _memory(sources: Path, graph: Any, content: bytes, arena_bytes: int, board: Board) -> dict[str, Any]:
    """Returns the sections "memory" and "sizes": linked if TFLM and the compiler are there, else estimated."""
    sizes = firmware.estimate(graph, len(content), arena_bytes)
    if not firmware.lacking() and fits.on_board(sizes, board).fits:
        sizes = firmware.link(sources, board, firmware.tflm_dir())
    text = f"{sizes.model_bytes:,} model, {sizes.runtime_bytes:,} runtime, {sizes.firmware_bytes:,} firmware; "
    return {
        "memory": fits.on_board(sizes, board).report(),
        "sizes": text + ("linked" if sizes.measured else "runtime estimated, set TFLM_DIR to link it"),
    }


def _latency(report: dict[str, Any], graph: flatbuffer.Summary, board: Board) -> dict[str, Any]:
    """Returns the predicted latency, from the emulator's instructions where it ran, else from estimated ones."""
    found = latency.predict(graph, board, report.get("emulated", {}).get("instructions"))
    return found.report() if found else latency.unknown(board)


def _emulated(sources: Path, board: Board) -> dict[str, Any]:
    """Returns the section "emulated": the firmware run in QEMU, on the core of `board`.

    Empty if TFLM, the compiler or the emulator is not there.
    """
    twin = boards.emulated_twin(board)
    if twin is None or firmware.lacking(emulator=True):
        return {}
    printed = firmware.emulate(sources, twin, firmware.tflm_dir())
    return {
        "emulated": {
            "board": twin.name,
            "golden": "equal" if printed.get("golden_equal") else "different",
            "instructions": printed.get("inference", {}).get("median", 0),
            "arena_used_bytes": printed.get("arena_used_bytes", 0),
            "failed": printed["failed"],
        }
    }
