"""Requests to a board in frames, and their answers: sent again until they are answered, a restart recognised.

The same request is sent again with its number, which the board does not execute twice (firmware/PROTOCOL.md). A board
that restarts in the middle is recognised by what it prints then, and is asked for the reason.
"""

import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import serial

from tinytrain.benching.serial import cobs_frames, messages
from tinytrain.benching.serial.messages import Hello, Kind
from tinytrain.errors import TinytrainError

TRIES = 8
EXCHANGE_S = 300.0  # no request takes longer in all, however often it is sent and whatever comes instead of an answer
GROWTH, LONGEST = 1.5, 4.0  # each wait for an answer is so much longer than the one before, up to so much in all
_BOOT = ("m-timestamp-mode", "m-init-done")
FAILED = "failed: "
_LINES_KEPT = 40
_PIECE_BYTES = 256  # what is written at once: at 9600 baud it takes a quarter of a second
_LINES_SHOWN = 6

Answer = TypeVar("Answer")


class BoardSilent(TinytrainError):
    """The board gave no answer, however often the request was sent. `during` is " during image 7", or nothing."""

    during = ""


class BoardRestarted(TinytrainError):
    """The board restarted during a request."""


class BoardRefused(TinytrainError):
    """The board answered with an error."""

    def __init__(self, kind: Kind, code: int, text: str) -> None:
        super().__init__(f"the board refuses {kind.name} with error {code}: {text}")
        self.code, self.text = code, text


@dataclass
class Traffic:
    """What went over the line, in bytes, and what had to be sent again."""

    sent_bytes: int = 0
    received_bytes: int = 0
    repeated_requests: int = 0
    repeated_inputs: int = 0


