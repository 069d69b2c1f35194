"""RAM of networks on the emulated Cortex-M7, by engine, and what others publish for the same networks.

    python benchmarks/memory.py [--only PART-OF-A-NAME] [--board mps2_an500] [FILE.tflite ...]

Of each network, or file: TFLM with CMSIS-NN, TFLM with our kernels (both need TFLM_DIR), the compiled engine without
fused rows and as it is by default. The arena holds activations, scratch memory and the engine's records; flash is all
beside the model but the golden case; start: instructions before the first inference. Weights are random and images are
noise; each golden output must equal that of TFLM's interpreter.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tinytrain import tables
from tinytrain.config import plugins
from tinytrain.config.schema import Export
from tinytrain.deploy import boards, make, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled import engine
from tinytrain.deploy.compiled.engine import PLAIN
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.compiled.plan import plan
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.quantize import convert
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip

KB = 1000
AMPLE_BYTES = 2 * 1024 * 1024  # an arena for TFLM in the emulator
# name: architecture, width, resolution, classes
NETWORKS = {
    "resnet8 at 32": ("resnet8", 1.0, 32, 10),
    "mobilenet_v1 0.25 at 96": ("mobilenet_v1", 0.25, 96, 2),
    "mobilenet_v1 0.25 at 224": ("mobilenet_v1", 0.25, 224, 5),
    "mobilenet_v2 0.35 at 96": ("mobilenet_v2", 0.35, 96, 10),
    "mobilenet_v2 0.35 at 128": ("mobilenet_v2", 0.35, 128, 5),
    "mobilenet_v2 0.35 at 144": ("mobilenet_v2", 0.35, 144, 1000),
    "mobilenet_v2 0.35 at 160": ("mobilenet_v2", 0.35, 160, 10),
    "mobilenet_v2 0.35 at 224": ("mobilenet_v2", 0.35, 224, 5),
    "mcunet at 176": ("mcunet", 1.0, 176, 1000),
}
MCUNET = "README of mit-han-lab/mcunet (2024-03), STM32F746, all SRAM"
TINYENGINE = "README of mit-han-lab/tinyengine (47bb283), STM32H743, peak SRAM"
ZOO = "READMEs of STMicroelectronics/stm32ai-modelzoo (6f10965), STM32Cube.AI 10.0, all RAM"


@dataclass(frozen=True)
class Published:
    """RAM that somebody publishes for a network."""

    network: str
    engine: str
    bytes_: float
    source: str


# No figures of MCUNetV2's patches, StreamNet or msf-CNN were found for these networks.
PUBLISHED = (
    Published("mobilenet_v2 0.35 at 144", "TinyEngine", 308 * KB, MCUNET),
    Published("mcunet at 176", "TinyEngine", 293 * KB, MCUNET),
    Published("mcunet at 176", "TFLM with CMSIS-NN", 493 * KB, TINYENGINE),
    Published("mcunet at 176", "X-CUBE-AI 7.3", 243 * KB, TINYENGINE),
    Published("mcunet at 176", "TinyEngine", 260 * KB, TINYENGINE),
    Published("resnet8 at 32", "X-CUBE-AI 10.0", 69.7 * 1024, ZOO),
    Published("mobilenet_v1 0.25 at 96", "X-CUBE-AI 10.0", 83.3 * 1024, ZOO),
    Published("mobilenet_v1 0.25 at 224", "X-CUBE-AI 10.0", 289.3 * 1024, ZOO),
    Published("mobilenet_v2 0.35 at 128", "X-CUBE-AI 10.0", 267.5 * 1024, ZOO),
    Published("mobilenet_v2 0.35 at 224", "X-CUBE-AI 10.0", 862.8 * 1024, ZOO),
)
ENGINES = ("TFLM with CMSIS-NN", "TFLM with our kernels", "compiled, plain", "compiled, fused rows")
HEADINGS = (
    *("network", "arena, TFLM with CMSIS-NN", "TFLM with our kernels", "compiled, plain", "compiled, rows"),
    *("flash", "instructions, TFLM with our kernels", "compiled, rows"),
)
Figures = dict[str, int]


def engines(model: Model, board: boards.Board) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the engines by name, with what makes them of Contents."""
    if not make.lacking(emulator=True):
        yield ENGINES[0], {}
        yield ENGINES[1], {"own_kernels": True}
    compiled = network(model)
    yield ENGINES[2], {"plan": plan(compiled, PLAIN)}
    yield ENGINES[3], {"plan": engine.choose(model, Export(), board).plan}


