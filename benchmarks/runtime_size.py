"""Flash that each TFLM operator adds to the firmware, and how well their sum predicts whole models.

Links the real firmware for stm32f746g_disco with the library in TFLM_DIR once for each operator: with the operators of
nearly every network (CORE), plus or minus the operator in question, so that shared code counts once. The numbers stand
in the table of tinytrain/deploy/tflm/operators.py, which `--table` prints; those of the kernels of ours, which
`--kernels` measures alone, in tinytrain/deploy/kernels/register.py. `--quick` only compares the sums from that
table with three linked models.

    TFLM_DIR=... python benchmarks/runtime_size.py [--quick] [--kernels] [--table] [--json]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from tinytrain import tables
from tinytrain.deploy import boards, c_source, firmware, make
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.kernels import register
from tinytrain.deploy.kernels.derive import PREFIX
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm import operators as tflm_ops
from tinytrain.deploy.tflm.verified_forms import KERNEL
from tinytrain.errors import TinytrainError
from tinytrain.tflite.model import Model

CORE = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "AVERAGE_POOL_2D")
QUICK = ("mobilenet_v2", "resnet8", "fully connected")
# The operators of whole models, to find the error of the sum.
MODELS = {
    "mobilenet_v1": ("CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED"),
    "mobilenet_v1 (MLPerf Tiny)": (
        *("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"),
    ),
    "mobilenet_v2": ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"),
    "mobilenet_v3": ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MUL", "HARD_SWISH", "MEAN", "FULLY_CONNECTED"),
    "resnet8": ("CONV_2D", "ADD", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"),
    "fully connected": ("FULLY_CONNECTED",),
    "detector": (
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "ADD",
        "CONCATENATION",
        "RESIZE_NEAREST_NEIGHBOR",
        "LOGISTIC",
        "RESHAPE",
    ),
}


def empty_model() -> bytes:
    """Returns a .tflite without operators: its input, (1, 16) int8, is also its output."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.name = [1, 16], schema.TensorType.INT8, b"input"
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [1.0], [0]
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor], [0], [0], []
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class Linker:
    """Links the firmware with any set of operators and caches the results."""

    def __init__(self, folder: Path, tflm: Path):
        self.board, self.tflm, self.build = boards.load("stm32f746g_disco"), tflm, folder / "build"
        frame = np.zeros(16, np.int8)
        arguments = {
            "name": "size",
            "arena_bytes": 1024,
            "labels": [],
            "golden_input": frame,
            "golden_outputs": [frame],
        }
        self.folder = bare_metal.write(folder, self.board, Contents(model=Model.parse(empty_model()), **arguments))
        self.cache: dict[tuple[tuple[str, str], ...], firmware.Sizes] = {}

    def sizes(self, operators: dict[str, str]) -> firmware.Sizes:
        """Returns the sizes with `operators`, {name: kind}, see tflm_ops.registrations."""
        key = tuple(sorted(operators.items()))
        if key not in self.cache:
            (self.folder / "model" / "model_ops.h").write_text(c_source.ops_header(operators))
            self.cache[key] = firmware.link(self.folder, self.board, self.tflm, self.build)
        return self.cache[key]

    def runtime_bytes(self, operators: dict[str, str]) -> int:
        return self.sizes(operators).runtime_bytes


def int8(names: tuple[str, ...]) -> dict[str, str]:
    return {name: "int8" if tflm_ops.OPS[name].int8_register else "general" for name in names}


def operator_bytes(linker: Linker, name: str, kind: str) -> int:
    """Returns the bytes that an operator, registered as `kind`, adds to the other operators of the core."""
    core = int8(CORE)
    without = {key: value for key, value in core.items() if key != name}
    return linker.runtime_bytes(without | {name: kind}) - linker.runtime_bytes(without)


def operator_row(linker: Linker, name: str) -> dict[str, object]:
    general = operator_bytes(linker, name, "general")
    ours = operator_bytes(linker, name, "int8") if tflm_ops.OPS[name].int8_register else general
    return {"operator": name, "ours_bytes": ours, "tflm_bytes": general}


def kernel_bytes(linker: Linker) -> tuple[int, int, dict[str, int]]:
    """Returns the flash of what all kernels of ours share, what convolutions share besides, and that of each kernel.

    Kernels alone and together tell what they share: in the sum of n of them it is n - 1 times too often.
    """
    other = {"RESHAPE": "general"}  # a model has operators
    before = linker.sizes(other).flash_bytes

    def added(*names: str) -> int:
        return linker.sizes(other | {PREFIX + name: KERNEL for name in names}).flash_bytes - before

    alone = {name: added(name) for name in register.KERNEL_BYTES}
    registration = alone["add"] + alone["average_pool"] - added("add", "average_pool")
    convolutions = (sum(alone[name] for name in register.CONVOLUTIONS) - added(*register.CONVOLUTIONS)) // 2
    shared = {name: convolutions if name in register.CONVOLUTIONS else registration for name in alone}
    return registration, convolutions - registration, {name: size - shared[name] for name, size in alone.items()}


