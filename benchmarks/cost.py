"""Cost of an inference on the emulated Cortex-M7: TensorFlow Lite's own post-training conversion beside ours.

Every network is built once, with random weights and the statistics of noise images, and converted twice with the same
calibration images: by `tf.lite.TFLiteConverter` as its documentation says ("tf_lite": all int8, unchanged file,
operators as TFLM registers them), and by tinytrain's post-training quantization ("ours": stripped file, operators as
the firmware chooses them). Both run in the same firmware. `instructions` are those of one inference, `arena` is what
TFLM used of it, `model` the size of the flatbuffer, and `flash` that of the firmware without the golden image.

    TFLM_DIR=... python benchmarks/cost.py [--quick] [--only NAME] [--json]
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain.quiet import import_tensorflow, quiet

import_tensorflow()

import keras
import tensorflow as tf

from tinytrain import tables
from tinytrain.config import plugins
from tinytrain.deploy import boards, c_source, firmware, make, memory, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm import instructions
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import TinytrainError
from tinytrain.quantize import convert, tf_keras_clone
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip

BOARD = "mps2_an500"
CLASSES = 10
CALIBRATION_IMAGES = 8
# Sizes for a microcontroller; the two large networks are so narrow that they fit the 4 MB of the emulated board.
NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("mobilenet_v1", {"width": 0.25, "resolution": 96}),
    ("mobilenet_v2", {"width": 0.35, "resolution": 96}),
    ("mobilenet_v2_tiny", {"width": 0.35, "resolution": 96}),
    ("mobilenet_v3_small", {"width": 0.35, "resolution": 96}),
    ("mobilenet_v3_large", {"width": 0.35, "resolution": 96}),
    ("mcunet", {"width": 1.0, "resolution": 96}),
    ("proxylessnas", {"width": 0.35, "resolution": 96}),
    ("efficientnet_b0", {"width": 0.35, "resolution": 64}),
    ("resnet8", {"width": 1.0, "resolution": 32}),
    ("resnet50", {"width": 0.125, "resolution": 64}),
]
QUICK = ("mobilenet_v2", "resnet8")


def network(name: str, options: dict[str, Any]) -> keras.Model:
    """Returns the network with random weights and BatchNorm statistics of noise images."""
    keras.utils.set_random_seed(0)
    model = plugins.load("models", name).build(classes=CLASSES, channels=3, **options)
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        elif layer.weights and layer.use_bias:  # equal biases would be stored once
            layer.bias.assign(random.normal(0, 0.1, layer.bias.shape))
    model(images(model), training=True)
    return model


def images(model: keras.Model) -> np.ndarray:
    """Returns noise (N, R, R, C) float32 in [-1, 1)."""
    shape = (CALIBRATION_IMAGES, *model.input_shape[1:])
    return np.random.default_rng(1).uniform(-1, 1, shape).astype("float32")


def plain(model: keras.Model) -> bytes:
    """Returns the .tflite of "full integer quantization" as in TensorFlow Lite's documentation."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images(model))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with (
        quiet(),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):  # the converter prints the graph and more
        warnings.simplefilter("ignore")
        return converter.convert()


def run(graph: Model, stock_operators: bool) -> dict[str, Any]:
    """Returns what the .tflite costs in the firmware, as TFLM registers operators or as tinytrain does."""
    board = boards.load(BOARD)
    image = np.random.default_rng(2).integers(-128, 128, graph.inputs[0].shape, np.int8)
    golden = ReferenceInterpreter(graph.content).run(image)
    with tempfile.TemporaryDirectory() as folder:
        sources = bare_metal.write(
            Path(folder),
            board,
            Contents(
                model=graph,
                name="cost",
                arena_bytes=2 * memory.target_arena_bytes(graph),
                labels=[],
                golden_input=image,
                golden_outputs=golden,
            ),
        )
        if stock_operators:
            operators = dict.fromkeys(graph.counts, "general")
            (sources / "model" / "model_ops.h").write_text(c_source.ops_header(operators))
        sizes = firmware.link(sources, board, make.tflm_dir())
        printed = self_test.emulate(sources, board, make.tflm_dir())
    if printed["failed"]:
        raise TinytrainError(printed["failed"])
    return {
        "instructions": printed["inference"]["median"],
        "arena": printed["arena_used_bytes"],
        "model": len(graph.content),
        "flash": sizes.flash_bytes - image.size - sum(output.size for output in golden),
        "equal": printed["golden_equal"],
        "operators": graph.counts,
        "predicted": round(instructions.total(graph.operators)),
    }


def compare(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Returns {"name", "options", "tf_lite", "ours"}."""
    model = network(name, options)
    ours = strip(convert.convert_post_training(tf_keras_clone.rebuild(model), images(model)))
    results = {"tf_lite": run(Model.parse(plain(model)), True), "ours": run(ours, False)}
    return {"name": name, "options": options, **results}


KEYS = ("instructions", "arena", "model", "flash")


def title(row: dict[str, Any]) -> str:
    """Returns what a network is called in the table."""
    return f"{row['name']} {row['options']['width']:g} at {row['options']['resolution']}"


def cells(row: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns the two rows of a network in the table."""
    ours, other = row["ours"], row["tf_lite"]
    shares = [f"{ours[key]:,} ({100 * (ours[key] / other[key] - 1):+.1f} %)" for key in KEYS]
    return [(title(row), "tf.lite", *(f"{other[key]:,}" for key in KEYS)), ("", "ours", *shares)]


def summary(row: dict[str, Any]) -> str:
    """Returns a line about what is not in the table: operators, outputs, and the estimate of the instructions."""
    error = 100 * (row["ours"]["predicted"] / row["ours"]["instructions"] - 1)
    parts = [title(row)]
    for kind in ("tf_lite", "ours"):
        output = "equal" if row[kind]["equal"] else "DIFFERENT"
        parts.append(f"{kind} {sum(row[kind]['operators'].values())} operators, output {output}")
    return "; ".join([*parts, f"instructions predicted within {error:+.1f} %"])


def main() -> int:
    """Prints the table; exit status 1 if ours costs more in any respect or an output is not the interpreter's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"only {' and '.join(QUICK)}")
    parser.add_argument("--only", help="only this network")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    options = parser.parse_args()
    if reason := make.lacking(emulator=True):
        print(reason, file=sys.stderr)
        return 2
    rows = []
    for name, sizes in NETWORKS:
        if (options.only or name) == name and (not options.quick or name in QUICK):
            rows.append(compare(name, sizes))
            print(summary(rows[-1]), flush=True)
    table = [each for row in rows for each in cells(row)]
    print("\n" + tables.markdown([("network", "", *KEYS), *table], "<<>>>>"))
    if options.json:
        print(json.dumps({"board": BOARD, "networks": rows}))
    worse = [row["name"] for row in rows if any(row["ours"][key] > row["tf_lite"][key] for key in KEYS)]
    different = [row["name"] for row in rows if not (row["ours"]["equal"] and row["tf_lite"]["equal"])]
    return 1 if worse or different else 0


if __name__ == "__main__":
    sys.exit(main())
