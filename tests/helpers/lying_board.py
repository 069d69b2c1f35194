"""Boards that lie, in this process and by a clock of their own: no threads, no waiting.

A `LyingPort` is what a `serial.Serial` is to the product. What the host writes goes to an honest board, whose answers
`lie` may change; reading from a line on which nothing comes lets the clock go on by the port's timeout.
"""

import random
import struct
from types import SimpleNamespace

from simulated_board import SimulatedBoard

from tinytrain.benching import binary_runner, mlperf_runner
from tinytrain.benching.serial import board, cobs_frames, mlperf, requests
from tinytrain.benching.serial.cobs_frames import Decoder

TIMEOUT_S = 0.05
NUMBERS = [0, 1, 2, 3, 255, 4096, 2**16 - 1, 2**31, 2**32 - 1]


class Clock:
    """The time of a test, in seconds."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        fake = SimpleNamespace(monotonic=self.read, perf_counter=self.read, sleep=self.sleep)
        for module in (board, requests, mlperf, binary_runner, mlperf_runner):
            if hasattr(module, "time"):
                monkeypatch.setattr(module, "time", fake)

    def read(self):
        self.now += 1e-6  # what is asked for costs something, so that no loop is endless
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Line:
    """What a port and its board share: `say` is for the board."""

    port, timeout = "fake", TIMEOUT_S

    def __init__(self, clock):
        self.clock, self.baudrate, self.said = clock, 115200, b""

    def say(self, data):
        self.said += data

    @property
    def in_waiting(self):
        return len(self.said)

    def read(self, count):
        if not self.said:
            self.clock.now += self.timeout
        data, self.said = self.said[:count], self.said[count:]
        self.clock.now += len(data) * 10 / self.baudrate
        return data

    def close(self):
        pass

    def reset_output_buffer(self):
        pass


class LyingPort(Line):
    """The binary protocol: `lie(kind, payload)` returns the payload that is sent, or None to send what it likes."""

    def __init__(self, clock, model, input_bytes, output_bytes, lie, **behavior):
        super().__init__(clock)
        self.lie, self.decoder = lie, Decoder()
        self.board = SimulatedBoard(model, input_bytes, output_bytes, cycles=200_000_000, slow=0.0, **behavior)
        self.board.say = self.say
        honest = self.board._answer
        self.board._answer = lambda frame: self._changed(frame, honest(frame))
        self.refuse = self.board.refuse

    def _changed(self, frame, answer):
        payload = cobs_frames.decode(answer.strip(b"\0")).payload
        if frame.kind == 4:
            self.clock.now += struct.unpack("<II", frame.payload)[1] * 1.0  # a second an inference
        changed = self.lie(frame.kind, payload)
        return answer if changed is payload else cobs_frames.encode(frame.kind | 0x80, frame.sequence, changed)

    def write(self, data):
        self.clock.now += len(data) * 10 / self.baudrate
        for frame in self.decoder.feed(data)[0]:
            self.board._receive(frame)


class TextPort(Line):
    """MLPerf's protocol: `lie(command, lines)` returns the lines that are sent."""

    def __init__(self, clock, results, lie, inference_us=1_000_000):
        super().__init__(clock)
        self.results, self.lie, self.inference_us, self.pending = results, lie, inference_us, ""

    def write(self, data):
        self.clock.now += len(data) * 10 / self.baudrate
        *commands, self.pending = (self.pending + data.decode()).split("%")
        for command in filter(None, commands):
            for line in self.lie(command, [*self._answer(command.split()), "m-ready"]):
                self.say(line if isinstance(line, bytes) else f"{line}\r\n".encode())

    def _answer(self, words):
        if words[0] == "name":
            return ["m-name-dut-[sim]"]
        if words[0] == "profile":
            return ["m-profile-[ULPMark]", "m-model-[ic01]"]
        if words[:2] == ["db", "load"]:
            self.left = int(words[2])
            return []
        if words[0] == "db":
            self.left -= len(words[1]) // 2
            return ["m-load-done"] if not self.left else []
        count = int(words[1])
        self.clock.now += count * self.inference_us / 1e6
        begin = round(self.clock.now * 1e6) % 2**32
        end = (begin + count * self.inference_us) % 2**32
        return [f"m-lap-us-{begin}", f"m-infer-start-{count}", f"m-lap-us-{end}", self.results()]


def random_lie(seed):
    """Returns a lie of the binary protocol that is drawn from `seed`: one answer in six is spoilt."""
    source = random.Random(seed)

    def lie(kind, payload):
        if source.random() > 1 / 6:
            return payload
        return spoilt(source, payload)

    return lie


def spoilt(source, payload):
    """Returns bytes that are cut, lengthened, flipped, of other numbers or of noise."""
    data = bytearray(payload)
    kind = source.randrange(5)
    if kind == 0:
        return bytes(data[: source.randrange(len(data) + 1)])
    if kind == 1:
        return bytes(data + source.randbytes(source.randrange(400)))[:500]
    if kind == 2 and data:
        for _ in range(source.randrange(1, 5)):
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
        return bytes(data)
    if kind == 3 and len(data) >= 4:
        struct.pack_into("<I", data, source.randrange(0, len(data) - 3, 2), source.choice(NUMBERS))
        return bytes(data)
    return source.randbytes(source.randrange(512))


LINES = [
    "m-ready",
    "m-lap-us-abc",
    "m-lap-us-" + "9" * 5000,
    "m-lap-us-0",
    "m-lap-us--5",
    "m-results-[nan,inf]",
    "m-results-[abc]",
    "m-results-[]",
    "m-results-[1e999,0.5]",
    "m-name-dut-[\x1b[2J]",
    "e-[Error: \x1b]0;x\x07]",
    "m-load-done",
    "",
    b"\xff\xfe\r\n",
    b"\0" * 40,
    b"no end of line",
]


def random_text_lie(seed):
    """Returns a lie of MLPerf's protocol: lines lost, doubled, exchanged, spoilt, or new ones."""
    source = random.Random(seed)

    def lie(command, lines):
        if source.random() > 0.1:
            return lines
        kind, lines = source.randrange(5), list(lines)
        index = source.randrange(len(lines))
        if kind == 0:
            del lines[index]
        elif kind == 1:
            lines.insert(index, lines[index])
        elif kind == 2:
            source.shuffle(lines)
        elif kind == 3:
            lines[index] = source.choice(LINES)
        else:
            lines[index:index] = [source.choice(LINES) for _ in range(source.randrange(50))]
        return lines

    return lie
