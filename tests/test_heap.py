"""Memory that is kept is not asked for again: page faults of blocks that are taken, written and freed in turn."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from tinytrain import heap
{keep}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    blocks = [np.ones(2**21, np.uint8) for _ in range(8)]
    del blocks
before = faults()
for _ in range(20):
    blocks = [np.ones(2**21, np.uint8) for _ in range(8)]
    del blocks
print(faults() - before)
"""


def page_faults(keep):
    program = PROGRAM.format(keep="heap.keep()" if keep else "")
    environment = {"MALLOC_MMAP_THRESHOLD_": str(2**17)}  # what glibc begins with: it may learn a larger one
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    return int(ended.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_freed_memory_is_used_again():
    # 20 times 16 MB are 81,920 pages of 4,096 bytes, or 160 of 2 MB where the kernel gives large ones.
    assert page_faults(keep=False) >= 160
    assert page_faults(keep=True) < 40
