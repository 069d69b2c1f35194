"""The library of an export in a program of somebody else's: flash, arena and instructions, on the emulated Cortex-M7.

    python benchmarks/library.py [--only PART-OF-A-NAME] [--core cortex-m4] [FILE.tflite ...]

Of each network, with random weights, or file: bytes of its constants; of the rest of the library as it is linked, code
and tables, without libc; of the arena; and instructions of giving a frame of 320x240 in RGB565, of the inference, and
of finding the best class. The program is tests/helpers/library_program, built by CMake.
"""

import argparse
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from memory import built

from tinytrain import tables
from tinytrain.config.schema import Export
from tinytrain.deploy import boards, c_library
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled import engine
from tinytrain.deploy.targets import library
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip

PROGRAM = Path(__file__).parent.parent / "tests/helpers/library_program"
MACHINES = {"cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}
TICKS_PER_INSTRUCTION = 3.2  # an instruction is 128 ns with -icount shift=7, the timer has 25 MHz
QEMU = ("-display", "none", "-monitor", "none", "-serial", "none", "-semihosting", "-icount", "shift=7,sleep=off")
HEADINGS = ("network", "constants", "code", "arena", "frame", "inference", "result")
COLUMNS = ("<26", ">10", ">8", ">9", ">11", ">12", ">8")
SMALL = ("resnet8 at 32", "mobilenet_v1 0.25 at 96", "mobilenet_v2 0.35 at 96", "mobilenet_v2 0.35 at 128")


def models(files: list[Path], only: str) -> Iterator[tuple[str, Model]]:
    """Yields the files, or the networks whose name contains `only`."""
    for path in files:
        yield path.stem, strip(Model.parse(path.read_bytes(), str(path)))
    for name in [] if files else SMALL:
        if only in name:
            yield name, built(name)


def measured(name: str, model: Model, core: str) -> tuple[str, ...]:
    """Returns the row of a network."""
    image = np.random.default_rng(0).integers(-128, 128, model.inputs[0].shape).astype(np.int8)
    golden = [output[0] for output in ReferenceInterpreter(model.content).run(image)]
    board = boards.load("stm32f746")
    plan = engine.choose(model, Export(), board).plan
    contents = Contents(model, name, 0, [], image, golden, own_kernels=True, plan=plan)
    with tempfile.TemporaryDirectory() as folder:
        sources, build = library.write(Path(folder), board, contents), Path(folder) / "build"
        configure = ["cmake", "-S", PROGRAM, "-B", build, f"-DLIBRARY={sources}", "-DSOURCE=measure.c"]
        configure += [f"-DCMAKE_TOOLCHAIN_FILE={sources / library.TOOLCHAIN}", f"-DTINYTRAIN_CORE={core}"]
        configure += ["-DCODE=0x00000000", "-DRAM=0x20000000", "-DCMAKE_BUILD_TYPE=MinSizeRel"]
        emulate = ["qemu-system-arm", "-M", MACHINES[core], *QEMU, "-kernel", build / "program"]
        for command in (configure, ["cmake", "--build", build]):
            subprocess.run(command, check=True, capture_output=True)
        ticks = map(int, subprocess.run(emulate, check=True, capture_output=True, text=True).stdout.split())
        constants, code = linked_bytes((build / "program.map").read_text())
    instructions = [f"{round(each / TICKS_PER_INSTRUCTION):,}" for each in ticks]
    return (name, f"{constants:,}", f"{code:,}", f"{c_library.arena_bytes(contents):,}", *instructions)


def linked_bytes(linker_map: str) -> tuple[int, int]:
    """Returns the bytes of the network's constants and of all else that comes out of the library."""
    text = linker_map.split("Linker script and memory map")[1]
    row = re.compile(r"^ (\.\S+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) \S*libtinytrain\.a\(", re.MULTILINE)
    found = [(name, int(size, 16)) for name, size in row.findall(text) if name.startswith((".text", ".rodata"))]
    constants = sum(size for name, size in found if name == ".rodata.model")
    return constants, sum(size for _, size in found) - constants


def main() -> None:
    """Prints a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--only", default="", help="a part of the names of networks")
    parser.add_argument("--core", default="cortex-m7", choices=MACHINES)
    options = parser.parse_args()
    print(tables.line(HEADINGS, COLUMNS), flush=True)
    for name, model in models(options.files, options.only):
        print(tables.line(measured(name, model, options.core), COLUMNS), flush=True)


if __name__ == "__main__":
    main()
