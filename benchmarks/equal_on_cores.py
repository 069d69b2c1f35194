"""The compiled engine on emulated cores: outputs of many images that differ from those of TFLM's interpreter.

    python benchmarks/equal_on_cores.py [--images N] [--side 48] [--only TEXT] [--boards NAME,NAME] [FILE.tflite ...]

Runs every architecture of models/, untrained, or the files named, with the least memory and without TFLM.
Images are noise of any brightness and contrast. Exit status 1 if an output differs.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinytrain.quiet import import_tensorflow

import_tensorflow()

import keras
import numpy as np
from kernels import noise

from tinytrain import tables
from tinytrain.benching.serial import emulator, ports
from tinytrain.config import plugins
from tinytrain.deploy import boards, make
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.compiled.plan import plan
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.quantize import convert
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip

COLUMNS = ("<28", "<12", ">9", ">10", ">8")


def models(files: Sequence[Path], only: str, side: int) -> Iterator[tuple[str, Model]]:
    """Yields the files, or the architectures whose name contains `only`."""
    for path in files:
        yield path.stem, strip(Model.parse(path.read_bytes(), str(path)))
    for name in [] if files else plugins.names("models"):
        if only in name:
            keras.utils.set_random_seed(0)
            build = plugins.load("models", name).build
            built = build(classes=10, resolution=side, channels=3, width=0.125 if name == "resnet50" else 0.35)
            yield name, strip(convert.convert_untrained(built))


def different(model: Model, board: boards.Board, images: np.ndarray, expected: Sequence[np.ndarray]) -> int:
    """Returns for how many images the board's outputs are not the expected ones.

    Raises:
        Refusal: the compiled engine lacks an operator of the model.
    """
    golden = [output[0] for output in expected]
    contents = Contents(model, "equal", 1, [], images[:1], golden, plan=plan(network(model)))
    with tempfile.TemporaryDirectory() as folder:
        sources = bare_metal.write(Path(folder), board, contents)
        program = make.build(sources, board, None, Path(folder) / "build")
        found = 0
        with emulator.running(program, board) as device:
            link, _ = ports.connect(device)
            for number, image in enumerate(images):
                outputs = b"".join(output[number].tobytes() for output in expected)
                found += link.infer(image.tobytes(), output_bytes=len(outputs)).outputs != outputs
    return found


def main() -> int:
    """Prints a row for each model and board."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--only", default="", help="a part of the names of architectures")
    parser.add_argument("--side", type=int, default=48, help="resolution of the architectures")
    parser.add_argument("--boards", default="mps2_an500,mps2_an386,mps2_an505", help="emulated boards")
    options = parser.parse_args()
    print(tables.line(("network", "board", "images", "different", "outputs"), COLUMNS), flush=True)
    total = 0
    for name, model in models(options.files, options.only, options.side):
        images = noise(options.images, model.inputs[0].shape)
        expected = ReferenceInterpreter(model.content).run(images)
        outputs = len({output.tobytes() for output in expected[0]})  # as many as images, if they tell them apart
        for board in options.boards.split(","):
            try:
                count = different(model, boards.load(board), images, expected)
            except Refusal as refusal:
                print(f"{name}: not compiled: {refusal}", flush=True)
                break
            total += count
            print(tables.line((name, board, str(len(images)), str(count), str(outputs)), COLUMNS), flush=True)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
