"""A board of Python on a pseudo terminal, for what the emulator cannot show: cycles, rates, silence, a bad line.

It answers as firmware/PROTOCOL.md says; the emulated firmware itself is what tests/benching/test_bench.py is about.
"""

import math
import os
import struct
import termios
import threading
import time
import tty
import zlib

import serial
from firmware_helpers import stub_output

from tinytrain.benching.serial import cobs_frames
from tinytrain.benching.serial.cobs_frames import Decoder

BOOT = b"m-timestamp-mode-performance\r\nm-lap-us-12\r\n%sm-init-done\r\nm-ready\r\n"
CLOCK_HZ = 200_000_000


class SimulatedBoard:
    """A board that holds `model`. Use it as a context; `device` is what to open.

    cycles: of one inference; slow: how much slower its clock is than it says; rates: those that its line carries;
    shapes: of its outputs; silent: it never answers; crash_at: the number of the INFER in which it restarts, and says
    `reason`; of a detector: room, decoder_crc, and found, which gives the boxes in outputs as bytes.
    """

    def __init__(self, model, input_bytes, output_bytes, **behavior):
        self.model, self.input = model, bytearray(input_bytes)
        self.output_bytes, self.shapes, self.scales, self.zero_points = output_bytes, [(1, 4, 4, 5)], [1 / 32], [0]
        self.cycles, self.slow, self.rates = 200_000, 1.0, (115200, 921600)
        self.silent, self.crash_at, self.reason, self.operators = False, None, "", 1
        self.room, self.decoder_crc, self.found = 0, 0, lambda outputs: b""
        self.refuse, self.change = {}, lambda output, infers: output
        vars(self).update(behavior)
        self.baud, self.fallback, self.infers, self.requests, self.last = 115200, None, 0, [], (None, b"")
        self.restarted, self.started = "", time.monotonic()
        self.ended = threading.Event()

    def __enter__(self):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.device = os.ttyname(self.slave)
        os.set_blocking(self.master, False)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        os.close(self.master)
        os.close(self.slave)

    @property
    def line_is_good(self):
        """Whether the host's port has this board's rate, and the line carries it."""
        speed = termios.tcgetattr(self.slave)[5]
        return speed == getattr(termios, f"B{self.baud}") and self.baud in self.rates

    def say(self, data):
        if self.line_is_good:
            os.write(self.master, data)

    def _run(self):
        decoder = Decoder()
        while not self.ended.wait(0.001):
            if self.fallback and time.monotonic() > self.fallback[1]:
                self.baud, self.fallback = self.fallback[0], None
            try:
                data = os.read(self.master, 4096)
            except OSError:
                continue
            if not self.line_is_good or self.silent:
                continue
            for frame in decoder.feed(data)[0]:
                self._receive(frame)

    def _receive(self, frame):
        self.fallback = None
        self.requests.append(frame.kind)
        if frame.kind == 3:
            (offset,) = struct.unpack_from("<I", frame.payload)
            self.input[offset : offset + len(frame.payload) - 4] = frame.payload[4:]
            return
        if frame.kind == 4 and frame.sequence != self.last[0]:
            self.infers += 1
            if self.infers == self.crash_at:
                self._restart()
                return
        if frame.sequence != self.last[0] or frame.kind == 1:
            self.last = frame.sequence, self._answer(frame)
        self.say(self.last[1])
        if frame.kind == 2 and frame.kind not in self.refuse:
            self.fallback = self.baud, time.monotonic() + 2
            (self.baud,) = struct.unpack("<I", frame.payload)

    def _restart(self):
        self.baud, self.restarted, self.started = 115200, self.reason, time.monotonic()
        time.sleep(0.1)
        self.say(BOOT % (b"e-[%s]\r\n" % self.reason.encode() if self.reason else b""))

    def _answer(self, frame):
        if frame.kind in self.refuse:
            code, text = self.refuse[frame.kind]
            return cobs_frames.encode(0xFF, frame.sequence, bytes([code]) + text)
        payload = getattr(self, f"_answer_{frame.kind}")(frame.payload)
        return cobs_frames.encode(frame.kind | 0x80, frame.sequence, payload)

    def _answer_1(self, _):
        sizes = (len(self.input), self.output_bytes, 8192, 128, 4096)
        numbers = (*sizes, len(self.shapes), self.operators, CLOCK_HZ, 1, 1, self.room, self.decoder_crc, 1)
        texts = ("sim", "python", "conv", "cycles", self.restarted)
        head = struct.pack("<HH15I", 4, 512, zlib.crc32(self.model), len(self.model), *numbers)
        return head + b"".join(text.encode() + b"\0" for text in texts)

    def _answer_2(self, payload):
        return payload

    def _answer_4(self, payload):
        crc, count = struct.unpack("<II", payload)
        assert crc == zlib.crc32(self.input)
        time.sleep(self.slow * count * self.cycles / CLOCK_HZ)
        self.outputs = self.change(self._stub_outputs(), self.infers)
        return struct.pack("<IQI", count, count * self.cycles, zlib.crc32(self.outputs)) + self.outputs[:496]

    def _answer_5(self, payload):
        return self.outputs[struct.unpack("<I", payload)[0] :][:512]

    def _answer_6(self, payload):
        first = struct.unpack("<IH", payload)[1]
        ticks = [self.cycles // self.operators] * (self.operators - first)
        return struct.pack("<HH", self.operators, first) + struct.pack(f"<{len(ticks)}I", *ticks)[: 127 * 4]

    def _answer_7(self, _):
        return struct.pack("<Q5I", round(1e6 * (time.monotonic() - self.started)), 300, 4096, 0, 0, 0)

    def _answer_8(self, _):
        return b""

    def _answer_9(self, payload):
        (index,) = struct.unpack("<H", payload)
        shape, scale, zero_point = self.shapes[index], self.scales[index], self.zero_points[index]
        return struct.pack(f"<IfiI{len(shape)}I", math.prod(shape), scale, zero_point, len(shape), *shape)

    def _answer_10(self, payload):
        crc, first = struct.unpack("<IH", payload)
        assert crc == zlib.crc32(self.input)
        boxes = self.found(self.outputs)
        return struct.pack("<HHI", len(boxes) // 12, first, 31_250) + boxes[12 * first :][: 42 * 12]

    def _stub_outputs(self):
        import numpy as np

        return stub_output(np.frombuffer(bytes(self.input), np.int8), self.output_bytes).tobytes()


def open_device(device, baud=115200):
    return serial.Serial(device, baud, timeout=0.02, write_timeout=5)
