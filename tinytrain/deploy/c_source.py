"""The model as C++: model_data.h, model_data.cc and model_ops.h for firmware/model, and reading the arrays back.

model_data.* hold the flatbuffer, what the firmware must know about it, and one golden input with its outputs, and for a
detector how boxes follow from them (c_detector.py);
model_ops.h registers exactly the operators the model uses (one too few is an error at run time, one too many is flash).
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinytrain.deploy import c_detector
from tinytrain.deploy.c_text import NOTE, c_float, c_string, numbers
from tinytrain.deploy.compiled import c_graph, flash
from tinytrain.deploy.compiled.plan import Plan
from tinytrain.deploy.decode.boxes import Decoder
from tinytrain.deploy.kernels import register
from tinytrain.deploy.kernels.derive import PREFIX, derive
from tinytrain.deploy.kernels.register import KERNEL
from tinytrain.deploy.tflm import lookup_tables, supported
from tinytrain.deploy.tflm import operators as tflm_ops
from tinytrain.errors import UserError
from tinytrain.tflite.int8_values import pixel_values
from tinytrain.tflite.model import Model, Tensor

ALIGNMENT_BYTES = 16  # TFLM requires it of the model, and CMSIS-NN reads words
PROBABILITIES = ("SOFTMAX", "LOGISTIC")  # a network that ends in one of them needs no softmax
MLPERF_IDS: dict[tuple[tuple[int, ...], int], str] = {((1, 32, 32, 3), 10): "ic01", ((1, 96, 96, 3), 2): "vww01"}
GRAPH_FILE = "model_graph.c"


@dataclass(frozen=True)
class Contents:
    """What firmware holds of an export.

    Args:
        model: of one int8 input and any number of int8 outputs.
        name: the model's name, as the firmware prints it.
        arena_bytes: size of the tensor arena.
        labels: class names in the order of the first output, or of a detector's classes; may be empty.
        golden_input: int8, as many elements as the model's input.
        golden_outputs: int8, what each of the model's outputs is for it, in the order of the model.
        pixels: (256,) int8, the input value of each 8-bit pixel, or (channels, 256) in the model's order where they
            differ. Default: `pixel_values` of the model's input.
        bgr: whether the model takes the channels in the order B, G, R; pixels come as R, G, B.
        decoder: of a detector, how boxes follow from its outputs.
        own_kernels: whether the kernels of firmware/kernels run the operators that they can.
        plan: of the compiled engine, None if TFLM runs the model. Its arena takes the place of `arena_bytes`.
        resize: how images were brought to the size of the input (data.resize); "" if unknown.
    """

    model: Model
    name: str
    arena_bytes: int
    labels: Sequence[str]
    golden_input: np.ndarray
    golden_outputs: Sequence[np.ndarray]
    pixels: np.ndarray | None = None
    bgr: bool = False
    decoder: Decoder | None = None
    own_kernels: bool = False
    plan: Plan | None = None
    resize: str = ""

    @property
    def stored(self) -> Model:
        """The model that TFLM would run on the board, by whose CRC-32 a host knows it."""
        return derive(self.model).model if self.own_kernels else self.model

    @property
    def golden_boxes(self) -> np.ndarray:
        """The boxes (D,) BOX that the golden outputs of a detector decode to."""
        if self.decoder is None:
            raise AssertionError("only a detector has boxes")
        return self.decoder.decode(self.golden_outputs)


def write(folder: Path, contents: Contents) -> None:
    """Writes model_data.h, model_data.cc and model_ops.h into `folder`, which exists, and with a plan model_graph.c.

    Raises:
        UserError: TFLM cannot run the model (`supported.check`), or it has other inputs, outputs or sizes than given or
            than the decoder expects.
    """
    model, name = contents.model, contents.name
    supported.check(model, name)
    stored = contents.stored
    source, outputs = _input(model.inputs, name), _outputs(model.outputs, name)
    pixels = pixel_values(source) if contents.pixels is None else _checked_pixels(contents.pixels, source)
    arrays = {
        "Model": np.frombuffer(stored.content, np.uint8),
        "GoldenInput": _sized(contents.golden_input, source, "golden input"),
        "GoldenOutputs": _golden_outputs(contents.golden_outputs, outputs),
        "PixelToInput": pixels,
        "Tables": lookup_tables.tables(model).reshape(-1, 256),
    }
    counts = {
        "kModelBytes": len(stored.content),
        "kModelFlashBytes": flash.model_bytes(contents.plan) if contents.plan else len(stored.content),
        "kModelCrc": zlib.crc32(stored.content),
        "kInputBytes": arrays["GoldenInput"].size,
        "kOutputBytes": arrays["GoldenOutputs"].size,
        "kOutputCount": len(outputs),
        "kLabelCount": len(contents.labels),
        "kTableCount": len(arrays["Tables"]),
        "kPixelTables": pixels.size // 256,
    }
    of_engine = _of_engine(contents)
    header = _header(name, source, outputs, counts, of_engine, is_probability(model), contents.bgr)
    data = _source(name, contents.labels, arrays)
    if contents.decoder:
        _refuse_other_scales(contents.decoder, outputs)
        boxes = contents.golden_boxes
        header += c_detector.header(contents.decoder, boxes)
        data += c_detector.source(contents.decoder, boxes)
    (folder / "model_data.h").write_text(header, "utf-8")
    (folder / "model_data.cc").write_text(data, "utf-8")
    (folder / "model_ops.h").write_text(ops_header(register.kinds(stored)), "utf-8")
    if contents.plan:
        (folder / GRAPH_FILE).write_text(c_graph.source(contents.plan), "utf-8")


def is_probability(model: Model) -> bool:
    """Returns whether the first output comes out of a softmax or a sigmoid, so that it needs none."""
    makers = [operator for operator in model.operators if model.outputs[0] in operator.outputs]
    return bool(makers) and makers[-1].name in PROBABILITIES


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
    """Returns the text of model_ops.h for `kinds`, which is what `register.kinds` returns."""
    headers = {"own": lambda name: "app/operators_tflm.h", KERNEL: lambda name: "app/kernels_tflm.h"}
    headers["int8"] = lambda name: tflm_ops.OPS[name].int8_header
    chosen = {headers[kind](name) for name, kind in kinds.items() if kind in headers}
    # The resolver's header goes first: kernels/transpose.h uses what only that one includes.
    includes = ["tensorflow/lite/micro/micro_mutable_op_resolver.h", *sorted(chosen)]
    adds = [_add(name, kind) for name, kind in kinds.items()]
    fault = "kernels::LibraryFault()" if KERNEL in kinds.values() else '""'
    return (
        f"{NOTE}#pragma once\n\n"
        + "".join(f'#include "{header}"\n' for header in includes)
        + f"\ninline constexpr uint32_t kOperatorKinds = {max(len(kinds), 1)};\n"
        + "using ModelOpResolver = tflite::MicroMutableOpResolver<kOperatorKinds>;\n\n"
        + "// Why the library does not suit these operators, empty if it does.\n"
        + f"inline const char* LibraryFault() {{ return {fault}; }}\n\n"
        + "inline TfLiteStatus AddModelOperators(ModelOpResolver* resolver) {\n"
        + "".join(f"  {add}\n" for add in adds)
        + "  return kTfLiteOk;\n}\n"
    )


def _input(tensors: tuple[Tensor, ...], name: str) -> Tensor:
    if len(tensors) != 1 or not _is_quantized(tensors[0]):
        raise UserError(f"{name}: the firmware needs exactly one quantized int8 input; received {_listed(tensors)}")
    return tensors[0]


def _outputs(tensors: tuple[Tensor, ...], name: str) -> tuple[Tensor, ...]:
    if not tensors or not all(map(_is_quantized, tensors)):
        raise UserError(f"{name}: the firmware needs quantized int8 outputs; received {_listed(tensors)}")
    return tensors


def _is_quantized(tensor: Tensor) -> bool:
    return tensor.dtype == "int8" and len(tensor.scale) == 1


def _listed(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in tensors) or "none"


def _golden_outputs(arrays: Sequence[np.ndarray], tensors: tuple[Tensor, ...]) -> np.ndarray:
    """Returns all golden outputs, one after the other."""
    if len(arrays) != len(tensors):
        raise UserError(f"the model has {len(tensors)} outputs; received {len(arrays)} golden outputs")
    return np.concatenate(
        [_sized(array, tensor, "golden output") for array, tensor in zip(arrays, tensors, strict=True)]
    )


def _refuse_other_scales(decoder: Decoder, tensors: tuple[Tensor, ...]) -> None:
    expected = [(grid.scale, grid.zero_point) for grid in decoder.grids]
    received = [(tensor.scale[0], tensor.zero_point[0]) for tensor in tensors]
    if received != expected:
        raise UserError(f"the decoder expects outputs of (scale, zero point) {expected}; the model has {received}")


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


def _array(name: str, size: str, values: np.ndarray) -> str:
    ctype = "uint8_t" if values.dtype == np.uint8 else "int8_t"
    section = '__attribute__((section(".rodata.model"))) ' if name == "Model" else ""  # link.ld.S: flash of the model
    return f"alignas({ALIGNMENT_BYTES}) {section}const {ctype} k{name}[{size}] = {{\n{numbers(values)}}};\n"


def _of_engine(contents: Contents) -> str:
    """Returns the C++ of what depends on the engine: bytes of its arena, and how many operators it runs."""
    interpreted = _constants({"kArenaBytes": contents.arena_bytes, "kOperatorCount": len(contents.model.operators)})
    if contents.plan is None:
        return interpreted
    compiled = {"kArenaBytes": contents.plan.arena_bytes, "kOperatorCount": len(contents.plan.steps)}
    return f"#ifdef ENGINE_compiled\n{_constants(compiled)}#else\n{interpreted}#endif\n"


def _constants(counts: dict[str, int]) -> str:
    return "".join(f"inline constexpr uint32_t {key} = {count};\n" for key, count in counts.items())


def _header(
    name: str,
    source: Tensor,
    outputs: Sequence[Tensor],
    counts: dict[str, int],
    of_engine: str,
    is_probability: bool,
    bgr: bool,
) -> str:
    shape = ", ".join(map(str, source.shape))
    pixel_order = "true" if bgr else "false"
    model_id, softmax = mlperf_id(name, source, outputs[0]), "true" if is_probability else "false"
    return f"""{NOTE}// The model {c_string(name)[1:-1]}.
