"""`tinytrain bench` of an export for a CPU: its answers on this machine, then its speed for each use of the cores."""

import os
from typing import Any

import numpy as np

from tinytrain import machine
from tinytrain.benching.cpu import timing
from tinytrain.deploy.cpu import compare, runtimes
from tinytrain.deploy.cpu.exported import FLOAT, INT8, KINDS, CpuExport, as_input
from tinytrain.deploy.cpu.session import LATENCY, MODES, Session

COMPARED = {FLOAT: "the export", INT8: "the export"}


def measure(exported: CpuExport, window_s: float) -> dict[str, Any]:
    """Returns bench.json of an export: what its models answer here, and how fast they are.

    Args:
        exported: the export.
        window_s: how long a window is, in seconds.
    """
    module = runtimes.load(exported.runtime)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    sessions = {(kind, mode): module.load(exported.model(kind), mode) for kind in KINDS for mode in MODES}
    inputs = {kind: as_input(kind, exported.inputs) for kind in KINDS}
    answers = {kind: _answers(sessions[kind, LATENCY], inputs[kind]) for kind in KINDS}
    comparisons = {
        FLOAT: compare.of_float(answers[FLOAT], exported.outputs[FLOAT]),
        INT8: compare.of_int8(answers[INT8], exported.outputs[INT8]),
    }
    images = {(kind, mode): inputs[kind][:1] for kind, mode in sessions}
    timings = timing.measure(sessions, images, seconds=window_s)
    return {
        "runtime": exported.runtime,
        "runtime_version": module.release(),
        "processor": machine.processor(),
        "cores": machine.cores(),
        "load_average": load,
        "windows": timing.WINDOWS,
        "window_seconds": window_s,
        "answers": comparisons,
        "wrong": compare.wrong(comparisons, COMPARED),
        "models": {kind: {mode: timings[kind, mode].report() for mode in MODES} for kind in KINDS},
    }


def _answers(session: Session, images: np.ndarray) -> list[np.ndarray]:
    rows = [session.infer(image[None]) for image in images]
    return [np.concatenate(each) for each in zip(*rows, strict=True)]
