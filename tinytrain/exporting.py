"""`tinytrain export`: from a run, or a .tflite of anyone's, to a proven int8 model and the firmware that runs it."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from tinytrain import config as configs
from tinytrain import macs, metrics, pipeline, splits, train
from tinytrain.augment import Augmentation
from tinytrain.config import Config
from tinytrain.deploy import boards, carray, compact, firmware, fits, flatbuffer, latency, memory, qat, tflite, twin
from tinytrain.deploy.boards import Board
from tinytrain.deploy.oracle import Oracle
from tinytrain.errors import UserError
from tinytrain.evaluation import dequantize, to_int8
from tinytrain.run import Run, write_json

EMULATED_BOARD = "mps2_an500"
FINE_TUNE_SEED = 1_000_003  # added to the run's seed: other batches than in the training
GOLDEN_FILE = "golden.npz"
COMPACT_FILE = "model.compact.tflite"  # what the firmware holds


@dataclass(frozen=True)
class Int8Model:
    """An int8 model with all that its proof and its firmware need.

    images: (N, H, W, C) int8, what it is proven on; labels: (N,) or None if unknown; float_top1: of the model that it
    was made from, None for a .tflite of unknown origin.
    """

    name: str
    content: bytes
    classes: list[str]
    images: np.ndarray
    labels: np.ndarray | None
    float_top1: float | None
    macs: int


def export(
    target: Path | str, mcu: str, out: Path | str | None = None, overrides: Sequence[str] = (), data: str | None = None
) -> tuple[dict[str, Any], Path]:
    """Exports a finished run, or a .tflite file, for a board; returns (report.json, the folder written).

    Args:
        target: a run folder or MODEL.tflite.
        mcu: a board or microcontroller.
        out: the folder to write, by default RUN/export-BOARD (beside the file for a .tflite).
        overrides: KEY=VALUE words for the keys of [qat] and [export].
        data: for a .tflite, the SPEC of the images to prove it on; without one it is proven on noise.

    Raises:
        UserError: no finished run, no int8 .tflite, or a folder that already holds an export. A model that does not fit
        the board is exported all the same; the report says `"fits": false`.
    """
    target, board = Path(target), boards.load(mcu)
    from_file = target.is_file()
    folder = Path(out) if out else (target.parent if from_file else target) / f"export-{board.name}"
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise UserError(f"'{folder}' is there already: remove it, or name another folder with --out")
    if from_file:
        config = _with_overrides(Config(), overrides)
        model = _from_file(target, data)
    else:
        if data:
            raise UserError("--data goes with a .tflite; a run is exported with the data it was trained on")
        run = Run.open(target)
        config = _with_overrides(run.config(), overrides)
        run.metrics()  # refuses an unfinished run
        model = _from_run(run, config)
    return _prove_and_write(model, board, config, folder), folder


def summary(report: dict[str, Any], folder: Path) -> str:
    """Returns the report as a table to read."""
    accuracy, parity, used = report["accuracy"], report["parity"], report["memory"]
    percent = [
        f"{100 * accuracy[kind]:.2f} %" if accuracy[kind] is not None else "unknown" for kind in ("float", "int8")
    ]
    operators = ", ".join(f"{count} {name}" for name, count in report["model"]["ops"].items())
    low, high = report["latency_range_ms"]
    rows = [
        ("model", f"{report['model']['compact_bytes']:,} bytes, {report['model']['macs']:,} MACs: {operators}"),
        ("accuracy", f"float {percent[0]}, int8 {percent[1]} top-1 on {accuracy['images']:,} images"),
        ("parity", f"{parity['different']} of {parity['images']:,} outputs differ from the golden ones in TFLM"),
        (
            "RAM",
            f"{used['ram_bytes']:,} of {used['ram_limit_bytes']:,} bytes, {used['arena_bytes']:,} of them the arena",
        ),
        ("flash", f"{used['flash_bytes']:,} of {used['flash_limit_bytes']:,} bytes ({report['sizes']})"),
        ("latency", f"about {report['latency_ms']:.1f} ms ({low:.1f} to {high:.1f}), predicted"),
    ]
    if emulated := report.get("emulated"):
        text = f"golden output {emulated['golden']}, {emulated['instructions']:,} instructions an inference"
        rows.append(("emulated", f"{text} on {emulated['board']}"))
    rows.append(("fits", f"{report['board']}: {'yes' if report['fits'] else 'NO'}"))
    build = f"make -C {folder / 'firmware'} BOARD={report['board']} TFLM_DIR=…"
    return "\n".join([str(folder), *(f"  {name:9} {text}" for name, text in rows), f"  {'build':9} {build}"])


def _with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    known = configs.keys()
    for word in overrides:
        dotted = word.partition("=")[0]
        if dotted in known and not dotted.startswith(("qat.", "export.")):
            raise UserError(
                f"export cannot change {dotted}: the run is trained; it takes the keys of [qat] and [export]"
            )
    return configs.apply(config, overrides)


def _from_run(run: Run, config: Config) -> Int8Model:
    source = train.load_source(config)
    data = train.Split(source, config)
    if splits.as_names(source, data.subsets) != run.split():
        raise UserError(
            f"the images of '{config.data.spec}' are others than when '{run.folder}' was trained: train anew"
        )
    model = keras.saving.load_model(run.model_path, compile=False)
    images, labels = data.arrays("test")
    return Int8Model(
        name=config.model.name,
        content=quantize(model, config, *data.arrays("train"), classes=len(source.classes)),
        classes=source.classes,
        images=to_int8(images),
        labels=labels,
        float_top1=train.evaluate(model, images, labels)["top1"],
        macs=macs.count(model),
    )


def quantize(model: keras.Model, config: Config, images: np.ndarray, labels: np.ndarray, classes: int) -> bytes:
    """Returns the int8 .tflite of a trained `model`, fine-tuned on its training images as [qat] of `config` says.

    images (N, R, R, C) uint8 and labels (N,) are training images: calibration and fine-tuning see no others.
    """
    rebuilt = twin.rebuild(model)
    twin.check_equal(model, rebuilt)
    chosen = np.random.default_rng(config.seed).permutation(len(images))[: config.qat.calibration_images]
    calibration = pipeline.normalize(images[np.sort(chosen)]).numpy()
    batch = min(config.qat.batch, len(images))
    steps = round(config.qat.epochs * (len(images) // batch))
    if not steps:
        return tflite.convert_post_training(rebuilt, calibration)
    batches = pipeline.training_batches(
        images,
        labels,
        classes,
        batch,
        config.seed + FINE_TUNE_SEED,
        range(steps),
        Augmentation(config.augment, images.shape[1]),
    )
    smoothing = config.optim.label_smoothing
    smoothed = batches.map(lambda x, y: (x, y * (1 - smoothing) + smoothing / classes))
    with tqdm(total=steps * batch, desc="quantization-aware", unit="image", leave=False, disable=None) as bar:
        tuned = qat.fine_tune(
            rebuilt, smoothed, steps, config.qat.lr, calibration, lambda *_: bar.update(batch) and None
        )
    return tflite.convert(tuned)


def _from_file(path: Path, data: str | None) -> Int8Model:
    content = path.read_bytes()
    graph = flatbuffer.read(content, f"'{path}'")
    shape = _image_shape(graph, path)
    classes = [f"class {number}" for number in range(int(np.prod(graph.outputs[0].shape)))]
    images, labels = np.random.default_rng(0).integers(-128, 128, (16, *shape), np.int8, endpoint=False), None
    if data:
        images, labels, classes = _images_for(path, data, graph)
    return Int8Model(path.stem, content, classes, images, labels, None, latency.total_macs(graph))


def _image_shape(graph: flatbuffer.Summary, path: Path) -> tuple[int, ...]:
    """Returns (H, W, C) of the input of an int8 image classifier; refuses any other model."""
    types = [tensor.dtype for tensor in (*graph.inputs, *graph.outputs)]
    if (
        len(graph.inputs) != 1
        or len(graph.outputs) != 1
        or types != ["int8", "int8"]
        or len(graph.inputs[0].shape) != 4
    ):
        raise UserError(
            f"'{path}' has inputs and outputs of {', '.join(types)}: expected one int8 image (1, H, W, C) in and one "
            "int8 vector out; convert it with inference_input_type and inference_output_type int8"
        )
    return graph.inputs[0].shape[1:]


def _images_for(path: Path, data: str, graph: flatbuffer.Summary) -> tuple[np.ndarray, np.ndarray, list[str]]:
    from tinytrain.evaluation import test_images

    pixels, labels, classes = test_images(graph, data, "test", what=f"'{path}'")
    return carray.pixel_values(graph.inputs[0])[pixels], labels, classes


def _prove_and_write(model: Int8Model, board: Board, config: Config, folder: Path) -> dict[str, Any]:
    graph = flatbuffer.read(model.content, model.name)
    outputs = _run(model.content, model.images, "int8 model on the test images")
    compacted = compact.compact(model.content)
    arena_bytes = memory.target_arena_bytes(compacted) + config.export.arena_margin_bytes
    golden = _golden(outputs, model.labels)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (draft / "model.tflite").write_bytes(model.content)
        (draft / COMPACT_FILE).write_bytes(compacted)
        np.savez_compressed(draft / GOLDEN_FILE, inputs=model.images, outputs=outputs)
        sources = firmware.emit(
            draft,
            board,
            model=compacted,
            name=model.name,
            arena_bytes=arena_bytes,
            labels=model.classes,
            golden_input=model.images[golden],
            golden_output=outputs[golden],
        )
        report = {
            "board": board.name,
            "fits": False,
            "model": {
                "bytes": len(model.content),
                "compact_bytes": len(compacted),
                "macs": model.macs,
                "ops": graph.counts,
            },
            "accuracy": _accuracy(model, outputs, graph),
            "parity": _parity(sources, model.images, outputs, config.export.parity_images),
            **_memory(sources, graph, compacted, arena_bytes, board),
            **_emulated(sources),
        }
        report |= _latency(report, graph, board)
        report["fits"] = fits.Memory(**report["memory"]).fits
        write_json(draft / "report.json", report)
        if folder.exists():
            folder.rmdir()  # empty, as checked
        os.chmod(draft, 0o755)
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return report


def _run(content: bytes, images: np.ndarray, what: str) -> np.ndarray:
    with tqdm(total=len(images), desc=what, unit="image", leave=False, disable=None) as bar:
        return Oracle(content).run(images, lambda done, _: bar.update(done - bar.n) and None)


def _golden(outputs: np.ndarray, labels: np.ndarray | None) -> int:
    """Returns the number of the golden image: the first one that is classified right, else the first."""
    right = outputs.argmax(axis=1) == labels if labels is not None else np.zeros(len(outputs), bool)
    return int(right.argmax())


def _accuracy(model: Int8Model, outputs: np.ndarray, graph: flatbuffer.Summary) -> dict[str, Any]:
    int8 = None if model.labels is None else metrics.top_k(dequantize(outputs, graph.outputs[0]), model.labels, 1)
    return {"float": model.float_top1, "int8": int8, "images": 0 if model.labels is None else len(outputs)}


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
    """Returns the predicted latency, from counted instructions if the firmware was emulated, else from a model."""
    counted = report.get("emulated", {}).get("instructions")
    best, likely, worst = latency.milliseconds(counted or latency.instructions(graph), board)
    return {"latency_ms": round(likely, 2), "latency_range_ms": [round(best, 2), round(worst, 2)]}


def _emulated(sources: Path) -> dict[str, Any]:
    """Returns the section "emulated": the firmware run in QEMU, if TFLM, the compiler and the emulator are there."""
    if firmware.lacking(emulator=True):
        return {}
    printed = firmware.emulate(sources, boards.load(EMULATED_BOARD), firmware.tflm_dir())
    return {
        "emulated": {
            "board": EMULATED_BOARD,
            "golden": "equal" if printed.get("golden_equal") else "different",
            "instructions": printed.get("inference", {}).get("median", 0),
            "arena_used_bytes": printed.get("arena_used_bytes", 0),
            "failed": printed["failed"],
        }
    }
