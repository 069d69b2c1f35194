"""MLPerf Tiny's text protocol, host side: what its runner sends, and in the same pieces (firmware/PROTOCOL.md).

After mlcommons/tiny, benchmark/runner/device_under_test.py and serial_device.py. The protocol has no checksum and
nothing is sent again: it is for measuring as others measure. benching/serial/board.py is for whatever must be right.
"""

import re
import time
from dataclasses import dataclass

import serial

from tinytrain.benching.serial.cobs_frames import Decoder
from tinytrain.errors import TinytrainError, shown

BYTES_PER_COMMAND = 31  # of an input, as the runner sends them
TIMEOUT_S = 5.0
INFER_TIMEOUT_S = 30.0
WINDOW_S = (10.0, 30.0)  # the shortest window that counts, and how long the runner waits for one
READY = "m-ready"
_PROBABILITY = re.compile(r"[01](?:\.[0-9]{1,9})?")
_MOST_LINES = 10_000  # of one answer: an input of 160,000 bytes printed
_LOAD_SHARE = 4  # how many times longer than its bytes take on the line an input may take
_TURN_S = 0.1  # of one command and its answer, beside its bytes, on a slow machine
_SHOWN = 5  # lines of a wrong answer


@dataclass(frozen=True)
class Window:
    """One `infer`: inferences, microseconds of all of them by the board's clock, the results of the last one."""

    inferences: int
    elapsed_us: int
    results: tuple[float, ...]

    @property
    def latency_us(self) -> float:
        """Microseconds of one inference."""
        return self.elapsed_us / self.inferences


