"""The firmware's time, on a counter of this machine that wraps around as a board's does."""

import shutil
import subprocess

from conftest import REPOSITORY, needs_tool

CLOCK_HZ = 216_000_000
STEPS = [0, 1, 2**32 - 2, 5, 2**31, 2**31, 2**32 - 1, 216_000_000, 0, 3_000_000_000]  # ticks between two looks
BOARD = f"""
#include <stdint.h>
#define BOARD_CLOCK_HZ {CLOCK_HZ}
#define BOARD_COUNTS 5
#define BOARD_TICKS 16
uint32_t board_ticks(void);
"""
PROGRAM = """
#include <inttypes.h>
#include <stdio.h>
#include "ticks.h"
#include "board.h"
static uint64_t now;
uint32_t board_ticks(void) { return (uint32_t)now; }
int main(void) {
    const uint64_t steps[] = {STEPS};
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; ++i) {
        now += steps[i];
        uint64_t ticks = ticks_now();
        printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\\n", ticks, microseconds_now(), ticks_to_counts(ticks));
    }
}
"""


@needs_tool("gcc")
def test_no_tick_is_lost_when_the_counter_wraps_around(tmp_path):
    for path in (REPOSITORY / "firmware").rglob("ticks.[ch]"):
        shutil.copy(path, tmp_path)
    (tmp_path / "board.h").write_text(BOARD)
    (tmp_path / "main.c").write_text(PROGRAM)
    steps = f"-DSTEPS={', '.join(f'{step}u' for step in STEPS)}"
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Werror", steps, "main.c", "ticks.c", "-o", "ticks"], cwd=tmp_path, check=True
    )
    printed = subprocess.run([tmp_path / "ticks"], capture_output=True, text=True, timeout=60, check=True).stdout
    ticks = [sum(STEPS[: number + 1]) for number in range(len(STEPS))]
    expected = [(total, total * 1_000_000 // CLOCK_HZ, total * 5 // 16) for total in ticks]
    assert [tuple(map(int, line.split())) for line in printed.splitlines()] == expected
