"""The decoder of a detector as C++, for model_data.h and model_data.cc: structs of app/detect.h, and golden boxes."""

from collections.abc import Iterable

import numpy as np

from tinytrain.deploy.decode import description
from tinytrain.deploy.decode.anchors import AnchorDecoder
from tinytrain.deploy.decode.boxes import BOX, UNITS, Decoder
from tinytrain.deploy.decode.cells import CellDecoder
from tinytrain.errors import UserError

_NUMBERS_PER_LINE = 16
_CODE_BYTES = 2_000  # detect.c and what self test and protocols do with boxes, linked for stm32f746g_disco


def header(decoder: Decoder, golden: np.ndarray) -> str:
    """Returns what model_data.h says of a decoder, and of `golden`, the boxes (D,) BOX of the golden input."""
    type_ = kind(decoder)
    return f"""
#include "app/detect.h"

#define MODEL_DETECTS  // the firmware compiles what only detectors need

inline constexpr uint32_t kBoxRoom = {decoder.room};  // most boxes of an image
inline constexpr uint32_t kBoxCandidates = {decoder.candidates};  // boxes that are held while decoding
inline constexpr uint32_t kDecoderCrc = 0x{description.crc(decoder):08x};  // by which a host knows the decoder
inline constexpr uint32_t kGoldenBoxCount = {len(golden)};
extern const {type_} kDetector;
extern const Box kGoldenBoxes[kGoldenBoxCount + 1];  // what the host decoded from kGoldenOutputs
"""


def source(decoder: Decoder, golden: np.ndarray) -> str:
    """Returns what model_data.cc says of the same."""
    rows = "".join(f"    {{{_listed(box)}}},\n" for box in golden.tolist())
    return f"{definition(decoder)}\nconst Box kGoldenBoxes[kGoldenBoxCount + 1] = {{\n{rows}    {{}}}};\n"


def flash_bytes(decoder: Decoder) -> int:
    """Returns how many bytes of flash a decoder takes: code, tables, and golden boxes as if there were `room`."""
    if isinstance(decoder, AnchorDecoder):
        arrays = [array for table in decoder.tables for array in (table.scores, table.places, table.sizes)]
    else:
        arrays = [np.empty(256, np.uint16)]
    return _CODE_BYTES + sum(array.nbytes for array in arrays) + BOX.itemsize * decoder.room


def ram_bytes(decoder: Decoder) -> int:
    """Returns how many bytes of RAM the boxes take that are held while decoding."""
    return BOX.itemsize * decoder.candidates


def kind(decoder: Decoder) -> str:
    """Returns the type of kDetector."""
    return "AnchorDetector" if isinstance(decoder, AnchorDecoder) else "CellDetector"


def definition(decoder: Decoder, linkage: str = "") -> str:
    """Returns the definition of kDetector with the tables that it points to, as C and C++ take it.

    linkage: "static " where nothing declares it before.
    """
    if isinstance(decoder, AnchorDecoder):
        return _anchors(decoder, linkage)
    if isinstance(decoder, CellDecoder):
        return _cells(decoder, linkage)
    raise UserError(f"the firmware has no decoder for a {type(decoder).__name__}")


def _anchors(decoder: AnchorDecoder, linkage: str) -> str:
    tables, rows = "", ""
    for number in decoder.scanned:
        output, table = decoder.outputs[number], decoder.tables[number]
        names = {name: f"k{name}{number}" for name in ("Scores", "Places", "Sizes", "Anchors")}
        tables += _array("uint16_t", names["Scores"], table.scores)
        if np.array_equal(table.places, table.scores):  # a gain of 1
            names["Places"] = names["Scores"]
        else:
            tables += _array("uint16_t", names["Places"], table.places)
        tables += _array("uint32_t", names["Sizes"], table.sizes)
        tables += _array("uint16_t", names["Anchors"], np.array(output.anchors))
        cells = (number, output.stride, output.rows, output.columns, len(output.anchors), table.least_objectness)
        rows += f"    {{{_listed(cells)}, {', '.join(names.values())}}},\n"
    numbers = (len(decoder.outputs), decoder.classes, UNITS * decoder.side, decoder.least_score, decoder.overlap)
    return (
        f"\n{tables}static const AnchorOutput kAnchorOutputs[] = {{\n{rows}}};\n"
        f"\n{linkage}const AnchorDetector kDetector = {{kAnchorOutputs, {_listed(numbers)}}};\n"
    )


def _cells(decoder: CellDecoder, linkage: str) -> str:
    grid = decoder.output
    numbers = (grid.stride, grid.rows, grid.columns, decoder.classes, UNITS * decoder.side, decoder.least_score)
    table = _array("uint16_t", "kExponentials", decoder.table)
    return f"\n{table}\n{linkage}const CellDetector kDetector = {{{_listed(numbers)}, kExponentials}};\n"


def _array(ctype: str, name: str, values: np.ndarray) -> str:
    numbers = values.reshape(-1).tolist()
    lines = [_listed(numbers[i : i + _NUMBERS_PER_LINE]) for i in range(0, len(numbers), _NUMBERS_PER_LINE)]
    return f"static const {ctype} {name}[] = {{\n    " + ",\n    ".join(lines) + "};\n"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
