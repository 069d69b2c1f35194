"""`tinytrain export`: from a run, or a .tflite of anyone's, to a proven int8 model and the firmware that runs it."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tinytrain import files, locks
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.deploy import boards, c_source, firmware, fit_check, latency, make, memory, self_test, targets
from tinytrain.deploy.boards import Board
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.exported import COMPACT_FILE, GOLDEN_FILE, MODEL_FILE, REPORT_FILE, golden_outputs
from tinytrain.deploy.targets import makefile
from tinytrain.deploy.tflm import memory_planner
from tinytrain.deploy.tflm.interpreter import Oracle
from tinytrain.errors import DoesNotFit, UserError, escaped
from tinytrain.evaluation import measured
from tinytrain.exporting import accuracy, checks, int8_model, proof
from tinytrain.exporting.int8_model import Int8Model
from tinytrain.files import make_folder, write_json
from tinytrain.run import Run
from tinytrain.tflite import pixels, tflite_interpreter
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip

START_MARGINS_BYTES = (0, 512, 4096)  # a small model takes more while it is prepared than it uses in the end
AMPLE_ARENA_BYTES = 2 * 1024 * 1024  # in the emulator, which has 4 MB of RAM


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
            `deploy.diagnosis.layers`) and accuracy of each class, float and int8, worst first, on val images.

    Raises:
        UserError: no finished run, no int8 .tflite, or a folder that already holds an export. A model that does not fit
        the board is exported all the same; the report says `"fits": false`.
    """
    target, board = Path(target), boards.load(mcu)
    from_file = target.is_file()
    folder = _named(Path(out)) if out else (target.parent if from_file else target) / f"export-{board.name}"
    checks.refuse_taken(folder)
    checks.refuse_other_library(board)
    checks.refuse_full_disk(target, folder)
    if not from_file:
        Run.open(target)
    make_folder(folder.parent)
    with locks.held(folder.with_name(f".{folder.name}.lock"), f"the export '{folder}'"):
        checks.refuse_taken(folder)  # another process may have ended since
        if from_file:
            model, config = _model_of_file(target, overrides, data, diagnose)
        else:
            model, config = _model_of_run(Run.open(target), overrides, data, diagnose)
        return _prove_and_write(model, board, config, folder, str(target)), folder


def _named(folder: Path) -> Path:
    """Returns `folder`, of one without a name of its own, "." or "..", the whole path."""
    return folder.resolve() if folder.name in ("", "..") else folder


def _model_of_file(path: Path, overrides: Sequence[str], data: str | None, diagnose: bool) -> tuple[Int8Model, Config]:
    config = measured.settings(path, overrides, data, "export", ("export.",))
    if not data and (words := [word for word in overrides if word.startswith("data.")]):
        raise UserError(f"{', '.join(words)}: says how images are read; name them with --data SPEC")
    if diagnose:
        raise UserError(f"--diagnose compares with the float model, which a .tflite such as '{path}' has not")
    model = int8_model.from_file(path, config, data)
    if model.pixels.hint:
        print(escaped(f"tinytrain: '{path}': {model.pixels.hint}"), file=sys.stderr)
    return model, config


def _model_of_run(run: Run, overrides: Sequence[str], data: str | None, diagnose: bool) -> tuple[Int8Model, Config]:
    if data:
        raise UserError("--data goes with a .tflite; a run is exported with the data it was trained on")
    config = _with_overrides(run.config(), overrides)
    if not pixels.is_default(config.export):
        names = ", ".join(pixels.KEYS)
        raise UserError(f"export.{names} go with a .tflite; a run is fed with pixels as it was trained")
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
    outputs = _run(model.tflite.content, model.images, "int8 model on the test images")
    with files.folder(folder.parent) as draft, files.told(folder, "free some room, or name another folder with --out"):
        report = {"source": source} | _write(draft, model, outputs, board, config)
        write_json(draft / REPORT_FILE, report)
        if folder.exists():
            folder.rmdir()  # empty, as checked
        os.chmod(draft, 0o755)
        draft.replace(folder)
    return report


