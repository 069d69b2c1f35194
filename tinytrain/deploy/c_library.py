"""What `tinytrain export --target library` writes of the model: C for firmware/library, beside the network itself.

tinytrain_model.h has the numbers that a program sees, model/sizes.h those of the library, model/model.c labels, tables
and, of a detector, how boxes follow from the outputs; model/golden.c the input that the library tests itself with.
"""

import zlib
from pathlib import Path

import numpy as np

from tinytrain import distribution
from tinytrain.deploy import c_detector
from tinytrain.deploy.c_source import Contents, is_probability
from tinytrain.deploy.c_text import NOTE, c_float, c_string, numbers
from tinytrain.deploy.decode import tables
from tinytrain.deploy.decode.boxes import BOX, ONE, rounded
from tinytrain.deploy.kernels.register import kinds
from tinytrain.errors import UserError
from tinytrain.tflite.int8_values import pixel_values
from tinytrain.tflite.model import Tensor

STATE_BYTES = 64  # State of firmware/library/src/tinytrain.c, on 64 bits as well
GRAPH_STATE_BYTES = 128  # GraphState of firmware/app/graph.h, likewise
TFLM_STATE_BYTES, TFLM_OPERATOR_BYTES = 256, 64  # its interpreter, and what its resolver holds of a kind of operator
RESIZES = {"stretch": "STRETCH", "crop": "CROP", "eval_crop": "EVAL_CROP", "pad": "PAD", "": "STRETCH"}
MOST_CLASSES = 2**16  # sums of their worth have 32 bits


def write(folder: Path, contents: Contents) -> None:
    """Writes the files into `folder`, that of a library: include/ and src/model/ are there.

    Raises UserError if the first output has more values than a result can be found among.
    """
    classes = _classes(contents)
    if classes > MOST_CLASSES:
        raise UserError(
            f"{contents.name}: a library finds the best of at most {MOST_CLASSES:,} values of the first output; "
            f"received {classes:,}"
        )
    model = folder / "src" / "model"
    (folder / "include" / "tinytrain_model.h").write_text(_public(contents), "utf-8")
    (model / "sizes.h").write_text(_sizes(contents), "utf-8")
    (model / "model.c").write_text(_model(contents), "utf-8")
    (model / "golden.c").write_text(_golden(contents), "utf-8")


def arena_bytes(contents: Contents) -> int:
    """Returns what a program has to give: TINYTRAIN_ARENA_BYTES."""
    _, width, channels = _image(contents.model.inputs[0])
    return STATE_BYTES + _network_bytes(contents) + _aligned(width * channels) + _box_bytes(contents)


def _network_bytes(contents: Contents) -> int:
    tensors = contents.plan.arena_bytes if contents.plan else contents.arena_bytes
    return _aligned(tensors) + _network_state_bytes(contents)


def _network_state_bytes(contents: Contents) -> int:
    """Returns what the engine keeps besides: GraphState of firmware/app/graph.h, or TFLM's objects."""
    return GRAPH_STATE_BYTES if contents.plan else TFLM_STATE_BYTES + TFLM_OPERATOR_BYTES * len(kinds(contents.stored))


def _box_bytes(contents: Contents) -> int:
    return _aligned(BOX.itemsize * contents.decoder.candidates) if contents.decoder else 0


