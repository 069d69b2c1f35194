"""Runs C functions alone on an emulated board, on the firmware's platform without TFLM: instructions of each call."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinytrain.config import plugins
from tinytrain.deploy import make
from tinytrain.deploy.boards import Board
from tinytrain.deploy.kernels.kernel import Kernel

PLATFORM = ("startup", "mpu", "serial", "ticks", "console", "post_mortem", "ports/mps2")
STRUCTS = {"conv": "Conv", "conv_1x1": "Conv", "fully_connected": "Conv", "depthwise": "Depthwise", "add": "Add"}
STRUCTS |= {"average_pool": "Pool"}
TENSOR_BYTES, SCRATCH_BYTES = 400_000, 20_000

MAIN = """\
{declarations}
#include "board.h"
#include "console.h"
#include "ticks.h"

{variables}

// The least of three: the emulator's clock sometimes runs on by some instructions' time while it is held up.
#define COUNT(call)                                                  \\
    do {{                                                             \\
        uint64_t least = UINT64_MAX;                                 \\
        for (int run = 0; run < 3; ++run) {{                          \\
            const uint64_t before = ticks_now();                     \\
            call;                                                    \\
            const uint64_t ticks = ticks_now() - before;             \\
            if (ticks < least) least = ticks;                        \\
        }}                                                            \\
        print_unsigned((uint32_t)ticks_to_counts(least));            \\
        print("\\n");                                                \\
    }} while (0)

int main(void) {{
    board_init();
    uint32_t state = 1;  // values of all sizes: bounds cost what is beyond them
    for (uint32_t i = 0; i < sizeof input; ++i) {{
        state = state * 1664525 + 1013904223;
        input[i] = (int8_t)(state >> 24);
        second[i] = (int8_t)(state >> 16);
    }}
    {prepare}
{calls}
    board_exit(0);
}}
"""


def instructions(
    calls: Sequence[str],
    board: Board,
    sources: Sequence[str],
    files: Mapping[str, str],
    settings: Mapping[str, str],
    **parts: str,
) -> list[int]:
    """Returns the instructions of each of `calls`.

    Args:
        calls: C expressions.
        board: an emulated board.
        sources: of the functions, as the firmware's Makefile finds them.
        files: further files to write into the firmware folder, and their texts.
        settings: variables of the Makefile.
        parts: the other parts of MAIN; `input` and `second` are among the variables.
    """
    with tempfile.TemporaryDirectory() as folder:
        firmware = Path(folder) / "firmware"
        shutil.copytree(plugins.data_folder("firmware"), firmware, ignore=shutil.ignore_patterns("build", "model"))
        (firmware / "model").mkdir()
        main = MAIN.format(calls="\n".join(f"    COUNT({call});" for call in calls), **parts)
        header = "inline constexpr unsigned kArenaBytes = 16;\n"
        every = {"app/alone.c": main, "model/model_data.h": header, "model/model_data.cc": ""} | dict(files)
        for name, text in every.items():
            (firmware / name).write_text(text)
        names = [*(f"platform/{name}.c" for name in PLATFORM), "app/alone.c", *sources]
        printed = make.run(firmware, board, None, "emulate", SOURCES=" ".join(names), **settings)
    return [int(line) for line in printed.split()]


def counted(kernels: Sequence[Kernel], board: Board) -> list[int]:
    """Returns the instructions of one call of each kernel of firmware/kernels, on values drawn at random."""
    sources = sorted(f"kernels/{path.name}" for path in (plugins.data_folder("firmware") / "kernels").glob("*.c"))
    tensors = ", ".join(f"{name}[{TENSOR_BYTES}]" for name in ("input", "second", "output"))
    scratch = f"static uint32_t scratch[{SCRATCH_BYTES} / 4];"
    return instructions(
        [_call(number, kernel.name) for number, kernel in enumerate(kernels)],
        board,
        sources,
        {},
        {"KERNELS": " ".join(sources)},
        declarations='#include "kernels/kernels.h"',
        variables="\n".join([f"static int8_t {tensors};", scratch, *map(_block, range(len(kernels)), kernels)]),
        prepare="(void)scratch;",
    )


def _block(number: int, kernel: Kernel) -> str:
    block = kernel.block + bytes(-len(kernel.block) % 4)
    words = ",".join(f"{word}u" for word in np.frombuffer(block, "<u4").tolist())
    return f"static const uint32_t block_{number}[] = {{{words}}};"


def _call(number: int, name: str) -> str:
    data = ["input", "second", "output"] if name == "add" else ["input", "output"]
    scratch = [] if name in ("add", "average_pool") else ["scratch"]
    return f"kernel_{name}({', '.join([f'(const Kernel{STRUCTS[name]} *)block_{number}', *data, *scratch])})"