def model_row(linker: Linker, name: str, base: int, table: dict[str, int]) -> dict[str, object]:
    linked = linker.runtime_bytes(int8(MODELS[name]))
    estimated = base + sum(table[operator] for operator in MODELS[name])
    stock = linker.runtime_bytes(dict.fromkeys(MODELS[name], "general"))
    error = 100 * (estimated - linked) / linked
    return {
        "model": name,
        "ours_bytes": linked,
        "tflm_bytes": stock,
        "estimated_bytes": estimated,
        "error_percent": error,
    }


def operator_rows(linker: Linker) -> list[dict[str, object]]:
    rows = []
    for number, name in enumerate(tflm_ops.OPS, start=1):
        print(f"\r{number}/{len(tflm_ops.OPS)} operators", end="", file=sys.stderr, flush=True)
        try:
            rows.append(operator_row(linker, name))
        except TinytrainError:  # a library built without the signal library lacks its operators
            print(f"\r{name} does not link with this library: left out", file=sys.stderr)
    print(file=sys.stderr)
    return rows


def measured(linker: Linker, rows: list[dict[str, object]]) -> tuple[int, dict[str, int]]:
    """Returns the base and the bytes of each operator as measured; without rows, those of deploy/tflm/operators.py."""
    if not rows:
        return tflm_ops.RUNTIME_BASE_BYTES, {op.name: op.int8_flash_bytes for op in tflm_ops.OPS.values()}
    table = {str(row["operator"]): int(str(row["ours_bytes"])) for row in rows}
    return linker.runtime_bytes(int8(CORE)) - sum(table[name] for name in CORE), table


def print_table(rows: list[dict[str, object]], base: int, linker: Linker) -> None:
    """Prints the table of deploy/tflm/operators.py: names and bytes, those of *_INT8 first where there are both."""
    sizes = linker.sizes(int8(CORE))
    print(f"RUNTIME_BASE_BYTES = {base}")
    print(f"FIRMWARE_BYTES = {sizes.firmware_bytes - 32}  # without golden input and output")
    print(f"OTHER_RAM_BYTES = {sizes.other_ram_bytes}")
    print(", ".join(_cell(row) for row in rows))


def _cell(row: dict[str, object]) -> str:
    general = "" if row["tflm_bytes"] == row["ours_bytes"] else f" {row['tflm_bytes']}"
    return f"{row['operator']} {row['ours_bytes']}{general}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="check the committed table on three models only")
    parser.add_argument("--kernels", action="store_true", help="measure the kernels of ours only")
    parser.add_argument("--table", action="store_true", help="print the table of deploy/tflm/operators.py as well")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON last")
    arguments = parser.parse_args()
    if reason := make.lacking():
        sys.exit(reason)
    tflm = make.tflm_dir()
    with tempfile.TemporaryDirectory() as folder:
        linker = Linker(Path(folder), tflm)
        if not arguments.quick:
            registration, columns, kernels = kernel_bytes(linker)
            print(
                f"REGISTRATION_BYTES = {registration}, COLUMNS_BYTES = {columns}, KERNEL_BYTES = {kernels}", flush=True
            )
        if arguments.kernels:
            return
        rows = [] if arguments.quick else operator_rows(linker)
        base, table = measured(linker, rows)
        models = [model_row(linker, name, base, table) for name in (QUICK if arguments.quick else MODELS)]
        if arguments.table and rows:
            print_table(rows, base, linker)
    if rows:
        print(f"bytes of flash over {base} without operators")
        cells = [("operator", "ours", "tflm")]
        cells += [(row["operator"], str(row["ours_bytes"]), str(row["tflm_bytes"])) for row in rows]
        print("\n".join([*tables.aligned(cells, ("<40", ">9", ">9")), ""]))
    keys = ("ours_bytes", "tflm_bytes", "estimated_bytes")
    cells = [("model", "ours", "tflm", "estimated", "error")]
    cells += [(row["model"], *(str(row[key]) for key in keys), f"{row['error_percent']:.1f}%") for row in models]
    print("\n".join(tables.aligned(cells, ("<40", ">9", ">9", ">11", ">8"))))
    if arguments.json:
        print(json.dumps({"rows": rows + models}))


if __name__ == "__main__":
    main()
