"""What the tests of the firmware share: an emitted folder, make, the stub engine's output."""

import os
import subprocess

import numpy as np
import pytest
from conftest import needs_tool
from int8_models import FILTERS, INPUT_SHAPE, conv_model

from tinytrain.deploy import boards, make
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.targets import bare_metal
from tinytrain.tflite.model import Model

EMULATED = "mps2_an500"
ALL_EMULATED = [name for name in boards.names() if boards.load(name).emulated]
STACK_BEGINS = {name: int(boards.load(name).values["RAM_ORIGIN"]) for name in ALL_EMULATED}
INPUT = np.random.default_rng(1).integers(-128, 128, INPUT_SHAPE).astype(np.int8)
FULL_ARENA_BYTES = 320 * 1024 - 4096 - 8192 - INPUT.size + 16  # leaves an STM32F746 no room to keep the input
needs_compiler = needs_tool("arm-none-eabi-gcc")
LACKING = make.lacking(emulator=True, tflm=False)
needs_emulator = pytest.mark.skipif(bool(LACKING), reason=LACKING)
needs_tflm = pytest.mark.skipif(bool(make.lacking(emulator=True)), reason=make.lacking(emulator=True))


def full_stack(board):
    """Returns how the address begins at which a stack that grows call by call is told to be full.

    Below where it begins, where the MPU closes memory; or, on a core that knows this limit, at the last frame above.
    """
    begins = STACK_BEGINS[board]
    return f"0x{begins >> 8:06x}" if boards.load(board).core == "cortex-m33" else below_the_stack(board)


def below_the_stack(board):
    """Returns how the addresses begin that are less than 64 KiB below the stack."""
    return f"0x{(STACK_BEGINS[board] - 1) >> 16:04x}"


def stub_output(values, count):
    """Returns what engine_stub.cc computes: FNV-1a of the input, then a linear congruential generator."""
    state, output = 2166136261, []
    for value in values.astype(np.uint8).ravel().tolist():
        state = (state ^ value) * 16777619 % 2**32
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        output.append(state >> 24)
    return np.array(output, np.uint8).view(np.int8)


def stub_outputs(values, tensors):
    """Returns what engine_stub.cc computes for each of these outputs of a model, (elements,) int8."""
    sizes = [int(np.prod(tensor.shape)) for tensor in tensors]
    return np.split(stub_output(values, sum(sizes)), np.cumsum(sizes)[:-1])


def emit(folder, **changes):
    """Writes a firmware folder; `model`, if it is given, are the bytes of a .tflite."""
    arguments = {
        "model": conv_model(),
        "name": "conv",
        "arena_bytes": 8192,
        "labels": ["cat", "dog"],
        "golden_input": INPUT,
        "golden_outputs": [stub_output(INPUT, 16 * FILTERS)],
    } | changes
    arguments["model"] = Model.parse(arguments["model"])
    return bare_metal.write(folder, boards.load("stm32f746"), Contents(**arguments))


def run_make(folder, *arguments):
    command = ["make", "-s", "-C", str(folder), *arguments]
    variables = {key: value for key, value in os.environ.items() if key not in ("TFLM_DIR", "MAKEFLAGS")}
    done = subprocess.run(command, capture_output=True, env=variables, check=False)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()  # text=True would turn \r\n into \n
    return done


def emulate(folder, *arguments, board=EMULATED):
    return run_make(folder, "emulate", f"BOARD={board}", "ENGINE=stub", *arguments)
