"""COBS framing on a serial line: bytes into `00 COBS(body) 00` and back, and the text between (firmware/PROTOCOL.md).

COBS (Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking, 1999) takes every
0x00 out of a body for one byte in 254. A frame is distinguished from text by its content, not by counting zeros:
whatever stands between two zeros and has the right length and CRC-32 is one. So a lost zero costs one frame and never
the next.
"""

import re
import struct
import zlib
from dataclasses import dataclass

HEADER = struct.Struct("<BHH")  # type, sequence number, bytes of the payload
CRC = struct.Struct("<I")
LONGEST_PAYLOAD = 512
_BLOCK = 254  # the most bytes that one code byte of COBS covers
_LONGEST_FRAME = HEADER.size + LONGEST_PAYLOAD + CRC.size + 4  # COBS adds a byte in 254, and one
_LONGEST_LINE = 2**16  # of text: `m-results` has 6 characters a value
_TEXT = re.compile(rb"[\t\x20-\xff]*")  # UTF-8; what is left of a damaged frame mostly has control characters
# How lines begin that matter inside of a broken frame.
_LINE = re.compile(rb"(?:m-|e-\[|failed: )[\x20-\xff]*(?=\r?\n)")


@dataclass(frozen=True)
class Frame:
    """One frame: its type, the sequence number 0..65535, its payload."""

    kind: int
    sequence: int
    payload: bytes


def encode(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    """Returns the bytes of a frame, both zeros included.

    Args:
        kind: the type of the message, 0..255.
        sequence: its number, 0..65535.
        payload: at most LONGEST_PAYLOAD bytes.
    """
    body = HEADER.pack(kind, sequence, len(payload)) + payload
    return b"\0" + stuff(body + CRC.pack(zlib.crc32(body))) + b"\0"


def decode(stuffed: bytes) -> Frame | None:
    """Returns the frame that stood between two zeros, or None if there is none, or it is damaged."""
    body = unstuff(stuffed)
    if body is None or len(body) < HEADER.size + CRC.size:
        return None
    kind, sequence, length = HEADER.unpack_from(body)
    end = HEADER.size + length
    if len(body) != end + CRC.size or CRC.unpack_from(body, end)[0] != zlib.crc32(body[:end]):
        return None
    return Frame(kind, sequence, body[HEADER.size : end])


def stuff(data: bytes) -> bytes:
    """Returns COBS(data), which holds no 0x00."""
    blocks: list[bytes] = []
    pieces = data.split(b"\0")
    for piece in pieces:
        full = len(piece) - len(piece) % _BLOCK
        for start in range(0, full, _BLOCK):
            blocks += b"\xff", piece[start : start + _BLOCK]  # 0xFF: 254 bytes, and no zero behind them
        blocks += bytes([len(piece) - full + 1]), piece[full:]
    if pieces[-1] and len(pieces[-1]) % _BLOCK == 0:
        del blocks[-2:]  # the end needs no zero that is then taken away
    return b"".join(blocks)


def unstuff(stuffed: bytes) -> bytes | None:
    """Returns the data of COBS(data) without its zero, or None if `stuffed` is not COBS."""
    blocks, start, size = [], 0, len(stuffed)
    while start < size:
        code = stuffed[start]
        if code == 0 or start + code > size:
            return None
        blocks.append(stuffed[start + 1 : start + code])
        start += code
        if code < 0xFF and start < size:
            blocks.append(b"\0")
    return b"".join(blocks)


class Decoder:
    """Splits what a serial line delivers, in pieces of any size, into frames and lines of text."""

    def __init__(self) -> None:
        self.damaged = 0  # what stood between zeros and was neither frame nor text
        self._pending = b""  # what came after the last zero
        self._outside = True  # the last zero closed a frame: what comes is text at once
        self._text = b""  # a line of text that has not ended

    def feed(self, data: bytes) -> tuple[list[Frame], list[str]]:
        """Returns the frames and the lines of text that `data` completes, each in their order."""
        *chunks, rest = data.split(b"\0")
        frames: list[Frame] = []
        lines: list[str] = []
        for chunk in chunks:
            closed, text = self._close(chunk)
            frames += closed
            lines += text
        self._pending += rest
        if self._outside:
            lines += self._read_text(rest)
            self._pending = self._pending[-_LONGEST_FRAME:]
        elif len(self._pending) > _LONGEST_FRAME:
            lines += self.idle()  # too long for a frame, so it was text
        return frames, lines

    def idle(self) -> list[str]:
        """Ends a frame that stays open, such as one in which the board restarted; returns the lines in it."""
        if self._outside:
            return []
        self._outside, broken = True, self._pending
        *_, self._text = broken.split(b"\n")
        return _lines_in(broken)

    def _close(self, chunk: bytes) -> tuple[list[Frame], list[str]]:
        """A zero has come: returns the frame or the text that it ends. One that ends no frame may open one."""
        stuffed, self._pending = self._pending + chunk, b""
        frame = decode(stuffed) if stuffed else None
        lines = []
        if self._outside:
            lines = self._read_text(chunk)
        elif frame is None and stuffed:
            self.damaged += 1
            lines = _lines_in(stuffed)
        self._outside = frame is not None
        return ([frame] if frame else []), lines

    def _read_text(self, data: bytes) -> list[str]:
        *lines, self._text = (self._text + data).split(b"\n")
        self._text = self._text[-_LONGEST_LINE:]
        return [line.decode(errors="replace").rstrip("\r") for line in lines if _TEXT.fullmatch(line.rstrip(b"\r"))]


def _lines_in(broken: bytes) -> list[str]:
    """Returns the lines that matter in bytes that are no frame: those of a board that restarted while it sent one."""
    return [line.decode(errors="replace") for line in _LINE.findall(broken)]
