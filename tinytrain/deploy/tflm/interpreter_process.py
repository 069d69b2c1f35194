"""Runs a .tflite in the tflite_micro interpreter, in a process of its own: a script, started by interpreter.py.

The interpreter writes to the terminal and can take the process down when its arena is too small, so nothing else runs
here, and TensorFlow is not imported.

The arguments on its command line:

    run MODEL IMAGES.npy OUTPUTS.npz FIRST STEP    images FIRST, FIRST+STEP, …; prints a line "." for each
    arena MODEL                                    prints the bytes of the smallest arena that works
    each MODEL VALUES.npy OUTPUTS.npy              one inference, all inputs VALUES; saves all outputs
"""

import os
import sys
from typing import Any

import numpy as np
from tflite_micro.python.tflite_micro.runtime import Interpreter

START_BYTES, LIMIT_BYTES = 1 << 14, 1 << 30


def run(model: bytes, images: np.ndarray, first: int, step: int) -> list[np.ndarray]:
    """Returns each int8 output, (ceil((N - first) / step), …), of every `step`-th image."""
    interpreter = Interpreter.from_bytes(model, arena_size=_enough_bytes(model, images[:1]))
    outputs: list[list[np.ndarray]] = [[] for _ in range(_graph(model).OutputsLength())]
    for number in range(first, len(images), step):
        interpreter.set_input(images[number : number + 1], 0)
        interpreter.invoke()
        for index, rows in enumerate(outputs):
            rows.append(interpreter.get_output(index)[0].copy())
        print(".", flush=True)
    return [np.array(rows) for rows in outputs]


def each(model: bytes, values: np.ndarray) -> np.ndarray:
    """Returns the int8 outputs (K, N) of a model that maps K inputs (1, N) to as many outputs, all inputs `values`."""
    interpreter = Interpreter.from_bytes(model, arena_size=_enough_bytes(model, values[None]))
    count = _graph(model).InputsLength()
    for number in range(count):
        interpreter.set_input(values[None], number)
    interpreter.invoke()
    return np.array([interpreter.get_output(number)[0] for number in range(count)])


def smallest_arena(model: bytes, image: np.ndarray) -> int:
    """Returns the bytes of the smallest arena, a multiple of 16, in which one inference works."""
    works = _enough_bytes(model, image)
    fails = works // 2 if works > START_BYTES else 0
    while works - fails > 16:
        middle = (works + fails) // 32 * 16
        works, fails = (middle, fails) if _works(model, image, middle) else (works, middle)
    return works


def _save(path: str, outputs: np.ndarray | list[np.ndarray]) -> None:
    """Saves an array as .npy, a list of arrays as .npz."""
    try:
        if isinstance(outputs, list):
            np.savez(path, *outputs)
        else:
            np.save(path, outputs)
    except OSError as error:
        print(f"{path}: {error.strerror or error}", file=sys.stderr)
        sys.exit(os.EX_IOERR)  # which interpreter.py tells from a model that does not run


def _enough_bytes(model: bytes, image: np.ndarray) -> int:
    size = START_BYTES
    while not _works(model, image, size):
        size *= 2
        if size > LIMIT_BYTES:
            _infer(model, image, size)  # for its message
            sys.exit("the interpreter cannot run the model")
    return size


def _works(model: bytes, image: np.ndarray, arena_bytes: int) -> bool:
    """Tries one inference in a child, whose crash is an answer too."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        _infer(model, image, arena_bytes)
    except BaseException:
        os._exit(1)
    os._exit(0)


def _infer(model: bytes, image: np.ndarray, arena_bytes: int) -> None:
    interpreter = Interpreter.from_bytes(model, arena_size=arena_bytes)
    interpreter.set_input(image, 0)
    interpreter.invoke()


def _zeros(model: bytes) -> np.ndarray:
    """Returns an input of zeros, shape and type read from the model."""
    graph = _graph(model)
    return np.zeros(graph.Tensors(graph.Inputs(0)).ShapeAsNumpy(), np.int8)


def _graph(model: bytes) -> Any:
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    return schema.Model.GetRootAsModel(model, 0).Subgraphs(0)


def main(mode: str, model_path: str, *arguments: str) -> None:
    """Runs the mode that the command line names."""
    with open(model_path, "rb") as file:
        model = file.read()
    if mode == "arena":
        print(smallest_arena(model, _zeros(model)))
    elif mode == "each":
        values_path, outputs_path = arguments
        _save(outputs_path, each(model, np.load(values_path)))
    else:
        images_path, outputs_path, first, step = arguments
        _save(outputs_path, run(model, np.load(images_path, mmap_mode="r"), int(first), int(step)))


if __name__ == "__main__":
    main(*sys.argv[1:])
