"""Lets the C library keep the memory that TensorFlow gives back, since the next step asks for as much again."""

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, ARENA_MAX = -1, -2, -3, -8  # parameters of mallopt in glibc's malloc.h
SETTINGS = {
    TRIM_THRESHOLD: 2**31 - 1,  # bytes free at the end of the heap before they go back to the kernel
    TOP_PAD: 2**27,  # bytes that the heap grows by
    MMAP_THRESHOLD: 2**25,  # bytes, the most that glibc takes; larger blocks are mapped, and given back, one by one
    ARENA_MAX: 1,  # heaps; those of other threads are at most 64 MB each and are given back whole
}


def keep() -> None:
    """Makes glibc keep freed memory; elsewhere it does nothing.

    By default each training step hands its larger tensors back to the kernel, which must clear the pages when the next
    step touches them: about a sixth of the processor time of a small network (benchmarks/heap.py).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        for parameter, value in SETTINGS.items():
            mallopt(parameter, value)
