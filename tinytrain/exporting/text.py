"""What `tinytrain export` prints: the report as tables to read."""

import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from tinytrain import tables
from tinytrain.data.source import counted
from tinytrain.deploy import boards, memory, targets
from tinytrain.deploy.compiled.engine import COMPILED
from tinytrain.exporting import parity, proof
from tinytrain.exporting.accuracy import fall, quantization_change
from tinytrain.train import figures
from tinytrain.train.figures import Figures

LAYERS_SHOWN = 15
LEAST_DIFFERENCE = 0.01  # of the figure in which all classes count equally, to be shown beside the other
FITS = {True: "yes", False: "NO", None: "unknown"}
MEASURED_WITH = "export measures it if TFLM_DIR, the compiler and the emulator are there"


def summary(report: dict[str, Any], folder: Path) -> str:
    """Returns the report as a table to read."""
    used = report["memory"]
    task = report.get("task", "classify")
    measures = figures.of(task)
    label, compared = measures.main.label, comparisons(report)
    rows = [
        ("model", _model(report)),
        *[("input", note) for note in report["input"]["notes"]],
        ("accuracy", _accuracy(report["accuracy"], label)),
        *_val(report["accuracy"].get("val"), label),
        *([("accuracy", f"WARNING: {lost}")] if (lost := fall(report["accuracy"], task)) else []),
        *compared[:2],
        ("RAM", _ram(report)),
        ("flash", f"{used['flash_bytes']:,} of {used['flash_limit_bytes']:,} bytes ({report['sizes']})"),
        ("engine", engine(report)),
        *([] if report["engine"]["name"] == COMPILED else [("kernels", kernels(report["kernels"]))]),
        ("latency", _latency(report)),
    ]
    rows += compared[2:]
    verdict = f"yes: {why_proven(report)}" if report["proven"] else f"NO: {'; '.join(report['unproven'])}"
    rows.append(("proven", verdict))
    board = boards.load(report["board"])
    rows.append(("fits", f"{board.name}: {FITS[report['fits']]}"))
    if others := boards.confused_with(board):
        rows.append(
            ("board", f"{board.name}; for {' or '.join(others)}, which has other pins, export again with --mcu")
        )
    needs_tflm = report["engine"]["name"] != COMPILED
    target = report.get("target", targets.PROVEN)
    rows.append(("build", targets.build_command(target, folder, board, needs_tflm)))
    if target == targets.PROVEN and (emulated_board := boards.emulated_board(board)):
        rows.append(("emulate", f"{targets.build_command(target, folder, emulated_board, needs_tflm)} emulate"))
        rows.append(("bench", f"tinytrain bench {shlex.quote(str(folder))}  # on {emulated_board.name}"))
    lines = [str(folder), *tables.aligned([("", *row) for row in rows], ("<1", "<9", ""), between=" ")]
    return "\n".join([*lines, *(_diagnosis(report["diagnosis"], measures) if "diagnosis" in report else [])])


def _model(report: dict[str, Any]) -> str:
    model, uncounted = report["model"], ", ".join(report["arena_basis"]["unplanned_operators"])
    operators = ", ".join(f"{count} {name}" for name, count in model["ops"].items())
    left_out = f" (without those of {uncounted})" if uncounted else ""
    return f"{model['firmware_bytes']:,} bytes, {model['macs']:,} MACs{left_out}: {operators}"


def engine(report: dict[str, Any]) -> str:
    """Returns which engine runs the network, and why it is TFLM, or what is fused where the arena is fullest."""
    section = report["engine"]
    if section["name"] != COMPILED:
        return f"TensorFlow Lite Micro: {section['reason']}"
    fused = [len(step["operators"]) for step in section["steps"] if step["rows"]]
    parts = ["compiled, needs no library"]
    if fused:
        added = f"{section['added_percent']:+.1f} % instructions, estimated"
        parts.append(f"{sum(fused)} of {report['kernels']['operators']} operators fused by rows ({added})")
    peak = section["peak_step"]
    parts.append(
        f"arena fullest in step {peak} of {len(section['steps'])} ({_operators_of(section['steps'][peak - 1])})"
    )
    return "; ".join(parts)


