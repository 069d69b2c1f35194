"""The model as C++: model_data.h, model_data.cc and model_ops.h for firmware/model, and reading the arrays back.

model_data.* hold the flatbuffer, what the firmware must know about it, and one golden input with its output;
model_ops.h registers exactly the operators the model uses (one too few is an error at run time, one too many is flash).
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinytrain.deploy.tflm import operators as tflm_ops
from tinytrain.errors import UserError
from tinytrain.tflite import model as flatbuffer
from tinytrain.tflite.int8_values import pixel_values
from tinytrain.tflite.model import Operator, Tensor

ALIGNMENT_BYTES = 16  # TFLM wants it of the model, and CMSIS-NN reads words
_BYTES_PER_LINE = 24
PROBABILITIES = ("SOFTMAX", "LOGISTIC")  # a network that ends in one of them needs no softmax
MLPERF_IDS: dict[tuple[tuple[int, ...], int], str] = {((1, 32, 32, 3), 10): "ic01", ((1, 96, 96, 3), 2): "vww01"}
_NOTE = "// Written by `tinytrain export`. Do not edit: export again.\n"


def write(
    folder: Path,
    *,
    model: bytes,
    name: str,
    arena_bytes: int,
    labels: Sequence[str],
    golden_input: np.ndarray,
    golden_output: np.ndarray,
    pixels: np.ndarray | None = None,
    bgr: bool = False,
    tables: np.ndarray | None = None,
) -> None:
    """Writes model_data.h, model_data.cc and model_ops.h into `folder`, which exists.

    Args:
        folder: where to write.
        model: the .tflite file, one int8 input and one int8 output.
        name: the model's name, as the firmware prints it.
        arena_bytes: size of the tensor arena.
        labels: class names in the order of the output; may be empty.
        golden_input: int8, as many elements as the model's input.
        golden_output: int8, what the model's output is for it.
        pixels: (256,) int8, the input value of each 8-bit pixel, or (channels, 256) in the model's order where they
            differ. Default: `pixel_values` of the model's input.
        bgr: whether the model takes the channels in the order B, G, R; pixels come as R, G, B.
        tables: (n, 256) int8, the results of the operators that are looked up; see lookup.py.

    Raises:
        UserError: the model is none (see flatbuffer.read), or has other inputs, outputs or sizes than given.
    """
    summary = flatbuffer.read(model, name)
    source, target = _only(summary.inputs, "input", name), _only(summary.outputs, "output", name)
    arrays = {
        "Model": np.frombuffer(model, np.uint8),
        "GoldenInput": _sized(golden_input, source, "golden input"),
        "GoldenOutput": _sized(golden_output, target, "golden output"),
        "PixelToInput": pixel_values(source) if pixels is None else _checked_pixels(pixels, source),
        "Tables": np.empty((0, 256), np.int8) if tables is None else tables.reshape(-1, 256),
    }
    counts = {
        "kOperatorCount": len(summary.operators),
        "kLabelCount": len(labels),
        "kTableCount": len(arrays["Tables"]),
        "kPixelTables": arrays["PixelToInput"].size // 256,
    }
    header = _header(name, len(model), arena_bytes, source, target, summary.operators, counts, bgr)
    (folder / "model_data.h").write_text(header, "utf-8")
    (folder / "model_data.cc").write_text(_source(name, labels, arrays), "utf-8")
    (folder / "model_ops.h").write_text(ops_header(tflm_ops.registrations(summary.operators)), "utf-8")


def mlperf_id(name: str, source: Tensor, target: Tensor) -> str:
    """Returns the id by which MLPerf Tiny's runner knows a model with this input and output, else `name`."""
    return MLPERF_IDS.get((tuple(source.shape), int(np.prod(target.shape))), name)


def read_model_data(path: Path) -> bytes:
    """Returns the flatbuffer out of a model_data.cc: what the compiler will see, read back."""
    return read_array(path, "Model").tobytes()


def read_array(path: Path, name: str) -> np.ndarray:
    """Returns the array `k<name>` of a model_data.cc: (n,) uint8 for "Model", int8 for the others."""
    text = path.read_text("utf-8")
    match = re.search(rf"\bk{name}\[[^\]]*\] = \{{(.*?)\}};", text, re.DOTALL)
    if match is None:
        raise UserError(f"{path} has no array k{name}; a model_data.cc of `tinytrain export` has one")
    return np.array([int(value) for value in match[1].replace("\n", " ").split(",") if value.strip()]).astype(
        np.uint8 if name == "Model" else np.int8
    )


def ops_header(kinds: dict[str, str]) -> str:
    """Returns the text of model_ops.h for `kinds`, which is what `tflm_ops.registrations` returns."""
    headers = {"own": lambda op: "app/operators_tflm.h", "int8": lambda op: op.int8_header}
    chosen = {headers[kind](tflm_ops.OPS[name]) for name, kind in kinds.items() if kind in headers}
    # The resolver's header goes first: kernels/transpose.h uses what only that one includes.
    includes = ["tensorflow/lite/micro/micro_mutable_op_resolver.h", *sorted(chosen)]
    adds = [_add(tflm_ops.OPS[name], kind) for name, kind in kinds.items()]
    return (
        f"{_NOTE}#pragma once\n\n"
        + "".join(f'#include "{header}"\n' for header in includes)
        + f"\ninline constexpr uint32_t kOperatorKinds = {max(len(kinds), 1)};\n"
        + "using ModelOpResolver = tflite::MicroMutableOpResolver<kOperatorKinds>;\n\n"
        + "inline TfLiteStatus AddModelOperators(ModelOpResolver* resolver) {\n"
        + "".join(f"  TF_LITE_ENSURE_STATUS(resolver->{add});\n" for add in adds)
        + "  return kTfLiteOk;\n}\n"
    )


