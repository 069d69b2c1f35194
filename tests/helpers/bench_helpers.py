"""What the tests of `tinytrain bench` share: an export whose host's outputs are those of the stub engine."""

import json

import numpy as np
from firmware_helpers import emit, stub_output
from int8_models import FILTERS, INPUT_SHAPE, conv_model

from tinytrain.deploy.exported import COMPACT_FILE, GOLDEN_FILE

OUTPUTS = 16 * FILTERS
IMAGES = 12


def exported(folder, count=IMAGES, labels=True, **changes):
    """Writes what `tinytrain export` would of the model of one CONV_2D, and returns its folder.

    `changes` are arguments of firmware.emit.
    """
    emit(folder, **changes)
    (folder / COMPACT_FILE).write_bytes(conv_model())
    inputs = np.random.default_rng(2).integers(-128, 128, (count, *INPUT_SHAPE[1:])).astype(np.int8)
    outputs = np.stack([stub_output(image, OUTPUTS) for image in inputs])
    arrays = {"labels": outputs.argmax(axis=1)} if labels else {}
    np.savez_compressed(folder / GOLDEN_FILE, inputs=inputs, outputs=outputs, **arrays)
    (folder / "report.json").write_text(json.dumps({"board": "stm32f746g_disco", "latency_ms": 1.5}))
    return folder