def _operators_of(step: dict[str, Any]) -> str:
    first, last = min(step["operators"]) + 1, max(step["operators"]) + 1
    return f"operator {first}" if first == last else f"operators {first} to {last}"


def kernels(section: dict[str, Any]) -> str:
    """Returns how many operators run on kernels of ours, and which do not, by the reason."""
    if section["reason"]:
        return f"TFLM's: {section['reason']}"
    names: dict[str, Counter[str]] = {}
    for other in section["others"]:
        names.setdefault(other["reason"], Counter())[other["operator"]] += 1
    reasons = [
        ", ".join(name if count == 1 else f"{count} {name}" for name, count in counts.items()) + f" ({reason})"
        for reason, counts in names.items()
    ]
    others = f"; TFLM's: {', '.join(reasons)}" if reasons else ""
    return f"ours for {section['ours']} of {section['operators']} operators{others}"


def _ram(report: dict[str, Any]) -> str:
    used, basis = report["memory"], report["arena_basis"]
    if used["ram_bytes"] is None:
        return (
            f"unknown: how much of the arena {', '.join(basis['unplanned_operators'])} takes on the chip was never "
            f"measured, so the firmware's arena may be too small; {MEASURED_WITH}"
        )
    how = f", {basis['how']}" if basis["how"] in (memory.MEASURED, memory.PLANNED) else ""
    return f"{used['ram_bytes']:,} of {used['ram_limit_bytes']:,} bytes, {used['arena_bytes']:,} of them the arena{how}"


