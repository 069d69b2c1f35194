"""What the firmware takes of a board's memory: linked by make, or estimated without a compiler."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinytrain import files
from tinytrain.deploy import c_detector, make
from tinytrain.deploy.boards import Board
from tinytrain.deploy.compiled import flash
from tinytrain.deploy.compiled.plan import Plan
from tinytrain.deploy.decode.boxes import Decoder
from tinytrain.deploy.kernels import register
from tinytrain.deploy.tflm import lookup_tables, operators
from tinytrain.tflite.model import Model

STACK_BYTES = 4096  # STACK_BYTES of firmware/platform/Makefile
BESIDE_ARENA_BYTES = 8 * 1024  # kOtherRamBytes of firmware/app/inference.cc


@dataclass(frozen=True)
class Sizes:
    """Bytes of a linked or estimated firmware. flash = model + runtime + firmware, ram = arena + stack + other."""

    model_bytes: int
    runtime_bytes: int  # TFLM, CMSIS-NN, libc
    firmware_bytes: int  # this project's code, its kernels too, golden data and labels
    arena_bytes: int
    stack_bytes: int
    other_ram_bytes: int  # .data and .bss
    measured: bool  # False: estimated, see `estimate`

    @property
    def flash_bytes(self) -> int:
        """All that lies in flash."""
        return self.model_bytes + self.runtime_bytes + self.firmware_bytes

    @property
    def ram_bytes(self) -> int:
        """All that lies in RAM."""
        return self.arena_bytes + self.stack_bytes + self.other_ram_bytes


def arena_room_bytes(board: Board) -> int:
    """Returns how large an arena can be on `board`, about: the rest of the RAM is for stack and variables."""
    return board.ram_limit_bytes(STACK_BYTES) - STACK_BYTES - BESIDE_ARENA_BYTES


def keeps_image(board: Board, arena_bytes: int, input_bytes: int) -> bool:
    """Returns whether `board` has room to keep the input beside the arena, as kImageFits of inference.cc says."""
    return board.ram_bytes - STACK_BYTES - BESIDE_ARENA_BYTES - arena_bytes >= input_bytes


def link(firmware: Path, board: Board, tflm: Path | None, build: Path | None = None) -> Sizes:
    """Builds the folder `firmware` for `board` and returns the sizes.

    Args:
        firmware: what `targets.bare_metal.write` returned.
        board: the board.
        tflm: TFLM_DIR, or None for the stub engine.
        build: where to put what is built; by default a temporary folder.

    Raises:
        DoesNotFit: the linker found the image larger than flash or RAM.
        UserError: the library in TFLM_DIR is for another core or FPU.
        TinytrainError: the build failed; the message holds what make printed.

    """
    if build is None:
        with files.folder() as temporary:
            return link(firmware, board, tflm, temporary)
    lines = make.run(firmware, board, tflm, "size", BUILD=str(build))
    sections = {name: int(size) for name, size in (line.split() for line in lines.splitlines() if line)}
    own_bytes = _own_flash_bytes(next(build.glob("*/firmware.map")))
    flash_bytes = sum(sections.get(name, 0) for name in (".vectors", ".text", ".model", ".rodata", ".exidx", ".data"))
    model_bytes = sections[".model"]
    return Sizes(
        model_bytes=model_bytes,
        runtime_bytes=flash_bytes - own_bytes,
        firmware_bytes=own_bytes - model_bytes,
        arena_bytes=sections[".arena"],
        stack_bytes=sections[".stack"],
        other_ram_bytes=sections.get(".data", 0) + sections.get(".bss", 0),
        measured=True,
    )


def _own_flash_bytes(linker_map: Path) -> int:
    """Returns the bytes in flash that come from our objects: those in the build folder, not in an archive."""
    # ` .text.main  0x08000220  0x1a4 build/…/main.o`, after a long name broken into two lines
    text = linker_map.read_text().split("Linker script and memory map")[1]
    row = re.compile(r"^ \.(vectors|text|rodata|data|ARM)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S+\.o)$", re.MULTILINE)
    return sum(
        int(size, 16) for _, size, path in row.findall(text) if "(" not in path and str(linker_map.parent) in path
    )


def estimate(
    model: Model, arena_bytes: int, board: Board, decoder: Decoder | None = None, plan: Plan | None = None
) -> Sizes:
    """Returns the sizes on `board`, without compiler and TFLM: as TFLM with CMSIS-NN and its error texts gives them.

    With a plan, they are those of the compiled engine. The error against real links stands beside the tables in
    deploy/tflm/operators.py and deploy/compiled/flash.py.

    Args:
        model: what the firmware holds, or the model of the plan.
        arena_bytes: of the tensor arena.
        board: the board.
        decoder: that of a detector.
        plan: of the compiled engine, None for TFLM.
    """
    input_bytes, output_bytes = (
        sum(int(np.prod(tensor.shape)) for tensor in tensors) for tensors in (model.inputs, model.outputs)
    )
    taken_bytes = 0 if keeps_image(board, arena_bytes, input_bytes) else output_bytes + operators.TAKEN_BYTES
    if plan:
        model_bytes, runtime_bytes, code_bytes = flash.model_bytes(plan), flash.LIBC_BYTES, flash.code_bytes(plan)
    else:
        model_bytes = len(model.content)
        runtime_bytes, code_bytes = register.flash_bytes(model)
        code_bytes += operators.TABLE_BYTES * len(lookup_tables.operators(model))
    boxes_flash_bytes, boxes_ram_bytes = (
        (c_detector.flash_bytes(decoder), c_detector.ram_bytes(decoder)) if decoder else (0, 0)
    )
    return Sizes(
        model_bytes=model_bytes,
        runtime_bytes=runtime_bytes,
        firmware_bytes=operators.FIRMWARE_BYTES + code_bytes + input_bytes + output_bytes + boxes_flash_bytes,
        arena_bytes=arena_bytes,
        stack_bytes=STACK_BYTES,
        other_ram_bytes=operators.OTHER_RAM_BYTES + taken_bytes + boxes_ram_bytes,
        measured=False,
    )
