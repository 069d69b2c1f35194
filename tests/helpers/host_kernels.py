"""The kernels of firmware/kernels compiled for this computer, to be called with arrays."""

import ctypes
import subprocess

import numpy as np
from conftest import REPOSITORY

SOURCES = REPOSITORY / "firmware" / "kernels"
FLAGS = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion"]
GUARD = 0x5A  # around what a kernel writes
MARGIN = 64
WITH_SCRATCH = ("conv", "conv_1x1", "depthwise", "fully_connected")


class HostKernels:
    """A shared library of all kernels, built into `folder`."""

    def __init__(self, folder, sources=SOURCES):
        library = folder / "kernels.so"
        files = sorted(sources.glob("*.c"))
        subprocess.run(["gcc", *FLAGS, "-shared", "-fPIC", "-o", library, *files], check=True)
        self._library = ctypes.CDLL(str(library))

    def run(self, kernel, inputs, shape):
        """Returns the output (int8, of `shape`) of a Kernel; fails if it writes outside of output or scratch."""
        output, scratch = _guarded(int(np.prod(shape))), _guarded(kernel.scratch_bytes)
        block = ctypes.create_string_buffer(kernel.block, len(kernel.block))
        sources = [np.ascontiguousarray(each) for each in inputs]
        before = [each.copy() for each in sources]
        places = [block, *_arguments(kernel, [each.ctypes.data for each in sources]), _inner(output)]
        if kernel.name in WITH_SCRATCH:
            places.append(_inner(scratch))
        getattr(self._library, f"kernel_{kernel.name}")(*places)
        for memory in (output, scratch):
            assert (memory[:MARGIN] == GUARD).all(), f"{kernel.name} wrote before its memory"
            assert (memory[-MARGIN:] == GUARD).all(), f"{kernel.name} wrote behind its memory"
        assert all((old == new).all() for old, new in zip(before, sources, strict=True)), "an input was overwritten"
        return output[MARGIN:-MARGIN].view(np.int8).reshape(shape)

    def run_over(self, kernel, inputs, shape, overwritten=0):
        """Returns the output as `run` does, if it begins `kernel.lead` bytes before the input that it overwrites."""
        count = int(np.prod(shape))
        sources = [np.ascontiguousarray(each) for each in inputs]
        first = min(kernel.lead, count)
        memory = np.zeros(max(first + sources[overwritten].size, count), np.int8)
        memory[first : first + sources[overwritten].size] = sources[overwritten].reshape(-1)
        block = ctypes.create_string_buffer(kernel.block, len(kernel.block))
        scratch = np.zeros(kernel.scratch_bytes + 4, np.uint8)
        places = [each.ctypes.data for each in sources]
        places[overwritten] = memory.ctypes.data + first
        arguments = [block, *_arguments(kernel, places), ctypes.c_void_p(memory.ctypes.data)]
        if kernel.name in WITH_SCRATCH:
            arguments.append(ctypes.c_void_p(scratch.ctypes.data))
        getattr(self._library, f"kernel_{kernel.name}")(*arguments)
        return memory[:count].reshape(shape)


def _arguments(kernel, addresses):
    """Returns the inputs as a kernel takes them."""
    if kernel.name == "concatenation":
        return [(ctypes.c_void_p * len(addresses))(*addresses)]
    return map(ctypes.c_void_p, addresses)


def _guarded(count):
    return np.full(count + 2 * MARGIN, GUARD, np.uint8)


def _inner(memory):
    return ctypes.c_void_p(memory.ctypes.data + MARGIN)