def _write(draft: Path, model: Int8Model, outputs: list[np.ndarray], board: Board, config: Config) -> dict[str, Any]:
    """Writes the models, golden.npz and firmware/ into `draft`; returns what is proven and measured of them."""
    graph, stripped = model.tflite, strip(model.tflite)
    arena_bytes, how = _arena(draft, model, stripped, outputs, board)
    arena_bytes += config.export.arena_margin_bytes
    _write_models(draft, model, stripped, outputs)
    contents = _contents(model, stripped, outputs, arena_bytes)
    validated = _run(model.tflite.content, model.val.images, "int8 model on the val images")[0] if model.val else None
    with _projects(draft, config.export.target, board, contents) as sources:
        measured_sections = {
            "parity": _parity(sources, model.images, outputs, config.export.parity_images),
            **_memory(sources, stripped, arena_bytes, board),
            **_emulated(sources, board),
        }
    report = {
        "board": board.name,
        "fits": False,
        "model": {
            "bytes": len(graph.content),
            "compact_bytes": len(stripped.content),
            "macs": model.macs,
            "ops": graph.counts,
        },
        "classes": model.classes,
        "input": _input(model, graph),
        "outputs": _outputs(graph),
        "accuracy": accuracy.section(model, outputs[0], validated, graph),
        "tensorflow_lite": tflite_interpreter.compare(graph, model.images, outputs, model.macs),
        "arena_basis": {"how": how, "unplanned_operators": memory.unplanned(graph)},
        **measured_sections,
        **accuracy.diagnosis(model, validated, graph),
    }
    report |= latency.report(graph.operators, board, report.get("emulated", {}).get("instructions"))
    report["fits"] = fit_check.Memory(**report["memory"]).fits
    if how == memory.UNKNOWN and report["fits"]:  # what was too large without the unknown part stays so
        report |= {"fits": None, "memory": report["memory"] | {"arena_bytes": None, "ram_bytes": None}}
    report |= proof.section(report, graph.operators)
    return report


def _arena(draft: Path, model: Int8Model, stripped: Model, outputs: list[np.ndarray], board: Board) -> tuple[int, str]:
    """Returns the bytes of the arena and what they are: memory.BOUND, MEASURED, or UNKNOWN where no bound is known."""
    bound_bytes = memory.target_arena_bytes(stripped)
    if not memory.unplanned(stripped):
        return bound_bytes, memory.BOUND
    twin = boards.emulated_twin(board)
    if twin is None or make.lacking(emulator=True):
        return bound_bytes, memory.UNKNOWN

    def used_bytes(arena_bytes: int) -> int:
        """Returns what is used of an arena of this size, 0 if the firmware does not start with it."""
        with tempfile.TemporaryDirectory(prefix=".arena-", dir=draft) as folder:
            sources = makefile.write(Path(folder), board, _contents(model, stripped, outputs, arena_bytes))
            return _printed(sources, twin).get("arena_used_bytes", 0)

    if most := used_bytes(AMPLE_ARENA_BYTES):
        for margin_bytes in START_MARGINS_BYTES:
            if used_bytes(arena_bytes := memory_planner.align(most) + margin_bytes):
                return arena_bytes, memory.MEASURED
    return bound_bytes, memory.UNKNOWN


def _write_models(draft: Path, model: Int8Model, stripped: Model, outputs: list[np.ndarray]) -> None:
    """Writes both .tflite files and golden.npz."""
    optional = {"labels": model.labels, "finetuned": model.finetuned_scores}
    known = {name: array for name, array in optional.items() if array is not None}
    arrays = {"inputs": model.images, **golden_outputs(outputs), **known}
    (draft / MODEL_FILE).write_bytes(model.tflite.content)
    (draft / COMPACT_FILE).write_bytes(stripped.content)
    np.savez_compressed(draft / GOLDEN_FILE, **arrays)  # type: ignore[arg-type]  # numpy's other keyword is a bool


@contextmanager
def _projects(draft: Path, target: str, board: Board, contents: Contents) -> Iterator[Path]:
    """Writes draft/firmware for `target`, and yields the Makefile project of the same contents, to prove them with."""
    project = targets.write(target, draft, board, contents)
    if target == targets.PROVEN:
        yield project
    else:
        with files.folder() as folder:
            yield makefile.write(folder, board, contents)


