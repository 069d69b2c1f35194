"""`tinytrain export --cpu`: from a run to a float and an int8 model for a runtime on a CPU, proven against Keras."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinytrain import files, locks, machine
from tinytrain.deploy.cpu import compare, runtimes
from tinytrain.deploy.cpu.exported import FLOAT, GOLDEN_FILE, INT8, as_input, files_section, model_name
from tinytrain.deploy.exported_model import REPORT_FILE
from tinytrain.errors import UserError
from tinytrain.exporting import checks, source, write
from tinytrain.exporting.cpu import answers, text
from tinytrain.exporting.int8_model import Int8Model
from tinytrain.files import make_folder, write_json
from tinytrain.nn import pretrained
from tinytrain.quantize import convert
from tinytrain.run import Run


def export_cpu(
    target: PathLike[str] | str, runtime: str, out: Path | str | None = None, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], Path]:
    """Exports a finished run for a runtime on a CPU; returns (report.json, the folder written).

    The float model is the trained network, the int8 model the one that an export for a microcontroller would have.

    Args:
        target: a run or its folder.
        runtime: a name in `deploy.cpu.runtimes.MODULES`.
        out: the folder to write, by default RUN/export-cpu-RUNTIME.
        overrides: KEY=VALUE words for the keys of [qat].

    Raises:
        UserError: the runtime is not installed, no finished run, or a folder that already holds an export. A model that
        answers wrong is exported all the same; the report says `"proven": false`.
    """
    module, target = runtimes.load(runtime), Path(target)
    if target.is_file():
        raise UserError(f"--cpu needs a RUN, because it also exports the float model; '{target}' is a file")
    run = Run.open(target)
    folder = Path(out) if out else target / f"export-cpu-{runtime}"
    checks.refuse_taken(folder)
    if other := [word for word in overrides if word.startswith("export.")]:
        raise UserError(f"{', '.join(other)}: applies only to firmware; --cpu takes the keys of [qat]")
    run.metrics()  # refuses an unfinished run
    files.require_space(folder, 3 * run.model_path.stat().st_size, "the export", "name another folder with --out")
    make_folder(folder.parent)
    with locks.held(folder.with_name(f".{folder.name}.lock"), f"the export '{folder}'"):
        checks.refuse_taken(folder)  # another process may have ended since
        model, _ = source.load(target, overrides, None, False, lambda _: None)
        return _prove_and_write(model, run, module, runtime, folder), folder


def _prove_and_write(model: Int8Model, run: Run, module: ModuleType, runtime: str, folder: Path) -> dict[str, Any]:
    """Writes both models, golden.npz and report.json into `folder`; returns report.json."""
    network = pretrained.load_trained(run)
    contents = {FLOAT: convert.convert_float(network), INT8: model.tflite.content}
    with write.draft(folder) as draft:
        written = {
            kind: module.write(content, draft / model_name(kind, module.SUFFIX)) for kind, content in contents.items()
        }
        outputs = {
            kind: answers.run(module, paths[0], as_input(kind, model.images), f"{kind} model on the test images")
            for kind, paths in written.items()
        }
        answered = answers.Answers(model, network, outputs)
        proof = answered.proof()
        wrong = compare.wrong(proof, text.COMPARED)
        report = {
            "source": str(run.folder),
            "runtime": runtime,
            "runtime_version": module.release(),
            "processor": machine.processor(),
            "model": {
                "params": run.metrics()["params"],
                "macs": model.macs,
                **{kind: files_section(paths) for kind, paths in written.items()},
            },
            "task": model.task.name,
            "classes": model.classes,
            "input": {"shape": list(model.tflite.inputs[0].shape), **model.pixels.report(), "resize": model.resize},
            "outputs": write.output_descriptions(model.tflite),
            "accuracy": answered.accuracy(),
            "proof": proof,
            "proven": not wrong,
            "unproven": wrong,
        }
        np.savez_compressed(draft / GOLDEN_FILE, **answered.golden())  # type: ignore[arg-type]  # as in `write.models`
        write_json(draft / REPORT_FILE, report)
    return report