def measured(model: Model, name: str, board: boards.Board) -> Iterator[tuple[str, Figures]]:
    """Yields the figures of each engine: arena, flash beside the model, start, instructions, 1 if equal."""
    image = np.random.default_rng(0).integers(-128, 128, model.inputs[0].shape).astype(np.int8)
    golden = [output[0] for output in ReferenceInterpreter(model.content).run(image)]
    golden_bytes = image.size + sum(output.size for output in golden)
    for engine_name, settings in engines(model, board):
        with tempfile.TemporaryDirectory() as folder:
            contents = Contents(model, name, AMPLE_BYTES, [], image, golden, **settings)
            sources, tflm = bare_metal.write(Path(folder), board, contents), make.tflm_dir()
            sizes = make.run(sources, board, tflm, "size", INFERENCES="1")
            printed = self_test.parse(make.call(sources, board, tflm, "emulate", INFERENCES="1").stdout)
        flash = {section: int(size) for section, size in (line.split() for line in sizes.splitlines())}
        beside = sum(flash.get(f".{part}", 0) for part in ("vectors", "text", "rodata", "exidx", "data"))
        figures = {
            "arena": printed["arena_used_bytes"],
            "flash": beside - golden_bytes,
            "start": int(printed["init"].split()[0]),
            "instructions": printed["inference"]["median"],
            "equal": int(printed["golden_equal"]),
        }
        yield engine_name, figures


def cells(name: str, found: dict[str, Figures]) -> tuple[str, ...]:
    """Returns the row of a network, empty where an engine was not there."""
    last = ENGINES[3]
    keys = [*((engine, "arena") for engine in ENGINES), (last, "flash"), (ENGINES[1], "instructions")]
    keys.append((last, "instructions"))
    return name, *(f"{found[engine][key]:,}" if engine in found else "" for engine, key in keys)


def built(name: str) -> Model:
    """Returns one of NETWORKS, untrained, in int8."""
    architecture, width, resolution, classes = NETWORKS[name]
    build = plugins.load("models", architecture).build
    network_ = build(classes=classes, resolution=resolution, channels=3, width=width)
    return strip(convert.convert_untrained(network_))


def main() -> int:
    """Prints the tables, of what was measured and of what was published; exit status 1 if an output is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", default="mps2_an500", help="an emulated board")
    parser.add_argument("--only", default="", help="a part of the names of networks")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    board, rows, published = boards.load(options.board), [HEADINGS], [("network", "engine", "RAM", "source")]
    wrong = 0
    for name in options.files or [name for name in NETWORKS if options.only in name]:
        is_file = isinstance(name, Path)
        model = strip(Model.parse(name.read_bytes(), str(name))) if is_file else built(name)
        title, found = name.stem if is_file else name, {}
        for engine_name, figures in measured(model, title, board):
            found[engine_name] = figures
            wrong += not figures["equal"]
            print(f"{title}, {engine_name}: {figures}", flush=True)
        rows.append(cells(title, found))
        published += [
            (title, each.engine, f"{each.bytes_:,.0f}", each.source) for each in PUBLISHED if each.network == title
        ]
    print("\n" + tables.markdown(rows, "<>>>>>>>"))
    print("\n" + tables.markdown(published, "<<><"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