def _contents(model: Int8Model, stripped: Model, outputs: list[np.ndarray], arena_bytes: int) -> Contents:
    """Returns what the firmware holds of the stripped model."""
    golden = _golden(outputs[0], model.labels)
    return Contents(
        model=stripped,
        name=model.name,
        arena_bytes=arena_bytes,
        labels=model.classes,
        golden_input=model.images[golden],
        golden_outputs=[output[golden] for output in outputs],
        pixels=model.pixels.tables(stripped.inputs[0]),
        bgr=model.pixels.bgr,
    )


def _input(model: Int8Model, graph: Model) -> dict[str, Any]:
    shape = list(graph.inputs[0].shape)
    return {"shape": shape, **model.pixels.report(), "resize": model.resize, "notes": list(model.notes)}


def _outputs(graph: Model) -> list[dict[str, Any]]:
    """Returns the section "outputs": what each output is; real = scale · (int8 - zero_point)."""
    return [
        {
            "name": output.name,
            "shape": list(output.shape),
            "scale": output.scale[0],
            "zero_point": output.zero_point[0],
        }
        for output in graph.outputs
    ]


def _run(content: bytes, images: np.ndarray, what: str) -> list[np.ndarray]:
    """Returns each output of the model for all images, (N, elements) int8."""
    with tqdm(total=len(images), desc=what, unit="image", leave=False, disable=None) as bar:
        outputs = Oracle(content).run(images, lambda done, _: bar.update(done - bar.n) and None)
    return [output.reshape(len(images), -1) for output in outputs]  # MCUNet's files give (1, 1, 1, classes)


def _golden(scores: np.ndarray, labels: np.ndarray | None) -> int:
    """Returns the number of the golden image: the first one that is classified right, else the first."""
    right = scores.argmax(axis=1) == labels if labels is not None else np.zeros(len(scores), bool)
    return int(right.argmax())


def _parity(sources: Path, images: np.ndarray, outputs: list[np.ndarray], count: int) -> dict[str, int]:
    """Runs the stripped model as it stands in the C array, read back from the file the compiler will see.

    Equal outputs prove both that it computes what model.tflite does and that it reaches the compiler unharmed.
    """
    count = min(count or len(images), len(images))
    content = c_source.read_model_data(sources / "model" / "model_data.cc")
    compiled = _run(content, images[:count], "parity of the C array")
    pairs = zip(compiled, outputs, strict=True)
    different = np.any([(output != expected[:count]).any(axis=1) for output, expected in pairs], axis=0)
    return {"images": count, "different": int(different.sum())}


def _memory(sources: Path, model: Model, arena_bytes: int, board: Board) -> dict[str, Any]:
    """Returns the sections "memory" and "sizes": linked if TFLM and the compiler are there, else estimated."""
    sizes = firmware.estimate(model, arena_bytes, board)
    if not make.lacking() and fit_check.on_board(sizes, board).fits:
        sizes = firmware.link(sources, board, make.tflm_dir())
    text = f"{sizes.model_bytes:,} model, {sizes.runtime_bytes:,} runtime, {sizes.firmware_bytes:,} firmware; "
    return {
        "memory": fit_check.on_board(sizes, board).report(),
        "sizes": text + ("linked" if sizes.measured else "runtime estimated, set TFLM_DIR to link it"),
    }


def _emulated(sources: Path, board: Board) -> dict[str, Any]:
    """Returns the section "emulated": the firmware run in QEMU, on the core of `board`.

    Empty if TFLM, the compiler or the emulator is not there. A firmware that does not start there says why in "failed".
    """
    twin = boards.emulated_twin(board)
    if twin is None or make.lacking(emulator=True):
        return {}
    printed = _printed(sources, twin)
    golden = {None: proof.NOT_REACHED, True: proof.GOLDEN_EQUAL, False: proof.GOLDEN_DIFFERENT}
    return {
        "emulated": {
            "board": twin.name,
            "golden": golden[printed.get("golden_equal")],
            "different_bytes": printed.get("different_bytes", 0),
            "instructions": printed.get("inference", {}).get("median", 0),
            "arena_used_bytes": printed.get("arena_used_bytes", 0),
            "failed": printed["failed"],
        }
    }


def _printed(sources: Path, twin: Board) -> dict[str, Any]:
    """Returns what the firmware prints on the emulated board; of one that is too large for it "failed" alone."""
    try:
        return self_test.emulate(sources, twin, make.tflm_dir())
    except DoesNotFit as error:
        return {"failed": str(error)}
