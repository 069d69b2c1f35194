"""Writes firmware.uf2 out of firmware.bin: `python3 uf2.py BIN UF2 ADDRESS FAMILY`.

The format is that of https://github.com/microsoft/uf2: blocks of 512 bytes, each with 256 bytes for the flash.
"""

import struct
import sys
from pathlib import Path

MAGIC, SECOND_MAGIC, LAST_MAGIC = 0x0A324655, 0x9E5D5157, 0x0AB16F30
FAMILY_PRESENT = 0x2000
PAYLOAD_BYTES = 256


def blocks(content: bytes, address: int, family: int) -> bytes:
    """Returns the UF2 file that puts `content` at `address` of a microcontroller of `family`."""
    count = -(-len(content) // PAYLOAD_BYTES)
    file = bytearray()
    for number in range(count):
        start = number * PAYLOAD_BYTES
        payload = content[start : start + PAYLOAD_BYTES].ljust(PAYLOAD_BYTES, b"\xff")  # as erased flash
        numbers = (MAGIC, SECOND_MAGIC, FAMILY_PRESENT, address + start, PAYLOAD_BYTES, number, count, family)
        file += struct.pack("<8I476sI", *numbers, payload, LAST_MAGIC)
    return bytes(file)


if __name__ == "__main__":
    source, target, first, kind = sys.argv[1:]
    Path(target).write_bytes(blocks(Path(source).read_bytes(), int(first, 0), int(kind, 0)))