class Requests:
    """Asks the board on the open `port`.

    `patience_s` is how long an answer may take beyond its time on the line and the board's work; `doing` is what error
    messages say the board was at, such as "image 7".
    """

    def __init__(self, port: serial.Serial, patience_s: float = 0.3, tries: int = TRIES) -> None:
        self.port, self.patience_s, self.tries = port, patience_s, tries
        self.traffic = Traffic()
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self.doing = ""
        self.longest_payload = cobs_frames.LONGEST_PAYLOAD
        self.keeps_input = True
        self.first_baud = port.baudrate
        self.known = False  # it has said HELLO: a restart from now on was not wanted
        self.sure_of_baud = True  # False while another rate is tried
        self._decoder = cobs_frames.Decoder()
        self._sequence = int(time.monotonic() * 1000) % 2**16  # hardly that of the host before

    @property
    def damaged_frames(self) -> int:
        """How many frames arrived here damaged."""
        return self._decoder.damaged

    def hello(self, tries: int | None = None) -> Hello:
        """Returns what the board is and holds; raises UserError if its firmware speaks another version."""
        try:
            hello = self.ask(Kind.HELLO, struct.pack("<H", messages.VERSION), messages.read_hello, tries=tries)
        except BoardRefused as error:
            version = messages.version_named(error.text)
            if error.code != messages.WRONG_PAYLOAD or version is None:
                raise
            raise messages.other_version(version) from None
        self.longest_payload, self.known = min(hello.longest_payload, cobs_frames.LONGEST_PAYLOAD), True
        self.keeps_input = bool(hello.keeps_input)
        return hello

    def ask(
        self,
        kind: Kind,
        payload: bytes,
        read: Callable[[bytes], Answer],
        work_s: float = 0.0,
        tries: int | None = None,
    ) -> Answer:
        """Sends a request until it is answered; returns what `read` makes of the answer's payload.

        Args:
            kind: its type.
            payload: its payload.
            read: turns the payload of the answer into the result.
            work_s: how long the board works on it, in seconds.
            tries: how often it is sent at most; None: `self.tries`.

        Raises:
            BoardRefused: the board answered with an error.
            BoardRestarted: the board restarted meanwhile.
            BoardSilent: there was no answer.
        """
        sequence = self.next_number()
        request = cobs_frames.encode(kind, sequence, payload)
        line_s = (len(request) + self.longest_payload) * 10 / self.port.baudrate  # 10 bits a byte
        wait_s, deadline = work_s + self.patience_s + line_s, time.monotonic() + EXCHANGE_S
        for attempt in range(tries or self.tries):
            if time.monotonic() > deadline:
                break
            self.traffic.repeated_requests += attempt > 0
            self.write(request)
            answer = self._wait(kind, sequence, wait_s * min(GROWTH**attempt, LONGEST))
            if answer is not None:
                return _read_answer(kind, answer, read)
        raise self._silent(kind)

    def next_number(self) -> int:
        """Returns another sequence number than that of the frame before."""
        self._sequence = (self._sequence + 1) % 2**16
        return self._sequence

    def write(self, data: bytes) -> None:
        """Sends bytes; if they are not taken, the answer is missing, too.

        The port's timeout is one of each piece: an input that takes long on a busy machine is no line that hangs, and
        to give it up would cut a frame in two.
        """
        self.traffic.sent_bytes += len(data)
        try:
            for start in range(0, len(data), _PIECE_BYTES):
                self.port.write(data[start : start + _PIECE_BYTES])
        except serial.SerialTimeoutException:
            self.port.reset_output_buffer()
        except OSError as error:  # SerialException is one
            raise self._gone(error) from None

    def _wait(self, kind: Kind, sequence: int, wait_s: float) -> cobs_frames.Frame | None:
        """Returns the answer to the request `sequence`, or None without one for `wait_s`."""
        wanted = {(kind | messages.ANSWER, sequence), (messages.ERROR, sequence)}
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            frames, lines = self._decoder.feed(self._read())
            self._listen(lines)
            for frame in frames:
                if (frame.kind, frame.sequence) in wanted:
                    return frame
        self._listen(self._decoder.idle())
        return None

    def _read(self) -> bytes:
        """Returns what has come, at least a byte, or nothing after the port's timeout."""
        try:
            data = self.port.read(1)
            data += self.port.read(self.port.in_waiting) if data else b""
        except OSError as error:
            raise self._gone(error) from None
        self.traffic.received_bytes += len(data)
        return data

    def _listen(self, lines: list[str]) -> None:
        """Keeps what the board says as text; raises BoardRestarted if it shows a restart."""
        self.lines += lines
        if self.known and any(line.startswith((*_BOOT, FAILED)) for line in lines):
            raise self._restarted()

    def _restarted(self) -> BoardRestarted:
        self.known = False  # what it says now is no further restart
        self.port.baudrate = self.first_baud
        try:
            reason = self.hello().restarted or "it does not say why; the power or its reset button may be the cause"
        except TinytrainError:
            reason = "it has been silent since"
        registers = [line.removeprefix(FAILED) for line in self.lines if line.startswith(FAILED)]
        return BoardRestarted(f"the board restarted{self._during()}: {(registers or [reason])[-1]}")

    def _silent(self, kind: Kind) -> TinytrainError:
        """Returns the error for a board without an answer. After a restart it listens at its first rate."""
        if self.known and self.sure_of_baud and self.port.baudrate != self.first_baud:
            restarted = self._restarted()
            if self.known:
                return restarted
        return BoardSilent(f"the board does not answer {kind.name}{self._during()}{self._last_words()}")

    def _gone(self, error: Exception) -> TinytrainError:
        gone = BoardSilent(f"the port '{self.port.port}' is gone{self._during()} ({error}){self._last_words()}")
        gone.during = self._during()
        return gone

    def _during(self) -> str:
        return f" during {self.doing}" if self.doing else ""

    def _last_words(self) -> str:
        lines = [line for line in self.lines if line][-_LINES_SHOWN:]
        return f"; it said last: {' | '.join(lines)}" if lines else ""


def _read_answer(kind: Kind, answer: cobs_frames.Frame, read: Callable[[bytes], Answer]) -> Answer:
    if answer.kind == messages.ERROR:
        raise BoardRefused(kind, *messages.read_error(answer.payload))
    try:
        return read(answer.payload)
    except struct.error:
        raise TinytrainError(
            f"the board's answer to {kind.name} has {len(answer.payload)} bytes, which is not a valid one: "
            "export and flash it again"
        ) from None