#pragma once

#include <cstdint>

{_constants(counts)}{of_engine}inline constexpr bool kPixelsAreBgr = {pixel_order};  // a host sends R, G, B
inline constexpr int32_t kInputShape[] = {{{shape}}};  // batch, height, width, channels

// real = scale * (int8 - zero point)
inline constexpr float kInputScale = {c_float(source.scale[0])};
inline constexpr int32_t kInputZeroPoint = {source.zero_point[0]};

{_output_table(outputs)}inline constexpr bool kOutputIsProbability = {softmax};  // of the first one

extern const char kModelName[];
inline constexpr char kModelId[] = {c_string(model_id)};  // of MLPerf Tiny, else the name
alignas({ALIGNMENT_BYTES}) extern const uint8_t kModel[kModelBytes];
extern const char* const kLabels[kLabelCount + 1];  // UTF-8, in the order of the first output; nullptr ends it
alignas({ALIGNMENT_BYTES}) extern const int8_t kPixelToInput[256 * kPixelTables];  // of 8-bit pixels
alignas({ALIGNMENT_BYTES}) extern const int8_t kGoldenInput[kInputBytes];
alignas({ALIGNMENT_BYTES}) extern const int8_t kGoldenOutputs[kOutputBytes];  // what the host computed for kGoldenInput
extern const int8_t kTables[256 * kTableCount + 1];  // 256 of an operator each: what it gives for -128 to 127
"""


def _output_table(outputs: Sequence[Tensor]) -> str:
    """Returns the C++ of ModelOutput and kOutputs."""
    sizes = [int(np.prod(output.shape)) for output in outputs]
    rows = "".join(
        f"    {{{sum(sizes[:i])}, {sizes[i]}, {c_float(output.scale[0])}, {output.zero_point[0]}, "
        f"{len(output.shape)}, {{{', '.join(map(str, output.shape))}}}}},  // {c_string(output.name)[1:-1]}\n"
        for i, output in enumerate(outputs)
    )
    return f"""struct ModelOutput {{
  uint32_t offset, bytes;  // in all outputs, one after the other
  float scale;
  int32_t zero_point;
  uint32_t rank;
  int shape[{max(1, *(len(output.shape) for output in outputs))}];
}};
inline constexpr ModelOutput kOutputs[kOutputCount] = {{
{rows}}};
"""


def _source(name: str, labels: Sequence[str], arrays: dict[str, np.ndarray]) -> str:
    sizes = {
        "Model": "kModelBytes",
        "GoldenInput": "kInputBytes",
        "GoldenOutputs": "kOutputBytes",
        "PixelToInput": "256 * kPixelTables",
        "Tables": "256 * kTableCount + 1",
    }
    texts = "".join(f"    {c_string(label)},\n" for label in labels)
    return (
        f'{NOTE}#include "model/model_data.h"\n\nconst char kModelName[] = {c_string(name)};\n\n'
        f"const char* const kLabels[kLabelCount + 1] = {{\n{texts}    nullptr}};\n\n"
        + "\n".join(_array(key, sizes[key], values) for key, values in arrays.items())
    )


def _add(name: str, kind: str) -> str:
    """Returns the statements that register an operator."""
    if kind == KERNEL:
        function = "".join(part.capitalize() for part in name.removeprefix(PREFIX).split("_"))
        registration = f"const TFLMRegistration registration = kernels::{function}();"
        return f'{{ {registration} TF_LITE_ENSURE_STATUS(resolver->AddCustom("{name}", &registration)); }}'
    op = tflm_ops.OPS[name]
    registrations = {"own": f"operators::{op.own}()", "int8": f"tflite::{op.int8_register}()", "general": ""}
    return f"TF_LITE_ENSURE_STATUS(resolver->{op.method}({registrations[kind]}));"
