"""Inner loops of firmware/kernels beside CMSIS-NN's: loads, multiplies and branches, from the disassembly.

For each loop that multiplies and has no other one in it, it prints how many instructions of each kind a turn has, and
the fewest cycles that the core needs for them if memory never waits:

- Cortex-M4 (its Technical Reference Manual, 3.3): one cycle each, but a load takes 2, or 1 behind another one, LDRD and
  LDM 1 + their registers, a branch taken 3.
- Cortex-M7: two instructions a cycle, of which at most one multiplies and one reads or writes memory; LDM two registers
  a cycle. Arm publishes no table for it, so this is a bound: a register that is not ready yet costs more.

    TFLM_DIR=... python benchmarks/inner_loops.py [--board mps2_an500] [--json]
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinytrain import tables
from tinytrain.config import plugins
from tinytrain.deploy import boards, make

OURS = {  # functions whose inner loops most instructions of a network are in
    "columns": ("saturate_two", "round_two", "saturate_one"),
    "depthwise": ("output_3", "output_3_by_2", "output_5", "output_7"),
    "add": ("kernel_add",),
}
CMSIS_NN = ("arm_nn_mat_mult_kernel_s8_s16", "arm_nn_mat_mult_nt_t_s8", "arm_depthwise_conv_3x3_s8")
LEAST = 4  # multiplies of a turn; other loops fill, copy or do what is left over
FLAGS = ("-mthumb", "-mfloat-abi=hard", "-std=gnu11", "-O2", "-ffunction-sections", "-funsigned-char")
LOADS = ("ldr", "ldm", "ldrd", "pop", "vldr", "vldm")
STORES = ("str", "stm", "strd", "push", "vstr")
MULTIPLIES = ("smla", "smlsd", "smmla", "smmul", "smul", "mul", "mla", "smull", "umull", "smuad")
LINE = re.compile(r"^\s+([0-9a-f]+):\t(?:[0-9a-f]{4} ?)+\s*\t(\S+)\t?(.*)$")


@dataclass(frozen=True)
class Instruction:
    """One line of the disassembly."""

    address: int
    name: str
    operands: str

    def begins(self, *names: str) -> bool:
        """Returns whether its name begins with one of `names`."""
        return self.name.startswith(names)

    @property
    def registers(self) -> int:
        """How many registers it loads or stores."""
        if self.begins("ldrd", "strd"):
            return 2
        if "{" not in self.operands:
            return 1
        spans = re.search(r"\{(.*?)\}", self.operands)[1].split(",")
        return sum(_number(span.split("-")[-1]) - _number(span.split("-")[0]) + 1 for span in spans)


@dataclass(frozen=True)
class Loop:
    """The instructions of a turn."""

    function: str
    body: Sequence[Instruction]

    def count(self, *names: str) -> int:
        """Returns how many instructions begin with one of `names`."""
        return sum(each.begins(*names) for each in self.body)

    @property
    def branches(self) -> int:
        """Branches and what makes others conditional."""
        return sum(each.begins("b", "cb") and not each.begins("bfi", "bic") for each in self.body)

    @property
    def m4_cycles(self) -> int:
        """The fewest cycles of a Cortex-M4."""
        cycles, was_load = 0, False
        for each in self.body:
            is_load = each.begins(*LOADS)
            several = each.registers if is_load or each.begins(*STORES) else 1
            cycles += several + (is_load and not was_load)
            was_load = is_load
        return cycles + 2 * (self.branches > 0)

    @property
    def m7_cycles(self) -> float:
        """The fewest cycles of a Cortex-M7."""
        memory = sum(-(-each.registers // 2) for each in self.body if each.begins(*LOADS, *STORES))
        more = memory - self.count(*LOADS, *STORES)  # an LDM of four registers takes two turns of the pipeline
        return max((len(self.body) + more) / 2, self.count(*MULTIPLIES), memory)


def _number(register: str) -> int:
    named = {"sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}
    register = register.strip()
    return named[register] if register in named else int(register[1:])


def loops(objects: Path) -> Iterator[Loop]:
    """Yields the inner loops of the functions of an object file."""
    text = subprocess.run(["arm-none-eabi-objdump", "-d", objects], check=True, capture_output=True, text=True).stdout
    for part in re.split(r"\n(?=[0-9a-f]+ <)", text):
        head = re.match(r"[0-9a-f]+ <(\S+)>:", part)
        if head is None:
            continue
        code = [Instruction(int(m[1], 16), m[2].split(".")[0], m[3]) for m in map(LINE.match, part.splitlines()) if m]
        ends = [(each, int(each.operands.split()[-2], 16)) for each in code if _is_backward(each)]
        for end, begin in ends:
            if not any(begin <= other_begin and other.address < end.address for other, other_begin in ends):
                yield Loop(head[1], [each for each in code if begin <= each.address <= end.address])


def _is_backward(instruction: Instruction) -> bool:
    target = re.search(r"([0-9a-f]+) <", instruction.operands)
    if not instruction.begins("b", "cb") or instruction.begins("bl", "bx", "bfi", "bic") or target is None:
        return False
    return int(target[1], 16) <= instruction.address


def ours(board: boards.Board, folder: Path) -> Iterator[Loop]:
    """Yields the loops of OURS, compiled as the firmware's Makefile does."""
    source = plugins.data_folder("firmware") / "kernels"
    for name, functions in OURS.items():
        path = folder / f"{name}.o"
        fpu = re.search(r'BOARD_FPU "(\S+)"', board.path.read_text())[1]
        command = ["arm-none-eabi-gcc", f"-mcpu={board.core}", f"-mfpu={fpu}", *FLAGS, "-c", source / f"{name}.c"]
        subprocess.run([*command, "-o", path], check=True)
        yield from (loop for loop in loops(path) if loop.function in functions)


