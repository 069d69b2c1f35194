"""Inference on this CPU: OpenVINO, LiteRT with XNNPACK and ONNX Runtime, on the same networks in turns.

Each network has random weights and is converted to a float and to an int8 .tflite once. OpenVINO and LiteRT read those;
tf2onnx makes ONNX of them. So no runtime quantizes in a way of its own. How far their answers are apart is printed.
What tf2onnx makes of an int8 network with random weights can be far from it, of a trained one it was not: it has the
same operators, and so the same cost.

OpenVINO computes float networks in float32 here, as the other two do, where it would take bfloat16 by itself. Windows
of time of the three, of both kinds and of all uses of the cores follow each other in rounds.

    one_core     one image after the other on one core
    latency      one image after the other on all cores
    throughput   as many at once as the runtime likes; of LiteRT and ONNX Runtime, which have no streams, one a core

    pip install 'tinytrain[cpu]' onnxruntime tf2onnx
    python benchmarks/cpu.py [--quick] [--only NETWORK] [--json]
"""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np

from tinytrain.quiet import import_tensorflow, quiet

import_tensorflow()

from tinytrain import files, machine, tables
from tinytrain.benching.cpu import timing
from tinytrain.config import plugins
from tinytrain.deploy.cpu import compare, runtimes
from tinytrain.deploy.cpu.exported import FLOAT, INT8, KINDS, as_input
from tinytrain.deploy.cpu.session import LATENCY, MODES, ONE_CORE, THROUGHPUT, Session, Threads
from tinytrain.quantize import convert

try:
    import onnxruntime
    from tf2onnx.convert import from_tflite
except ImportError as error:
    sys.exit(f"{error}: pip install 'tinytrain[cpu]' onnxruntime tf2onnx")

CLASSES = 100
NETWORKS = {  # the four of Table 5 of the adaptive pipeline, and one of a microcontroller
    "mobilenet_v1 0.25 at 32": ("mobilenet_v1", {"width": 0.25, "resolution": 32, "stem": "cifar"}),
    "mobilenet_v3_small at 224": ("mobilenet_v3_small", {"width": 1.0, "resolution": 224}),
    "mobilenet_v3_large 0.75 at 224": ("mobilenet_v3_large", {"width": 0.75, "resolution": 224}),
    "mobilenet_v3_large at 224": ("mobilenet_v3_large", {"width": 1.0, "resolution": 224}),
    "efficientnet_b0 at 224": ("efficientnet_b0", {"width": 1.0, "resolution": 224}),
}
QUICK = "mobilenet_v1 0.25 at 32"
RUNTIMES = (*runtimes.MODULES, "onnxruntime")
IMAGES = 4  # that the answers are compared on


class OnnxSession(Session):
    """A network in ONNX Runtime with so many threads."""

    def __init__(self, path, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def infer(self, image):
        return self.session.run(None, {self.name: image})


def load_onnx(path, mode):
    """Returns the network of a .onnx file for one of MODES, with streams as LiteRT has them."""
    if mode == THROUGHPUT:
        return Threads([OnnxSession(path, 1) for _ in range(machine.cores())])
    return OnnxSession(path, {ONE_CORE: 1, LATENCY: machine.cores()}[mode])


def sessions_of(kind, tflite, folder):
    """Returns {(runtime, mode): session} of one .tflite in all three runtimes."""
    sessions = {}
    for name in runtimes.MODULES:
        module = runtimes.load(name)
        path, *_ = module.write(tflite, folder / f"{kind}{module.SUFFIX}")
        sessions |= {(name, mode): module.load(path, mode) for mode in MODES}
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from_tflite(str(folder / f"{kind}.tflite"), opset=17, output_path=str(folder / f"{kind}.onnx"))
    return sessions | {("onnxruntime", mode): load_onnx(folder / f"{kind}.onnx", mode) for mode in MODES}


def differences(kind, sessions, images):
    """Returns {runtime: how far its answers are from those of LiteRT, in words}."""
    answers = {name: [sessions[name, LATENCY].infer(image[None])[0] for image in images] for name in RUNTIMES}
    compared = compare.of_float if kind == FLOAT else compare.of_int8
    rows = {
        name: compared([np.concatenate(outputs)], [np.concatenate(answers["litert"])])
        for name, outputs in answers.items()
    }
    return {name: compare.in_words(kind, row, "LiteRT") for name, row in rows.items() if name != "litert"}


def rows_of(label, windows, seconds):
    """Returns a row for each kind of model and use of the cores."""
    name, options = NETWORKS[label]
    network = plugins.load("models", name).build(classes=CLASSES, channels=3, **options)
    tflites = {FLOAT: convert.convert_float(network), INT8: convert.convert_untrained(network).content}
    noise = np.random.default_rng(0).integers(-128, 128, (IMAGES, *network.input_shape[1:]), np.int8)
    sessions, images = {}, {}
    with files.folder() as folder:
        for kind in KINDS:
            of_kind, inputs = sessions_of(kind, tflites[kind], Path(folder)), as_input(kind, noise)
            for runtime, words in differences(kind, of_kind, inputs).items():
                print(f"{label}, {kind}, {runtime}: {words}", flush=True)
            sessions |= {(kind, *key): session for key, session in of_kind.items()}
            images |= {(kind, *key): inputs[:1] for key in of_kind}
        timings = timing.measure(sessions, images, windows, seconds)
    return [row(label, kind, mode, timings) for kind in KINDS for mode in MODES]


def row(label, kind, mode, timings):
    result = {"network": label, "kind": kind, "use": mode}
    for name in RUNTIMES:
        report = timings[kind, name, mode].report()
        result[f"{name}_ms"] = report["milliseconds"]
        result[f"{name}_p90_ms"] = report["p90_milliseconds"]
        result[f"{name}_images_per_second"] = report["inferences_per_second"]
    return result


def table(rows):
    headings = ["network", "model", "use", *(f"{name} {unit}" for unit in ("ms", "images/s") for name in RUNTIMES)]
    cells = [
        [
            *(row[key] for key in ("network", "kind", "use")),
            *(f"{row[f'{name}_ms']:.3f}" for name in RUNTIMES),
            *(f"{row[f'{name}_images_per_second']:,.0f}" for name in RUNTIMES),
        ]
        for row in rows
    ]
    return tables.aligned([headings, *cells], ["<"] * 3 + [">"] * (2 * len(RUNTIMES)), between="  ")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small network, short windows")
    parser.add_argument("--only", choices=NETWORKS, help="one network")
    parser.add_argument("--json", action="store_true", help="print the rows as one JSON line at the end")
    arguments = parser.parse_args()
    labels = [arguments.only] if arguments.only else [QUICK] if arguments.quick else [*NETWORKS]
    windows, seconds = (3, 0.1) if arguments.quick else (timing.WINDOWS, timing.WINDOW_S)
    versions = [f"{name} {runtimes.load(name).release()}" for name in runtimes.MODULES]
    print(", ".join([*versions, f"onnxruntime {onnxruntime.__version__}"]))
    print(f"on {machine.processor()}, {machine.cores()} cores, load {os.getloadavg()[0]:.1f} before")
    print(f"medians over {windows} windows of {seconds:g} s")
    rows = []
    for label in labels:
        rows += rows_of(label, windows, seconds)
    print("\n".join(table(rows)))
    if arguments.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
