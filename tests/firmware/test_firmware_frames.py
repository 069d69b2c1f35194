"""The binary protocol with an unkind host: a request sent twice, a frame without end, a rate that nobody follows."""

import re
import struct
import subprocess
import time
import zlib

import pytest
from bench_helpers import exported
from firmware_helpers import EMULATED, needs_emulator
from simulated_board import open_device

from tinytrain.benching.serial import cobs_frames, emulator, messages
from tinytrain.benching.serial.messages import Kind
from tinytrain.deploy import boards, make
from tinytrain.deploy.exported import Exported

BOARD = boards.load(EMULATED)
BAUDDIV = 0x40004010  # of CMSDK UART 0 (DDI0479): the clock over the rate


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return Exported.open(exported(tmp_path_factory.mktemp("frames") / "export"))


@pytest.fixture(scope="module")
def program(export):
    return make.build(export.sources, BOARD, None, export.folder / "build")


def answers(port, count, wait_s=10.0):
    """Returns the next `count` frames that arrive."""
    decoder, found, ends = cobs_frames.Decoder(), [], time.monotonic() + wait_s
    while len(found) < count and time.monotonic() < ends:
        found += decoder.feed(port.read(256))[0]
    return found


def image_and_infer(export, image, number):
    pixels = export.input_of(image)
    request = struct.pack("<II", zlib.crc32(pixels), 1)
    return cobs_frames.encode(Kind.IMAGE, 0, struct.pack("<I", 0) + pixels), cobs_frames.encode(
        Kind.INFER, number, request
    )


@needs_emulator
def test_a_request_that_comes_again_is_answered_again_and_not_executed(export, program):
    """The input is another by then: executed, the request would be refused."""
    first, infer = image_and_infer(export, 0, 7)
    other, _ = image_and_infer(export, 1, 8)
    with emulator.running(program, BOARD) as device, open_device(device) as port:
        port.write(first + infer + other + infer)
        before, again = answers(port, 2)
        assert again == before
        assert before.kind == Kind.INFER | messages.ANSWER
        port.write(image_and_infer(export, 0, 9)[1])  # with another number it is a request of its own
        (refused,) = answers(port, 1)
        assert (refused.kind, refused.payload[0]) == (messages.ERROR, messages.INPUT_IS_ANOTHER)


@needs_emulator
def test_after_a_frame_that_never_ends_text_is_understood(program):
    with emulator.running(program, BOARD) as device, open_device(device) as port:
        port.write(b"\0\x05abc")
        said, ends = b"", time.monotonic() + 60
        while b"m-name-dut-[tinytrain]" not in said:  # taken as part of the frame until the board's patience is over
            assert time.monotonic() < ends, said
            time.sleep(5.5)
            port.write(b"name%")
            said += port.read(4096)


@needs_emulator
def test_a_rate_at_which_nothing_good_comes_is_given_up(program):
    """QEMU takes every rate, so the divider that the firmware has set is read with its monitor."""
    machine = [make.EMULATOR, *BOARD.emulator.split(), "-display", "none", "-kernel", program]
    command = [*machine, "-monitor", "stdio", "-serial", "pty"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as emulated:

        def divider():
            emulated.stdin.write(f"xp /1wx {BAUDDIV:#x}\n")
            emulated.stdin.flush()
            for line in emulated.stdout:
                if match := re.search(rf"{BAUDDIV:016x}: 0x([0-9a-f]+)", line):
                    return int(match[1], 16)
            raise AssertionError("the monitor ended")

        try:
            device = next(match[1] for line in emulated.stdout if (match := re.search(r"redirected to (\S+)", line)))
            usual, fast = BOARD.clock_hz // 115_200, BOARD.clock_hz // 921_600
            with open_device(device) as port:
                for number in range(50):  # on a busy machine it may be given up before one looks
                    port.write(cobs_frames.encode(Kind.BAUD, number, struct.pack("<I", 921_600)))
                    assert [frame.kind for frame in answers(port, 1)] == [Kind.BAUD | messages.ANSWER]
                    if divider() == fast:
                        break
                else:
                    raise AssertionError("the rate was never changed")
                ends = time.monotonic() + 30
                while divider() != usual:
                    assert time.monotonic() < ends
        finally:
            emulated.kill()