def cmsis_nn(library: Path, folder: Path) -> Iterator[Loop]:
    """Yields the loops of CMSIS_NN in TFLM's library."""
    for name in CMSIS_NN:
        subprocess.run(["arm-none-eabi-ar", "x", library, f"{name}.o"], check=True, cwd=folder)
        yield from loops(folder / f"{name}.o")


def row(whose: str, loop: Loop) -> dict[str, object]:
    """Returns the row of a loop."""
    count = len(loop.body)
    return {
        "whose": whose,
        "function": loop.function,
        "instructions": count,
        "loads": loop.count(*LOADS),
        "stores": loop.count(*STORES),
        "multiplies": loop.count(*MULTIPLIES),
        "branches": loop.branches,
        "m4_cycles": round(loop.m4_cycles / count, 2),
        "m7_cycles": round(loop.m7_cycles / count, 2),
    }


def main() -> int:
    """Prints the table; the last two columns are cycles an instruction."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="mps2_an500", help="the board to compile for")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    options = parser.parse_args()
    if reason := make.lacking():
        print(reason, file=sys.stderr)
        return 2
    board, rows = boards.load(options.board), []
    with tempfile.TemporaryDirectory() as folder:
        library = make.tflm_dir() / "lib" / "libtensorflow-microlite.a"
        for whose, found in (("ours", ours(board, Path(folder))), ("CMSIS-NN", cmsis_nn(library, Path(folder)))):
            rows += [row(whose, loop) for loop in found if loop.count(*LOADS) and loop.count(*MULTIPLIES) >= LEAST]
    keys = list(rows[0])
    cells = [tuple(key.replace("_", " ") for key in keys), *(tuple(str(each[key]) for key in keys) for each in rows)]
    print("\n".join(tables.aligned(cells, ("<10", "<34", *[">14"] * (len(keys) - 2)))))
    if options.json:
        print(json.dumps({"board": board.name, "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