def c_string(text: str) -> str:
    """Returns `text` as a C string literal of ASCII only, its UTF-8 bytes escaped in octal."""
    return '"' + "".join(_escape(byte) for byte in text.encode("utf-8")) + '"'


def _escape(byte: int) -> str:
    # Three octal digits end by themselves, unlike \x; ? is escaped since ??/ and its like are trigraphs.
    plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
    return chr(byte) if plain else f"\\{byte:03o}"


def _only(tensors: tuple[Tensor, ...], what: str, name: str) -> Tensor:
    if len(tensors) != 1 or tensors[0].dtype != "int8" or len(tensors[0].scale) != 1:
        found = ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in tensors) or "none"
        raise UserError(f"{name}: the firmware needs exactly one quantized int8 {what}; received {found}")
    return tensors[0]


def _sized(array: np.ndarray, tensor: Tensor, what: str) -> np.ndarray:
    size = int(np.prod(tensor.shape))
    if array.dtype != np.int8 or array.size != size:
        raise UserError(f"the {what} should be {size} int8 values {tensor.shape}; received {array.dtype} {array.shape}")
    return array.reshape(-1)


def _checked_pixels(pixels: np.ndarray, source: Tensor) -> np.ndarray:
    channels = source.shape[-1] if source.shape else 1
    if pixels.dtype != np.int8 or pixels.shape not in ((256,), (1, 256), (channels, 256)):
        raise UserError(f"pixels should be (256,) or ({channels}, 256) int8; received {pixels.shape} {pixels.dtype}")
    return pixels


def _float(value: float) -> str:
    return f"{float(np.float32(value))!r}f"


def _array(name: str, size: str, values: np.ndarray) -> str:
    ctype = "uint8_t" if values.dtype == np.uint8 else "int8_t"
    numbers = [str(value) for value in values.reshape(-1).tolist()]
    lines = [",".join(numbers[i : i + _BYTES_PER_LINE]) for i in range(0, len(numbers), _BYTES_PER_LINE)]
    section = '__attribute__((section(".rodata.model"))) ' if name == "Model" else ""  # link.ld.S: flash of the model
    return f"alignas({ALIGNMENT_BYTES}) {section}const {ctype} k{name}[{size}] = {{\n" + ",\n".join(lines) + "};\n"


def _header(
    name: str,
    model_bytes: int,
    arena_bytes: int,
    source: Tensor,
    target: Tensor,
    operators: Sequence[Operator],
    counts: dict[str, int],
    bgr: bool,
) -> str:
    numbers = "".join(f"inline constexpr uint32_t {key} = {count};\n" for key, count in counts.items())
    shape = ", ".join(map(str, source.shape))
    is_probability = bool(operators) and operators[-1].name in PROBABILITIES
    return f"""{_NOTE}// The model {c_string(name)[1:-1]}.
#pragma once

#include <cstdint>

inline constexpr uint32_t kModelBytes = {model_bytes};
inline constexpr uint32_t kArenaBytes = {arena_bytes};
inline constexpr uint32_t kInputBytes = {int(np.prod(source.shape))};
inline constexpr uint32_t kOutputBytes = {int(np.prod(target.shape))};
{numbers}inline constexpr bool kPixelsAreBgr = {"true" if bgr else "false"};  // a host sends R, G, B
inline constexpr int32_t kInputShape[] = {{{shape}}};  // batch, height, width, channels

// real = scale * (int8 - zero point)
inline constexpr float kInputScale = {_float(source.scale[0])};
inline constexpr int32_t kInputZeroPoint = {source.zero_point[0]};
inline constexpr float kOutputScale = {_float(target.scale[0])};
inline constexpr int32_t kOutputZeroPoint = {target.zero_point[0]};
inline constexpr bool kOutputIsProbability = {"true" if is_probability else "false"};

extern const char kModelName[];
inline constexpr char kModelId[] = {c_string(mlperf_id(name, source, target))};  // of MLPerf Tiny, else the name
alignas({ALIGNMENT_BYTES}) extern const uint8_t kModel[kModelBytes];
extern const char* const kLabels[kLabelCount + 1];  // UTF-8, in the order of the output; nullptr ends it
alignas({ALIGNMENT_BYTES}) extern const int8_t kPixelToInput[256 * kPixelTables];  // of 8-bit pixels
alignas({ALIGNMENT_BYTES}) extern const int8_t kGoldenInput[kInputBytes];
alignas({ALIGNMENT_BYTES}) extern const int8_t kGoldenOutput[kOutputBytes];  // what the host computed for kGoldenInput
extern const int8_t kTables[256 * kTableCount + 1];  // 256 of an operator each: what it gives for -128 to 127
"""


def _source(name: str, labels: Sequence[str], arrays: dict[str, np.ndarray]) -> str:
    sizes = {
        "Model": "kModelBytes",
        "GoldenInput": "kInputBytes",
        "GoldenOutput": "kOutputBytes",
        "PixelToInput": "256 * kPixelTables",
        "Tables": "256 * kTableCount + 1",
    }
    texts = "".join(f"    {c_string(label)},\n" for label in labels)
    return (
        f'{_NOTE}#include "model/model_data.h"\n\nconst char kModelName[] = {c_string(name)};\n\n'
        f"const char* const kLabels[kLabelCount + 1] = {{\n{texts}    nullptr}};\n\n"
        + "\n".join(_array(key, sizes[key], values) for key, values in arrays.items())
    )


def _add(op: tflm_ops.Op, kind: str) -> str:
    registrations = {"own": f"operators::{op.own}()", "int8": f"tflite::{op.int8_register}()", "general": ""}
    return f"{op.method}({registrations[kind]})"
