"""Lets the assembler read the model of a firmware folder from a file: compiling megabytes of numbers takes long."""

import re
from pathlib import Path

from tinytrain.deploy.c_source import read_model_data

ARRAY = re.compile(r"^alignas\(\d+\) __attribute__\S+ const uint8_t kModel\[.*?\};\n", re.DOTALL | re.MULTILINE)
TEXT = """\
asm(".pushsection .rodata.model, \\"a\\", %progbits\\n.balign 16\\n.global kModel\\nkModel:\\n"
    ".incbin \\"model/model.bin\\"\\n.popsection");
"""


def embed(sources: Path) -> None:
    """Changes model/model_data.cc of the folder `sources` so; the program stays the same."""
    path = sources / "model" / "model_data.cc"
    text = path.read_text()
    (sources / "model" / "model.bin").write_bytes(read_model_data(path))
    path.write_text(ARRAY.sub(lambda _: TEXT, text, count=1))
