"""The payloads of the frames of the binary protocol (firmware/PROTOCOL.md, the table of types)."""

import re
import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from tinytrain.config.fields import MOST_BOXES
from tinytrain.deploy.decode.boxes import BOX
from tinytrain.errors import TinytrainError, UserError, shown

VERSION = 4
ANSWER = 0x80  # an answer's type is its request's with this bit
ERROR = 0xFF
WRONG_PAYLOAD = 2  # the code of the error that HELLO gets from firmware of another version
INPUT_IS_ANOTHER = 3  # the code of the error that asks for all IMAGE frames again

_NUMBERS = struct.Struct("<HH15I")
_TEXTS = 5
_STATUS = struct.Struct("<Q5I")
_INFERRED = struct.Struct("<IQI")
_PROFILE = struct.Struct("<HH")
_OUTPUT_INFO = struct.Struct("<IfiI")
_BOXES = struct.Struct("<HHI")
_U32 = 2**32 - 1
_BOUNDS = {  # of numbers in HELLO that something is divided by or counted to
    "longest_payload": (16, 65_535),
    "outputs": (1, 65_535),
    "operators": (1, 65_535),
    "clock_hz": (1000, _U32),
    "counts": (1, _U32),
    "ticks": (1, _U32),
    "boxes": (0, MOST_BOXES),
    "keeps_input": (0, 1),
}
_UNITS = ("cycles", "instructions")
_LONGEST_TEXT = 300  # characters: a name has what a file name has at most


class BoardWrong(TinytrainError):
    """The board gave an answer that cannot be right, whatever its model computes."""

    def __init__(self, what: str, received: object, expected: str) -> None:
        super().__init__(f"the board answers {what} wrong: {shown(received)}, expected {expected}; flash it again")


class Kind(IntEnum):
    """Types of requests."""

    HELLO = 1
    BAUD = 2
    IMAGE = 3
    INFER = 4
    OUTPUT = 5
    PROFILE = 6
    STATUS = 7
    RESET = 8
    OUTPUT_INFO = 9
    BOXES = 10


@dataclass(frozen=True)
class Hello:
    """What a board is and holds. Sizes in bytes; `counts / ticks` of a tick are one of `unit`."""

    version: int
    longest_payload: int
    model_crc: int
    model_bytes: int
    input_bytes: int
    output_bytes: int  # of all outputs together
    arena_bytes: int
    arena_used_bytes: int
    stack_bytes: int
    outputs: int
    operators: int
    clock_hz: int
    counts: int
    ticks: int
    boxes: int  # most boxes of an image, 0 if the model is no detector
    decoder_crc: int  # by which the decoder of a detector is known
    keeps_input: int  # 1: beside the arena; 0: the engine takes it piece by piece, and each is answered
    board: str
    engine: str
    model: str
    unit: str  # "cycles" or "instructions"
    restarted: str  # why it restarted, "" after power on or reset

    @property
    def emulated(self) -> bool:
        """Whether it is an emulator's: what counts instructions has no latency."""
        return self.unit != "cycles"

    def in_unit(self, ticks: int) -> float:
        """Returns ticks of the board's counter as cycles or instructions."""
        return ticks * self.counts / self.ticks


@dataclass(frozen=True)
class Status:
    """The state of a board since its reset: times in microseconds, sizes in bytes, and how often the line failed."""

    uptime_us: int
    stack_used_bytes: int
    stack_bytes: int
    overrun_bytes: int
    damaged_frames: int
    line_errors: int


@dataclass(frozen=True)
class OutputInfo:
    """One output of a model: its size, and scale and zero point, real = scale · (int8 - zero_point)."""

    size_bytes: int
    scale: float
    zero_point: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Boxes:
    """An answer to BOXES: how many there are in all, the number of the first one here, ticks of the decoding, boxes.

    boxes: (n,) BOX.
    """

    count: int
    first: int
    ticks: int
    boxes: np.ndarray