class Mlperf:
    """The device under test on an open port."""

    def __init__(self, port: serial.Serial, timeout_s: float = TIMEOUT_S, infer_timeout_s: float = INFER_TIMEOUT_S):
        self.port, self.timeout_s, self.infer_timeout_s = port, timeout_s, infer_timeout_s
        self._decoder = Decoder()
        self._lines: list[str] = []

    def command(self, text: str, timeout_s: float | None = None) -> list[str]:
        """Sends one command; returns the lines before m-ready.

        Raises TinytrainError if the board complains, if it stays silent for `timeout_s` (as the runner measures,
        from line to line), or if m-ready has not come after twice that time.
        """
        timeout_s = timeout_s or self.timeout_s
        self._write(f"{text}%".encode())
        lines = self._until_ready(text, timeout_s)
        if complaints := [line for line in lines if line.startswith("e-[")]:
            raise TinytrainError(f"the board answers '{text}' with {complaints[0]}")
        return lines

    def synchronize(self) -> None:
        """Ends a command that was begun on the line, and reads all earlier output."""
        self._write(b"%name%")
        deadline = time.monotonic() + 2 * self.timeout_s
        while not any(line.startswith("m-name-dut-") for line in self._until_ready("name", self.timeout_s)):
            if time.monotonic() > deadline:
                raise TinytrainError("the board answers 'name' without one, only with m-ready")

    def name(self) -> str:
        """Returns the name of the board's maker."""
        return self._matched("name", r"m-name-dut-\[([^]]+)]")

    def profile(self) -> tuple[str, str]:
        """Returns (firmware's version, id of the model)."""
        lines = self.command("profile")
        return self._match(lines, "profile", r"m-profile-\[([^]]+)]"), self._match(
            lines, "profile", r"m-model-\[([^]]+)]"
        )

    def load(self, pixels: bytes) -> None:
        """Sends an input of 8-bit pixels; raises TinytrainError if the board does not take it in time."""
        line_s = 10 * 3 * len(pixels) / self.port.baudrate  # 10 bits a byte, two digits and their share of a command
        allowed_s = self.timeout_s + _LOAD_SHARE * line_s + len(pixels) / BYTES_PER_COMMAND * _TURN_S
        deadline = time.monotonic() + allowed_s
        lines = self.command(f"db load {len(pixels)}")
        for start in range(0, len(pixels), BYTES_PER_COMMAND):
            lines = self.command(f"db {pixels[start : start + BYTES_PER_COMMAND].hex()}")
            if time.monotonic() > deadline:
                raise TinytrainError(f"the board has not taken {len(pixels)} bytes of input after {allowed_s:.0f} s")
        if lines != ["m-load-done"]:
            raise TinytrainError(f"the board did not take {len(pixels)} bytes of input: it answered {_some(lines)}")

    def loaded(self) -> bytes:
        """Returns the input that the board holds, as pixels."""
        lines = self.command("db print")
        try:
            return b"".join(bytes.fromhex(line.removeprefix("m-buffer-").replace("-", "")) for line in lines)
        except ValueError:
            raise TinytrainError(
                f"the board answers 'db print' with something that is not bytes: {_some(lines)}"
            ) from None

    def infer(self, count: int, warmups: int = 0) -> Window:
        """Runs `count` timed inferences of the input after `warmups`."""
        command = f"infer {count} {warmups}"
        lines = self.command(command, self.infer_timeout_s)
        matches = [re.fullmatch(r"m-lap-us-([0-9]{1,10})", line) for line in lines if line.startswith("m-lap-us-")]
        laps = [int(lap[1]) for lap in matches if lap]
        if len(matches) != 2 or len(laps) != 2:
            raise TinytrainError(f"the board answers '{command}' with {len(laps)} times, expected 2: {_some(lines)}")
        return Window(count, (laps[1] - laps[0]) % 2**32, self._results(lines, command))

    def results(self) -> tuple[float, ...]:
        """Returns the probability of each class, of the last inference."""
        return self._results(self.command("results"), "results")

    def _results(self, lines: list[str], command: str) -> tuple[float, ...]:
        values = self._match(lines, command, r"m-results-\[([^]]+)]").split(",")
        if malformed := [value for value in values if not _PROBABILITY.fullmatch(value)]:
            raise TinytrainError(
                f"the board answers '{command}' with the result '{malformed[0]}', expected 0.000 to 1.000"
            )
        return tuple(map(float, values))

    def _matched(self, command: str, pattern: str) -> str:
        return self._match(self.command(command), command, pattern)

    def _match(self, lines: list[str], command: str, pattern: str) -> str:
        for line in lines:
            if match := re.fullmatch(pattern, line):
                return match[1]
        raise TinytrainError(f"the board answers '{command}' without {pattern}: {_some(lines)}")

    def _write(self, data: bytes) -> None:
        try:
            self.port.write(data)
        except OSError as error:  # SerialException is one
            raise TinytrainError(f"the port '{self.port.port}' does not take a command: {error}") from None

    def _until_ready(self, command: str, timeout_s: float) -> list[str]:
        """Returns the lines before the next m-ready; the whole of them may take twice `timeout_s`."""
        lines: list[str] = []
        deadline = time.monotonic() + 2 * timeout_s
        while (line := self._line(command, lines, timeout_s)) != READY:
            lines.append(line)
            if time.monotonic() > deadline or len(lines) > _MOST_LINES:
                count = f"{len(lines):,} lines without {READY}"
                raise TinytrainError(f"the board answers '{command}' with {count}: {_some(lines)}")
        return lines

    def _line(self, command: str, before: list[str], timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        while not self._lines:
            if time.monotonic() > deadline:
                lines = _some(before)
                raise TinytrainError(f"the board does not answer '{command}' within {timeout_s:g} s; it said {lines}")
            try:
                data = self.port.read(1)
                data += self.port.read(self.port.in_waiting) if data else b""
            except OSError as error:
                raise TinytrainError(
                    f"the port '{self.port.port}' is gone ({error}); it said {_some(before)}"
                ) from None
            # The rest of a frame that another program asked for, or a stray zero, opens a frame that nothing ends.
            self._lines += self._decoder.feed(data)[1] if data else self._decoder.idle()
        return self._lines.pop(0)


def _some(lines: list[str]) -> str:
    """Returns the last lines of an answer, for a message."""
    more = f"… {len(lines) - _SHOWN:,} more, " if len(lines) > _SHOWN else ""
    return f"[{more}{', '.join(map(shown, lines[-_SHOWN:]))}]"


def inferences_for(latency_us: float, window_s: float = WINDOW_S[0]) -> int:
    """Returns how many inferences a window takes: a tenth more than the shortest, and at least one."""
    return max(1, round(1.1 * window_s * 1e6 / max(latency_us, 1.0)))
