"""Ports of microcontrollers run on this machine, their registers words of a table (stm32_model.c, rp2350_model.c)."""

import re

from conftest import REPOSITORY


class Printed:
    """What a model printed: lines without dumps, and the registers at each point as {point: {address: value}}."""

    def __init__(self, text):
        self.lines, self.registers = [], {"init": {}, "9600": {}, "end": {}}
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            if word in self.registers:
                address, value = rest.split()
                self.registers[word][int(address, 16)] = int(value, 16)
            else:
                self.lines.append(line)

    def rates(self):
        """Returns {baud: (whether it was set, BRR)}."""
        rows = [line.split()[1:] for line in self.lines if line.startswith("baud")]
        return {int(baud): (set_ == "1", int(divider)) for baud, set_, divider in rows}


def write_core_registers(folder):
    """Writes `folder`/cortex_m.h: that of the firmware, but its registers are those of the model."""
    real = (REPOSITORY / "firmware/platform/cortex_m.h").read_text()
    fake = real.replace("(*(volatile uint32_t *)(address))", "(*model_register(address))")
    fake = re.sub(r"__asm volatile\(.*\);", "", fake)
    declared = "#include <stdint.h>\n", "#include <stdint.h>\nvolatile uint32_t *model_register(uint32_t address);\n"
    (folder / "cortex_m.h").write_text(fake.replace(*declared))
