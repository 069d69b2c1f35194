"""What is proven of an export, and what is wrong: the sections of report.json in words.

Proven is what TFLM computes alike from the C array, TensorFlow Lite alike but for rounding, and the emulated core
alike: the golden image of this model, or where nothing can be emulated here, each of its operators in the
form that the model has it (deploy/tflm/verified_forms.py). Of kernels of ours, the parity of the C array proves what
the export prepared for them, the tests of the project what they compute, on this machine and on the emulated cores.
"""

from collections.abc import Collection, Sequence
from typing import Any

from tinytrain.deploy import make
from tinytrain.deploy.tflm import verified_forms
from tinytrain.exporting import parity
from tinytrain.tflite.model import Operator

GOLDEN_EQUAL, GOLDEN_DIFFERENT, NOT_REACHED = "equal", "different", "not reached"
NO_GOLDEN_BOXES = (
    "the int8 model finds no box in any of the images that it is proven on, so the self test of the firmware only "
    "proves an empty list"
)


def section(
    report: dict[str, Any], operators: Sequence[Operator], ours: Collection[int] = (), compiled: bool = False
) -> dict[str, Any]:
    """Returns {"proven": bool, "unproven": [a reason, …]} for a report with the sections of the comparisons.

    `ours` are the numbers of the operators, from 0, that kernels of ours run in TFLM. A compiled network runs the same
    ones, and other kernels in C without instructions of the core, which this computer runs alike.
    """
    reasons = [*wrong(report), *_not_compared(report["tensorflow_lite"])]
    emulated = report.get("emulated")
    if emulated is None and compiled:
        is_run = report["parity"].get("of") == parity.COMPILED
        reasons += [] if is_run else ["the network as C was never run: neither here (gcc) nor in the emulator"]
        reasons += _never_run([operators[number] for number in sorted(ours)], range(len(ours)), tflm=False)
    elif emulated is None:
        reasons += _never_run(operators, ours)
    elif emulated["failed"] and emulated["golden"] == NOT_REACHED and not report["fits"]:
        reasons.append(_not_run(emulated))
    return {"proven": not reasons, "unproven": reasons}


def wrong(report: dict[str, Any]) -> list[str]:
    """Returns what was found to be wrong, a sentence each: what ends `tinytrain export` with status 1."""
    parity_section, lite, emulated = report["parity"], report["tensorflow_lite"], report.get("emulated")
    faults = []
    if parity_section["different"]:
        what = parity_section.get("of", parity.ARRAY)
        number, images = parity_section["different"], parity_section["images"]
        faults.append(f"{number} of {images:,} outputs of the {what} differ from TFLM's")
    if lite["parts"]:
        reason = f": {lite['reason']}" if lite["reason"] else ""
        faults.append(
            f"TFLM and TensorFlow Lite differ on {lite['images']} images by up to {lite['largest_steps']} int8 steps, "
            f"{lite['noise']:.2g} times the variance of the outputs{reason}"
        )
    if emulated and emulated["golden"] == GOLDEN_DIFFERENT:
        faults.append(
            f"the golden output is different on the emulated {emulated['board']} ({emulated['different_bytes']} values)"
        )
    elif emulated and emulated.get("boxes") == GOLDEN_DIFFERENT:
        faults.append(f"the boxes of the golden image are different on the emulated {emulated['board']}")
    elif emulated and emulated["failed"] and report["fits"]:
        faults.append(_not_run(emulated))
    return faults


def _not_run(emulated: dict[str, Any]) -> str:
    return f"the firmware does not run on the emulated {emulated['board']}: {emulated['failed']}"


def _not_compared(lite: dict[str, Any]) -> list[str]:
    return [f"TensorFlow Lite cannot run it to compare: {lite['failed']}"] if lite["failed"] else []


def _never_run(operators: Sequence[Operator], ours: Collection[int], tflm: bool = True) -> list[str]:
    """Returns the operators whose form is not known to be right on the emulated core."""
    unverified = verified_forms.unverified(operators, ours)
    known = [form for form, verdict in unverified.items() if verdict]
    never = [form for form, verdict in unverified.items() if not verdict]
    reasons = [f"known to be wrong on the emulated core: {', '.join(known)}"] if known else []
    if never:
        how = make.lacking(emulator=True, tflm=tflm)
        reasons.append(
            f"never run on the emulated core in this form: {', '.join(never)}" + (f" ({how})" if how else "")
        )
    return reasons
