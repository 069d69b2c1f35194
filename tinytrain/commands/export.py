"""`tinytrain export`: from a run, or any int8 .tflite, to a proven int8 model and the firmware that runs it."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from tinytrain import locks
from tinytrain.config.schema import Config
from tinytrain.deploy import boards, exported_model, latency, make, memory
from tinytrain.deploy.boards import Board
from tinytrain.deploy.compiled import engine, flash
from tinytrain.deploy.decode import description
from tinytrain.deploy.exported_model import REPORT_FILE
from tinytrain.deploy.kernels import choice
from tinytrain.exporting import accuracy, arena, checks, emulated, parity, proof, sizes, source, write
from tinytrain.exporting.int8_model import Int8Model
from tinytrain.files import make_folder, write_json
from tinytrain.run import Run
from tinytrain.tflite import tflite_interpreter
from tinytrain.tflite.strip import strip


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
            `quantize.error_analysis.layers`) and accuracy of each class, float and int8, worst first, on val images.

    Raises:
        UserError: no finished run, no int8 .tflite, or a folder that already holds an export. A model that does not fit
        the board is exported all the same; the report says `"fits": false`.
    """
    target, board = Path(target), boards.load(mcu)
    folder = _folder(target, board, out)
    checks.refuse_taken(folder)
    make.tflm_dir()  # refuses an incomplete one
    checks.refuse_full_disk(target, folder)
    if not target.is_file():
        Run.open(target)
    make_folder(folder.parent)
    with locks.held(folder.with_name(f".{folder.name}.lock"), f"the export '{folder}'"):
        checks.refuse_taken(folder)  # another process may have ended since
        model, config = source.load(target, overrides, data, diagnose, partial(_check_library, board))
        return _prove_and_write(model, board, config, folder, str(target)), folder


def _check_library(board: Board, config: Config) -> None:
    """Raises UserError if TFLM_DIR does not suit the board and TFLM is what runs the network for sure."""
    if engine.certain_reason(config.export, board):
        checks.refuse_other_library(board)


def _folder(target: Path, board: Board, out: Path | str | None) -> Path:
    """Returns the folder to write: `out`, as a whole path if it has no name of its own (".", ".."), or the default."""
    if not out:
        return (target.parent if target.is_file() else target) / f"export-{board.name}"
    return Path(out).resolve() if Path(out).name in ("", "..") else Path(out)


def _prove_and_write(model: Int8Model, board: Board, config: Config, folder: Path, target: str) -> dict[str, Any]:
    """Writes the models, golden.npz, firmware/ and report.json into `folder`; returns report.json."""
    tflite, stripped = model.tflite, strip(model.tflite)
    decoder, reason = write.decoder(model), choice.reason_against(config.export.kernels, board)
    chosen = engine.choose(stripped, config.export, board)
    if not chosen.plan:
        checks.refuse_other_library(board)
    outputs = parity.run(tflite.content, model.images, "int8 model on the test images")
    derived = choice.held(stripped, config.export.kernels, board)  # of a model that TFLM runs
    with write.draft(folder) as draft, ExitStack() as stack:
        contents = partial(write.contents, model, stripped, outputs, not reason, chosen.plan)
        if chosen.plan:
            arena_bytes, basis = chosen.plan.arena_bytes, memory.PLANNED
            held = contents(arena.bound(stripped, derived)[0])
        else:
            arena_bytes, basis = arena.size(stripped, derived, board, draft, contents)
            arena_bytes += config.export.arena_margin_bytes
            held = contents(arena_bytes)
        write.models(draft, model, stripped, outputs)
        sources = stack.enter_context(write.firmware(draft, config.export.target, board, held))
        validated = None
        if model.val:
            validated = parity.run(tflite.content, model.val.images, "int8 model on the val images")
        input_section = {"shape": list(tflite.inputs[0].shape), **model.pixels.report()}
        report = {
            "source": target,
            "board": board.name,
            "target": config.export.target,
            "fits": None,  # known below
            "model": {
                **exported_model.file_section(tflite.content, stripped.content),
                "firmware_bytes": flash.model_bytes(chosen.plan) if chosen.plan else len(derived.model.content),
                "macs": model.macs,
                "ops": tflite.counts,
            },
            "engine": engine.section(chosen),
            "kernels": choice.section(stripped, derived, reason),
            "task": model.task.name,
            "classes": model.classes,
            "input": input_section | {"resize": model.resize, "notes": list(model.notes)},
            "outputs": write.output_descriptions(tflite),
            "accuracy": accuracy.section(model, outputs, validated, tflite),
            "parity": parity.section(
                sources, stripped, model.images, outputs, config.export.parity_images, chosen.plan
            ),
            "tensorflow_lite": tflite_interpreter.compare(tflite, model.images, outputs, model.macs),
            **sizes.sections(sources, derived.model, arena_bytes, basis, board, decoder, chosen.plan),
            **emulated.section(sources, board, tflm=not chosen.plan),
            **accuracy.diagnosis(model, validated, tflite),
        }
        if decoder:
            report |= {"decoder": description.section(decoder), "golden_boxes": len(held.golden_boxes)}
        counted = report.get("emulated", {}).get("instructions")
        report |= latency.report(tflite.operators, board, counted, derived.kernels, chosen.estimated_instructions)
        report |= proof.section(report, tflite.operators, derived.ours, compiled=bool(chosen.plan))
        write_json(draft / REPORT_FILE, report)
    return report
