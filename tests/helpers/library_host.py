"""A library of a small model, as the export target writes it, built by CMake for this computer and called by ctypes."""

import ctypes
import os
import shutil
import subprocess
from ctypes import POINTER, byref, c_char_p, c_float, c_int32, c_size_t, c_uint16, c_uint32, c_void_p

import numpy as np
import pytest
from int8_models import cells_decoder, cells_model, conv_model, converted_model, detector_decoder, detector_model

from tinytrain.config.fields import FRAME_FORMATS
from tinytrain.deploy import boards
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.compiled.plan import plan
from tinytrain.deploy.targets import library
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model

MODELS = {"softmax": converted_model, "logits": conv_model, "detector": detector_model, "cells": cells_model}
DECODERS = {"detector": detector_decoder, "cells": cells_decoder}
LABELS = ["zéro", *"bcdefghij"]
STATUSES = (
    *("OK", "ARENA_TOO_SMALL", "ARENA_MISALIGNED", "NOT_INITIALIZED", "BAD_FRAME", "BAD_FORMAT", "NOT_NEXT"),
    *("NO_INPUT", "NO_RESULT", "NO_SUCH", "DIFFERENT", "ENGINE_FAILED"),
)
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is missing: make firmware-tools")


class Frame(ctypes.Structure):
    _fields_ = (
        ("pixels", c_void_p),
        ("width", c_uint16),
        ("height", c_uint16),
        ("stride", c_uint32),
        ("format", c_uint32),
    )


class Result(ctypes.Structure):
    _fields_ = (("label", c_char_p), ("class_index", c_uint32), ("probability", c_float), ("boxes", c_uint32))


class Box(ctypes.Structure):
    _fields_ = (
        ("label", c_char_p),
        ("class_index", c_uint32),
        ("probability", c_float),
        *((name, c_int32) for name in ("x0", "y0", "x1", "y1")),
    )


class Output(ctypes.Structure):
    _fields_ = (("data", POINTER(ctypes.c_int8)), ("count", c_size_t), ("scale", c_float), ("zero_point", c_int32))


def contents_of(name, resize="stretch", images=None, **changes):
    """Returns (Contents of a model of MODELS, images, its outputs for them); the first image is the golden one."""
    raw = MODELS[name]() if isinstance(name, str) else name
    model = Model.parse(raw)
    if images is None:
        images = np.random.default_rng(1).integers(-128, 128, (4, *model.inputs[0].shape[1:])).astype(np.int8)
    outputs = ReferenceInterpreter(model.content).run(images)
    decoder = DECODERS[name](raw) if name in DECODERS else None
    arguments = {
        "model": model,
        "name": str(name) if isinstance(name, str) else "model",
        "arena_bytes": 0,
        "labels": ["rød", "green"] if decoder else LABELS,
        "golden_input": images[0],
        "golden_outputs": [output[0] for output in outputs],
        "decoder": decoder,
        "own_kernels": True,
        "plan": plan(network(model)),
        "resize": resize,
    } | changes
    return Contents(**arguments), images, outputs


def write(folder, contents):
    return library.write(folder, boards.load("stm32f746"), contents)


def run(*words, cwd=None, **environment):
    """Runs a command in the folder `cwd` and returns what it printed; fails with that, too."""
    command = [str(word) for word in words]
    variables = os.environ | environment
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{words}:\n{done.stdout}{done.stderr}"
    return done.stdout


STRICT = "-Wall -Wextra -Werror -Wundef -Wshadow -Wstrict-prototypes -Wmissing-prototypes"


def build(sources, folder, *words):
    """Builds with CMake; warnings are errors. The flags of a toolchain file are added to those of the environment."""
    run("cmake", "-S", sources, "-B", folder, *words, CFLAGS=STRICT)
    run("cmake", "--build", folder)
    return folder


class HostLibrary:
    """The library in the folder `sources`; statuses are the names of TinytrainStatus."""

    def __init__(self, sources, folder):
        build(sources, folder, "-DCMAKE_POSITION_INDEPENDENT_CODE=ON")
        shared = folder / "tinytrain.so"
        run("gcc", "-shared", "-o", shared, "-Wl,--whole-archive", folder / "libtinytrain.a", "-Wl,--no-whole-archive")
        self.dll, self.folder = ctypes.CDLL(str(shared)), folder
        needed = c_size_t()
        self.dll.tinytrain_init(None, 0, byref(needed))
        self.arena_bytes = needed.value

    def arena(self, more=0, offset=0, fill=0xA5):
        """Returns memory of `more` bytes more than needed, `offset` bytes behind a multiple of 16."""
        size = self.arena_bytes + more
        memory = np.full(size + 32, fill, np.uint8)
        first = -memory.ctypes.data % 16 + offset
        return memory[first : first + size]

    def call(self, name, arena, *arguments):
        function = getattr(self.dll, f"tinytrain_{name}")
        return STATUSES[function(None if arena is None else c_void_p(arena.ctypes.data), *arguments)]

    def init(self, arena, size=None):
        return self.call("init", arena, c_size_t(len(arena) if size is None else size), None)

    def values(self, arena, values, first=0):
        content = np.ascontiguousarray(values, np.int8)
        return self.call("input_values", arena, c_size_t(first), c_void_p(content.ctypes.data), c_size_t(content.size))

    def frame(self, arena, rows, width, form, stride=None, height=None):
        number = FRAME_FORMATS.index(form) if form in FRAME_FORMATS else form
        frame = Frame(rows.ctypes.data, width, rows.shape[0] if height is None else height, 0, number)
        frame.stride = rows.shape[1] if stride is None else stride
        return self.call("input", arena, byref(frame))

    def invoke(self, arena):
        return self.call("invoke", arena)

    def result(self, arena):
        result = Result()
        return self.call("result", arena, byref(result)), result

    def outputs(self, arena, count):
        return [self.output(arena, index) for index in range(count)]

    def output(self, arena, index):
        output = Output()
        assert self.call("output", arena, c_uint32(index), byref(output)) == "OK"
        return np.ctypeslib.as_array(output.data, (output.count,)).copy()

    def boxes(self, arena):
        """Returns the boxes of the last inference."""
        _, result = self.result(arena)
        found = [Box() for _ in range(result.boxes)]
        for index, box in enumerate(found):
            assert self.call("box", arena, c_uint32(index), byref(box)) == "OK"
        return found

    def run(self, arena, image):
        """Runs the network on an input; returns its outputs."""
        assert self.values(arena, image) == "OK"
        assert self.invoke(arena) == "OK"
