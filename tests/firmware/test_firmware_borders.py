"""The emulated firmware at borders: the longest COBS blocks, another version of the protocol, the last golden value."""

import struct
import time

import pytest
from bench_helpers import exported
from firmware_helpers import EMULATED, INPUT, emit, emulate, needs_emulator, stub_output
from int8_models import FILTERS
from simulated_board import open_device

from tinytrain.benching.serial import cobs_frames, emulator, messages
from tinytrain.benching.serial.messages import Kind
from tinytrain.deploy import boards, make

BOARD = boards.load(EMULATED)
NAME = "n" * 290  # with the number in front of it more than the 254 bytes that a COBS block has
UNKNOWN = 99  # a type of frame that no version has


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    export = exported(tmp_path_factory.mktemp("borders") / "export", name=NAME)
    program = make.build(export / "firmware", BOARD, None, export / "build")
    with emulator.running(program, BOARD) as device, open_device(device) as opened:
        yield opened


def asked(port, kind, number, payload):
    """Returns the answer to a request, None if there is none for 5 seconds."""
    decoder, found, ends = cobs_frames.Decoder(), [], time.monotonic() + 5
    port.write(cobs_frames.encode(kind, number, payload))
    while not found and time.monotonic() < ends:
        found = decoder.feed(port.read(600))[0]
    return found[0] if found else None


@needs_emulator
def test_an_answer_of_more_than_one_block_arrives(port):
    answer = asked(port, Kind.HELLO, 1, struct.pack("<H", messages.VERSION))
    assert answer.kind == Kind.HELLO | messages.ANSWER
    assert messages.read_hello(answer.payload).model == NAME


@needs_emulator
@pytest.mark.parametrize("count", [244, 245, 246, 247, 248, 249, 250, 260, 500, 512])
def test_a_request_of_full_blocks_is_understood(port, count):
    """Full blocks end at different places: in the payload, at its end, in the CRC."""
    answer = asked(port, UNKNOWN, 0x0101 + count % 7, b"\x55" * count)
    assert (answer.kind, answer.payload[0]) == (messages.ERROR, 1)


@needs_emulator
def test_a_host_of_another_version_is_refused(port):
    for number, version in enumerate((0, messages.VERSION - 1, messages.VERSION + 1, 65_535), 1000):
        answer = asked(port, Kind.HELLO, number, struct.pack("<H", version))
        assert answer.kind == messages.ERROR


@needs_emulator
def test_the_last_value_of_the_golden_output_counts(tmp_path):
    golden = stub_output(INPUT, 16 * FILTERS)
    golden[-1] += 1
    done = emulate(emit(tmp_path, golden_outputs=[golden]))
    assert done.returncode != 0
    assert "golden: different (1 of 80 bytes, first at 79)" in done.stdout