def _aligned(size: int) -> int:
    return -(-size // 16) * 16


def _is_image(source: Tensor) -> bool:
    return len(source.shape) == 4 and source.shape[3] in (1, 3)


def _image(source: Tensor) -> tuple[int, int, int]:
    """Returns (height, width, channels); an input that is no image is a row of values."""
    return source.shape[1:4] if _is_image(source) else (1, int(np.prod(source.shape)), 1)  # type: ignore[return-value]


def _classes(contents: Contents) -> int:
    if contents.decoder:
        return contents.decoder.classes
    return int(np.prod(contents.model.outputs[0].shape))


def _defines(values: dict[str, object]) -> str:
    return "".join(f"#define {name} {value}\n" for name, value in values.items())


def _public(contents: Contents) -> str:
    source = contents.model.inputs[0]
    height, width, channels = _image(source)
    values = {
        "VERSION": c_string(distribution.version()),
        "MODEL": c_string(contents.name),
        "MODEL_CRC": f"0x{zlib.crc32(contents.stored.content):08x}u",
        "ARENA_BYTES": arena_bytes(contents),
        "INPUT_HEIGHT": height,
        "INPUT_WIDTH": width,
        "INPUT_CHANNELS": channels,
        "INPUT_BYTES": int(np.prod(source.shape)),
        "OUTPUTS": len(contents.model.outputs),
        "CLASSES": _classes(contents),
        "DETECTS": int(contents.decoder is not None),
    }
    return f"{NOTE}#pragma once\n\n" + _defines({f"TINYTRAIN_{name}": value for name, value in values.items()})


def _sizes(contents: Contents) -> str:
    values: dict[str, object] = {
        "MODEL_STATE_BYTES": STATE_BYTES,
        "NETWORK_BYTES": _network_bytes(contents),
        "NETWORK_STATE_BYTES": _network_state_bytes(contents),
        "MODEL_LABELS": len(contents.labels),
        "MODEL_BOX_BYTES": _box_bytes(contents),
        "MODEL_ENDS_IN_PROBABILITY": int(is_probability(contents.model)),
    }
    return f"{NOTE}#pragma once\n\n{_defines(values)}"


def _model(contents: Contents) -> str:
    source, outputs = contents.model.inputs[0], contents.model.outputs
    pixels = pixel_values(source) if contents.pixels is None else contents.pixels
    height, width, channels = (*_image(source)[:2], source.shape[-1] if _is_image(source) else 0)
    labels = "".join(f"    {c_string(label)},\n" for label in contents.labels)
    rows = "".join(
        f"    {{{int(np.prod(output.shape))}, {c_float(output.scale[0])}, {output.zero_point[0]}}},\n"
        for output in outputs
    )
    resize, bgr = RESIZES[contents.resize], int(contents.bgr)
    image = f"{{{height}, {width}, {channels}, FRAME_{resize}, {bgr}, {pixels.size // 256}, kPixels}}"
    return (
        f'{NOTE}#include "model.h"\n\n'
        f"const char *const tinytrain_model_labels[MODEL_LABELS + 1] = {{\n{labels}    0}};\n\n"
        f"const ModelOutput tinytrain_model_outputs[TINYTRAIN_OUTPUTS] = {{\n{rows}}};\n\n"
        f"static const int8_t kPixels[] = {{\n{numbers(pixels)}}};\n\n"
        f"const FrameInput tinytrain_model_input = {image};\n{_detector(contents) or _worth(contents)}"
    )


def _detector(contents: Contents) -> str:
    """Returns the decoder of a detector; "" of a classifier."""
    decoder = contents.decoder
    if decoder is None:
        return ""
    if c_detector.kind(decoder) == "AnchorDetector":
        call = f"detect(&kDetector, outputs, boxes, {decoder.candidates}, {decoder.room})"
    else:
        call = f"detect_cells(&kDetector, outputs[0], boxes, {decoder.room})"
    return (
        c_detector.definition(decoder, "static ")
        + f"\nint tinytrain_model_boxes(const int8_t *const *outputs, Box *boxes) {{\n    return {call};\n}}\n"
    )


def _worth(contents: Contents) -> str:
    """Returns the table of what a value of the first output is worth, which tinytrain_result() reads."""
    output = contents.model.outputs[0]
    scale, zero_point = float(output.scale[0]), int(output.zero_point[0])
    if is_probability(contents.model):
        real = [min(max(scale * (value - zero_point), 0.0), 1.0) for value in range(-128, 128)]
        worth = np.array([rounded(ONE * value) for value in real], np.uint16)
    else:
        worth = tables.falling_exponentials(scale)
    return f"\nconst uint16_t tinytrain_model_worth[256] = {{\n{numbers(worth)}}};\n"


def _golden(contents: Contents) -> str:
    outputs = np.concatenate([output.reshape(-1) for output in contents.golden_outputs])
    source = numbers(contents.golden_input)
    return (
        f'{NOTE}#include "model.h"\n\n'
        f"const int8_t tinytrain_model_golden_input[TINYTRAIN_INPUT_BYTES] = {{\n{source}}};\n\n"
        f"const int8_t tinytrain_model_golden_outputs[] = {{\n{numbers(outputs)}}};\n"
    )
