"""What the tests of `tinytrain bench` share: an export whose host's outputs are those of the stub engine."""

import json
import zlib

import numpy as np
from firmware_helpers import emit, stub_outputs
from int8_models import FILTERS, conv_model

from tinytrain.deploy.decode import description
from tinytrain.deploy.exported import GOLDEN_FILE, golden_outputs
from tinytrain.deploy.exported_model import COMPACT_FILE
from tinytrain.tflite.model import Model

OUTPUTS = 16 * FILTERS
IMAGES = 12


def exported(folder, count=IMAGES, labels=True, model=None, annotations=None, **changes):
    """Writes what `tinytrain export` would of `model`, by default of one CONV_2D, and returns its folder.

    `changes` are fields of Contents; with a decoder it is a detector's, and `annotations` are those of its images.
    """
    model = model or conv_model()
    graph = Model.parse(model)
    shape = graph.inputs[0].shape
    inputs = np.random.default_rng(2).integers(-128, 128, (count, *shape[1:])).astype(np.int8)
    answers = [stub_outputs(image, graph.outputs) for image in inputs]
    golden = {"golden_input": inputs[0], "golden_outputs": answers[0]}
    emit(folder, **golden | {"model": model} | changes)
    (folder / COMPACT_FILE).write_bytes(model)
    outputs = [np.stack(output) for output in zip(*answers, strict=True)]
    sizes = {"compact_bytes": len(model), "compact_crc32": f"{zlib.crc32(model):08x}"}
    report = {"board": "stm32f746g_disco", "latency_ms": 1.5, "model": sizes}
    if decoder := changes.get("decoder"):
        report |= {"task": "detect", "decoder": description.section(decoder), "classes": ["cat", "dog"]}
        arrays = {"annotations": annotations} if annotations is not None else {}
    else:
        arrays = {"labels": outputs[0].argmax(axis=1)} if labels else {}
    np.savez_compressed(folder / GOLDEN_FILE, inputs=inputs, **golden_outputs(outputs), **arrays)
    (folder / "report.json").write_text(json.dumps(report))
    return folder
