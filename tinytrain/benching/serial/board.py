"""Requests to a board on a serial port: its identity, inferences, profile and status (firmware/PROTOCOL.md).

A board that keeps its input gets it without answers; if it finds it damaged, all of it is sent again with new numbers.
One that keeps none computes between the pieces of an input and does not listen meanwhile: it answers each piece.
"""

import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinytrain.benching.serial import cobs_frames, messages
from tinytrain.benching.serial.messages import BoardWrong, Inferred, Kind, OutputInfo, Status
from tinytrain.benching.serial.requests import Answer, BoardRefused, BoardSilent, Requests
from tinytrain.deploy.decode.boxes import BOX
from tinytrain.errors import TinytrainError

RATES = (921600, 460800, 230400)  # baud, the fastest first
LONGEST_WORK_S = 60.0  # how long an answer is waited for at most before its request is sent again
RETURN_S = 2.0  # without a good frame for so long, a board returns to its previous rate
_SLOWEST_FIRST_S = 2.0  # how long the first inference is waited for before its request is sent again


@dataclass(frozen=True)
class Inference:
    """Inferences of one image: its outputs, one after the other, int8 as bytes; how many; ticks of all of them."""

    outputs: bytes
    count: int
    ticks: int


class BoardLink(Requests):
    """The board on an open port; see Requests. Ask `hello` first."""

    _inference_s: float | None = None  # upper bound of one inference's time, the way over the line included

    def set_baud(self, rates: tuple[int, ...] = RATES) -> int:
        """Changes to the first of `rates` that works, of those faster than now; returns the rate in use afterwards."""
        for rate in rates:
            if rate <= self.port.baudrate or self._try_baud(rate):
                break
        return self.port.baudrate

    def restore_baud(self) -> None:
        """Returns to the first rate, for the next program; ignores a failure."""
        if self.port.baudrate != self.first_baud:
            self.sure_of_baud = False
            try:
                self.ask(Kind.BAUD, struct.pack("<I", self.first_baud), bytes, tries=2)
                self.port.baudrate = self.first_baud
                self.hello(tries=2)
            except TinytrainError:
                pass

    def infer(self, image: bytes, count: int = 1, output_bytes: int = 0) -> Inference:
        """Runs `count` inferences of an input and returns its outputs.

        Args:
            image: the input, int8 as bytes.
            count: how many inferences are timed together.
            output_bytes: the bytes of all outputs together; 0 returns only those that come with the answer.

        Raises:
            BoardWrong: another number of inferences or bytes, outputs with another CRC-32, or a time of 0.
        """
        work_s = min(count * (self._inference_s or _SLOWEST_FIRST_S), LONGEST_WORK_S)
        request, started = struct.pack("<II", zlib.crc32(image), count), time.monotonic()
        inferred = self._ask_about(image, Kind.INFER, request, messages.read_inferred, work_s)
        if inferred.count != count or not inferred.ticks:
            received = f"{inferred.count} inferences in {inferred.ticks} ticks"
            raise BoardWrong("INFER", received, f"{count} inferences, at least 1 tick")
        took_s = 1.5 * (time.monotonic() - started) / count
        self._inference_s = min(took_s, self._inference_s or took_s)
        return Inference(self._all_outputs(inferred, output_bytes), inferred.count, inferred.ticks)

    def output_info(self, index: int) -> OutputInfo:
        """Returns what output `index` of the model is."""
        return self.ask(Kind.OUTPUT_INFO, struct.pack("<H", index), messages.read_output_info)

    def boxes(self, image: bytes, most: int) -> tuple[np.ndarray, int]:
        """Returns the boxes of an input that `infer` was called with last, and the ticks of decoding them.

        Args:
            image: the input, int8 as bytes.
            most: how many boxes an image has at most.

        Returns: (D,) BOX, best first, and ticks.

        Raises:
            BoardWrong: more boxes than that, or others than it has announced.
        """
        crc = zlib.crc32(image)
        boxes = np.empty(0, BOX)
        count = None
        while count is None or len(boxes) < count:
            request = struct.pack("<IH", crc, len(boxes))
            answer = self.ask(Kind.BOXES, request, messages.read_boxes, _SLOWEST_FIRST_S)
            count = answer.count if count is None else count
            some, left = len(answer.boxes), count - len(boxes)
            if count > most or (answer.count, answer.first) != (count, len(boxes)) or not min(left, 1) <= some <= left:
                received = f"{some} boxes from {answer.first} on, of {answer.count}"
                raise BoardWrong("BOXES", received, f"some boxes from {len(boxes)} on, of at most {min(count, most)}")
            boxes = np.concatenate([boxes, answer.boxes])
        return boxes, answer.ticks

    def profile(self, image: bytes, expected: int) -> list[int]:
        """Returns the ticks of each of `expected` operators, in the order of the model, in one inference of an input.

        Raises BoardWrong if there are more or fewer.
        """
        work_s = 2 * (self._inference_s or _SLOWEST_FIRST_S)
        crc = zlib.crc32(image)
        request = struct.pack("<IH", crc, 0)
        ticks: list[int] = []
        operators, first, more = self._ask_about(image, Kind.PROFILE, request, messages.read_profile, work_s)
        while True:
            if operators != expected or first != len(ticks) or not 0 < len(more) <= expected - first:
                received = f"{len(more)} operators from {first} on, of {operators}"
                raise BoardWrong("PROFILE", received, f"operators from {len(ticks)} on, of {expected}")
            ticks += more
            if len(ticks) == expected:
                return ticks
            request = struct.pack("<IH", crc, len(ticks))
            operators, first, more = self.ask(Kind.PROFILE, request, messages.read_profile)

    def status(self) -> Status:
        """Returns the state of the board since its reset."""
        return self.ask(Kind.STATUS, b"", messages.read_status)

    def reset(self) -> None:
        """Restarts the board; it must be asked HELLO next."""
        self.ask(Kind.RESET, b"", bytes)
        self.known = False
        self.port.baudrate = self.first_baud

    def _try_baud(self, rate: int) -> bool:
        before, self.sure_of_baud = self.port.baudrate, False
        try:
            self.ask(Kind.BAUD, struct.pack("<I", rate), bytes)
            self.port.baudrate = rate
            for _ in range(5):  # one good frame may be luck
                self.hello(tries=2)
        except BoardRefused:
            return False
        except BoardSilent:
            self.port.baudrate = before
            time.sleep(RETURN_S + self.patience_s)
            self.hello()
            return False
        finally:
            self.sure_of_baud = True
        return True

    def _ask_about(
        self, image: bytes, kind: Kind, request: bytes, read: Callable[[bytes], Answer], work_s: float
    ) -> Answer:
        """Sends the input, then the request about it; both again while the input did not arrive whole."""
        line_s = 1.1 * 10 * len(image) / self.port.baudrate  # 10 bits a byte
        for tries_left in range(self.tries - 1, -1, -1):
            try:
                self._send(image)
                return self.ask(kind, request, read, work_s + line_s)
            except BoardRefused as error:
                if error.code != messages.INPUT_IS_ANOTHER or not tries_left:
                    raise
            self.traffic.repeated_inputs += 1
        raise AssertionError("the last try returns or raises")

    def _send(self, image: bytes) -> None:
        step = self.longest_payload - 4
        pieces = [struct.pack("<I", start) + image[start : start + step] for start in range(0, len(image), step)]
        if self.keeps_input:
            self.write(b"".join(cobs_frames.encode(Kind.IMAGE, self.next_number(), piece) for piece in pieces))
        else:
            for piece in pieces:
                self.ask(Kind.IMAGE, piece, bytes)

    def _all_outputs(self, inferred: Inferred, size: int) -> bytes:
        """Returns the `size` bytes of the outputs whose beginning came with the answer; 0: that beginning alone."""
        outputs = inferred.outputs
        while len(outputs) < size:
            more = self.ask(Kind.OUTPUT, struct.pack("<I", len(outputs)), bytes)
            if not more:
                break
            outputs += more
        if size and len(outputs) != size:
            raise BoardWrong("OUTPUT", f"{len(outputs)} bytes", f"{size} bytes")
        if size and zlib.crc32(outputs) != inferred.outputs_crc:
            received = f"outputs with CRC-32 {zlib.crc32(outputs):08x}"
            raise BoardWrong("OUTPUT", received, f"{inferred.outputs_crc:08x}, as INFER has it")
        return outputs