def comparisons(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns what was compared, by name, and what was found; an old report lacks all but the parity."""
    rows = [("parity", _parity(report["parity"], len(report.get("outputs", [None]))))]
    if "tensorflow_lite" in report:
        rows.append(("TF Lite", _tensorflow_lite(report["tensorflow_lite"])))
    if emulated := report.get("emulated"):
        rows.append(("emulated", _emulated(emulated)))
    if report.get("golden_boxes") == 0:
        rows.append(("boxes", f"WARNING: {proof.NO_GOLDEN_BOXES}"))
    return rows


def _parity(section: dict[str, Any], outputs: int) -> str:
    """Returns how many images have another output than the golden one; `outputs` is how many the model has for each."""
    different, here = f"{section['different']:,}", _run_here(section)
    if outputs == 1:
        return f"{different} of {counted(section['images'], 'output')} differ from TFLM's{here}"
    images = counted(section["images"], "image")
    return f"{different} of {images} have outputs that differ from TFLM's, {outputs} each{here}"


def _run_here(section: dict[str, Any]) -> str:
    """Returns what of a compiled network was compared besides its outputs, "" of another."""
    return (
        ""
        if section.get("of") != parity.COMPILED
        else ", including the steps of the network compiled for this computer"
    )


def _tensorflow_lite(agreement: dict[str, Any]) -> str:
    if agreement["failed"]:
        return f"not compared: {agreement['failed']}"
    verdict = "DIFFERENT" if agreement["parts"] else "agrees"
    return (
        f"{verdict}: the difference is {100 * agreement['noise']:.2g} % of the variance of the outputs, at most "
        f"{agreement['largest_steps']} of 255 steps, on {counted(agreement['images'], 'image')}"
    )


def _emulated(emulation: dict[str, Any]) -> str:
    if emulation["golden"] == "not reached":
        return f"did not run on {emulation['board']}: {emulation['failed']}"
    instructions = f"{emulation['instructions']:,} instructions an inference on {emulation['board']}"
    boxes = f", its boxes {emulation['boxes']}" if "boxes" in emulation else ""
    return f"golden output {emulation['golden']}{boxes}, {instructions}"


def why_proven(report: dict[str, Any]) -> str:
    """Returns what proves an export that is proven."""
    if "emulated" in report:
        return "the emulated core gives the golden output"
    return "the emulated core has run every operator in the form that it has here, though not this model"


def _latency(report: dict[str, Any]) -> str:
    """Returns the predicted interval first: a point alone would promise what nobody has measured."""
    basis = report["latency_basis"]
    if report["latency_ms"] is None:
        if uncounted := basis["uncounted_operators"]:
            return f"unknown: the instructions of {', '.join(uncounted)} were never counted; {MEASURED_WITH}"
        return f"unknown: there are no usable published latencies of TFLM with CMSIS-NN on a {basis['core']}"
    low, high = report["latency_range_ms"]
    digits = 0 if high >= 100 else 1
    likely = f"likely {report['latency_ms']:.{digits}f}; {basis['how']}"
    return f"{low:.{digits}f} to {high:.{digits}f} ms, predicted ({likely})"


def _accuracy(accuracy: dict[str, Any], label: str) -> str:
    if not accuracy["images"]:
        return "unknown: proven on noise; --data SPEC measures it on images"
    names = {"float": "float", "float_finetuned": "fine-tuned in float", "int8": "int8"}
    shares = [f"{name} {100 * accuracy[kind]:.2f} %" for kind, name in names.items() if accuracy.get(kind) is not None]
    of_classes, balanced = "", accuracy.get("int8_balanced")  # which an old report lacks
    if balanced is not None and abs(balanced - accuracy["int8"]) >= LEAST_DIFFERENCE:
        of_classes = f" (int8 {100 * balanced:.2f} % with all classes counted equally)"
    return f"{', '.join(shares)} {label}{of_classes} on {counted(accuracy['images'], 'image')}"


def _val(accuracy: dict[str, Any] | None, label: str) -> list[tuple[str, str]]:
    return [("val", f"{_accuracy(accuracy, label)}, for tuning qat.*")] if accuracy else []


def _diagnosis(diagnosis: dict[str, Any], measures: Figures) -> list[str]:
    """Returns the layers that add most noise and the classes that lost most, as lines."""
    layers, classes = diagnosis["layers"], diagnosis["classes"]
    width = max(len(row["layer"]) for row in layers)
    headings = ("", "layer", "operator", "own", "total", "weights", "", "range", "share")
    columns = ("<1", f"<{width}", "<16", ">6", ">6", ">7", "", ">18", ">6")
    return [
        "",
        f"signal to noise in dB on val images, worst of {len(layers)} layers first; own: the noise that the layer",
        "adds; total: all noise up to there; weights: the noise of its weights; then the range of its output, and the",
        "share of that range that 99 % of the values take",
        *tables.aligned([headings, *map(_layer_cells, layers[:LAYERS_SHOWN])], columns, between=" "),
        "a layer whose own is below about 20 dB may cost accuracy: look at it only if the line accuracy shows a loss",
        *_classes(classes, measures),
    ]


def _layer_cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        "",
        row["layer"],
        row["operator"],
        f"{row['own_db']:.1f}",
        f"{row['total_db']:.1f}",
        "" if row["weights_db"] is None else f"{row['weights_db']:.1f}",
        "",
        f"{row['low']:.3g} … {row['high']:.3g}",
        f"{100 * row['bulk_share']:.0f} %",
    )


def _classes(rows: list[dict[str, Any]], measures: Figures) -> list[str]:
    """Returns the classes as lines."""
    tuned = any(row.get("float_finetuned") is not None for row in rows)
    kinds = {"float": "float", **({"float_finetuned": "fine-tuned"} if tuned else {}), "int8": "int8"}
    cells = [("", "class", measures.counted, *kinds.values(), "by int8")]
    for row in rows:
        shares = [f"{100 * row[kind]:.1f} %" for kind in kinds]
        cells.append(
            ("", row["class"], str(row[measures.counted]), *shares, f"{100 * quantization_change(row):+.1f} %")
        )
    columns = ["<1", "<", ">6", *[">11"] * (len(kinds) + 1)]
    of_class = (
        "share of val images that are right" if measures.main.of_images else f"{measures.main.label} on val images"
    )
    heading = f"{of_class}, by class; by int8: what quantization alone changed, int8 less the column before it"
    return ["", heading, *tables.aligned(cells, columns, between=" ")]
