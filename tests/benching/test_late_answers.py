"""What comes late or wraps around: an answer to an earlier request, the microseconds of a board's clock."""

import pytest
import serial
from lying_board import Clock, TextPort

from tinytrain.benching.serial import cobs_frames, messages, mlperf, requests
from tinytrain.benching.serial.messages import Kind


class LatePort:
    """A line on which every answer is followed too late: before it stands one to the request before."""

    port, baudrate, in_waiting = "late", 115200, 0

    def __init__(self):
        self.decoder, self.pending = cobs_frames.Decoder(), b""

    def write(self, data):
        for frame in self.decoder.feed(data)[0]:
            for number, text in ((frame.sequence - 1) % 2**16, b"old"), (frame.sequence, b"new"):
                self.pending += cobs_frames.encode(frame.kind | messages.ANSWER, number, text)

    def read(self, count):
        data, self.pending = self.pending[:count], self.pending[count:]
        return data


def test_an_answer_to_an_earlier_request_is_not_taken_for_this_one():
    board = requests.Requests(LatePort())
    assert [board.ask(Kind.STATUS, b"", bytes) for _ in range(3)] == [b"new"] * 3


@pytest.mark.parametrize(("begin", "end", "elapsed"), [(5, 25, 20), (2**32 - 5, 15, 20), (0, 2**32 - 1, 2**32 - 1)])
def test_a_clock_of_32_bits_may_wrap_around_in_a_window(monkeypatch, begin, end, elapsed):
    def lines(command, answer):
        return [f"m-lap-us-{begin}", f"m-lap-us-{end}", "m-results-[1.000]", "m-ready"]

    port = TextPort(Clock(monkeypatch), lambda: "", lines)
    assert mlperf.Mlperf(port).infer(4).elapsed_us == elapsed


class SlowPort:
    """A port that takes 300 bytes before its timeout: the emulator's on a busy machine."""

    port, baudrate = "slow", 115200

    def __init__(self):
        self.taken = b""

    def write(self, data):
        self.taken += data[:300]
        if len(data) > 300:
            raise serial.SerialTimeoutException

    def reset_output_buffer(self):
        pass


def test_an_input_that_is_taken_slowly_is_not_cut():
    port, image = SlowPort(), bytes(range(256)) * 108
    requests.Requests(port).write(image)
    assert port.taken == image