@dataclass(frozen=True)
class Inferred:
    """An answer to INFER: inferences, ticks of all of them, CRC-32 of all outputs, the first bytes of them."""

    count: int
    ticks: int
    outputs_crc: int
    outputs: bytes


def other_version(version: int) -> UserError:
    """Returns the error for a board with another version of the protocol."""
    return UserError(
        f"the board speaks version {version} of the protocol, this tinytrain {VERSION}: export and flash it again"
    )


def version_named(text: str) -> int | None:
    """Returns the version that the text of an error to HELLO names, None if it names none."""
    match = re.match(r"HELLO takes version (\d{1,5})\b", text)
    return int(match[1]) if match else None


def read_hello(payload: bytes) -> Hello:
    """Returns the answer to HELLO.

    Raises UserError if it is of another version of the protocol, BoardWrong if a number or a text in it cannot be.
    """
    if payload[:2] != struct.pack("<H", VERSION):
        raise other_version(int.from_bytes(payload[:2], "little"))
    texts = payload[_NUMBERS.size :].decode(errors="replace").split("\0")
    if len(texts) <= _TEXTS:  # each is ended by a zero
        raise BoardWrong("HELLO", payload, f"{_NUMBERS.size} bytes and {_TEXTS} texts")
    hello = Hello(*_NUMBERS.unpack_from(payload), *texts[:_TEXTS])
    for name, (low, high) in _BOUNDS.items():
        if not low <= getattr(hello, name) <= high:
            raise BoardWrong("HELLO", f"{name} {getattr(hello, name)}", f"{low:,} to {high:,}")
    for text in texts[:_TEXTS]:
        if not text.isprintable() or len(text) > _LONGEST_TEXT:
            raise BoardWrong("HELLO", text, f"at most {_LONGEST_TEXT} printable characters")
    if hello.unit not in _UNITS:
        raise BoardWrong("HELLO", hello.unit, " or ".join(_UNITS))
    return hello


def read_status(payload: bytes) -> Status:
    """Returns the answer to STATUS."""
    return Status(*_STATUS.unpack_from(payload))


def read_inferred(payload: bytes) -> Inferred:
    """Returns the answer to INFER."""
    count, ticks, outputs_crc = _INFERRED.unpack_from(payload)
    return Inferred(count, ticks, outputs_crc, payload[_INFERRED.size :])


def read_output_info(payload: bytes) -> OutputInfo:
    """Returns the answer to OUTPUT_INFO."""
    size_bytes, scale, zero_point, rank = _OUTPUT_INFO.unpack_from(payload)
    shape = payload[_OUTPUT_INFO.size :]
    if len(shape) != 4 * rank:
        raise BoardWrong("OUTPUT_INFO", f"{len(shape)} bytes of a shape", f"{rank} dimensions of 4 bytes")
    return OutputInfo(size_bytes, scale, zero_point, struct.unpack(f"<{rank}I", shape))


def read_boxes(payload: bytes) -> Boxes:
    """Returns the answer to BOXES."""
    count, first, ticks = _BOXES.unpack_from(payload)
    rest = payload[_BOXES.size :]
    if len(rest) % BOX.itemsize:
        raise BoardWrong("BOXES", f"{len(rest)} bytes of boxes", f"{BOX.itemsize} bytes each")
    return Boxes(count, first, ticks, np.frombuffer(rest, BOX))


def read_profile(payload: bytes) -> tuple[int, int, list[int]]:
    """Returns (operators of the model, number of the first one in it, ticks of each from there) of PROFILE."""
    operators, first = _PROFILE.unpack_from(payload)
    rest = payload[_PROFILE.size :]
    return operators, first, list(struct.unpack(f"<{len(rest) // 4}I", rest[: len(rest) // 4 * 4]))


def read_error(payload: bytes) -> tuple[int, str]:
    """Returns (code, text) of an error; the code is 0 if the payload has none."""
    return (payload[0] if payload else 0), payload[1:].decode(errors="replace").rstrip("\0")
