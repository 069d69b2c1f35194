"""Frames: COBS against published examples, CRC-32 against zlib, a decoder that nothing on the line confuses."""

import random
import struct
import zlib

import pytest

from tinytrain.benching.serial.cobs_frames import Decoder, Frame, decode, encode, stuff, unstuff

# https://en.wikipedia.org/wiki/Consistent_Overhead_Byte_Stuffing, encoding examples, without the delimiter
EXAMPLES = [
    ("00", "01 01"),
    ("00 00", "01 01 01"),
    ("00 11 00", "01 02 11 01"),
    ("11 22 00 33", "03 11 22 02 33"),
    ("11 22 33 44", "05 11 22 33 44"),
    ("11 00 00 00", "02 11 01 01 01"),
]
COUNT = bytes(range(256))
LONG_EXAMPLES = [
    (COUNT[1:255], b"\xff" + COUNT[1:255]),
    (COUNT[:255], b"\x01\xff" + COUNT[1:255]),
    (COUNT[1:], b"\xff" + COUNT[1:255] + b"\x02\xff"),
    (COUNT[2:] + b"\0", b"\xff" + COUNT[2:] + b"\x01\x01"),
    (COUNT[3:] + b"\0\x01", b"\xfe" + COUNT[3:] + b"\x02\x01"),
]


@pytest.mark.parametrize(
    ("data", "stuffed"), [(bytes.fromhex(a), bytes.fromhex(b)) for a, b in EXAMPLES] + LONG_EXAMPLES
)
def test_the_published_examples(data, stuffed):
    assert stuff(data) == stuffed
    assert unstuff(stuffed) == data


def test_any_data_comes_back_and_holds_no_zero():
    source = random.Random(0)
    for length in [*range(20), 252, 253, 254, 255, 256, 507, 508, 509, 510, 521, 2000]:
        for zeros in (0.0, 0.01, 0.5, 1.0):
            data = bytes(0 if source.random() < zeros else source.randrange(1, 256) for _ in range(length))
            stuffed = stuff(data)
            assert 0 not in stuffed
            assert len(stuffed) <= length + 1 + length // 254
            assert unstuff(stuffed) == data


@pytest.mark.parametrize("damaged", ["05 11 22", "00", "03 11 22 05 33"])
def test_what_is_no_cobs_is_refused(damaged):
    assert unstuff(bytes.fromhex(damaged)) is None
    assert decode(bytes.fromhex(damaged)) is None


def test_a_frame_is_header_payload_and_crc():
    body = struct.pack("<BHH", 4, 0x1234, 3) + b"\x00ab"
    assert encode(4, 0x1234, b"\x00ab") == b"\0" + stuff(body + struct.pack("<I", zlib.crc32(body))) + b"\0"
    assert zlib.crc32(b"123456789") == 0xCBF43926  # the check value of CRC-32/ISO-HDLC, which the firmware computes


def test_every_damaged_bit_is_seen():
    stuffed = encode(1, 2, b"payload")[1:-1]
    for place in range(len(stuffed)):
        for bit in range(8):
            damaged = bytearray(stuffed)
            damaged[place] ^= 1 << bit
            assert decode(bytes(damaged)) is None


def feed(decoder, data, sizes):
    """Feeds `data` in pieces of the sizes that `sizes` gives."""
    found, lines = [], []
    while data:
        size = next(sizes)
        more, said = decoder.feed(data[:size])
        found, lines, data = found + more, lines + said, data[size:]
    return found, lines


@pytest.mark.parametrize("seed", range(5))
def test_frames_and_text_are_told_apart_in_pieces_of_any_size(seed):
    source = random.Random(seed)
    stream, expected_frames, expected_lines = b"", [], []
    for number in range(50):
        if source.random() < 0.5:
            frame = Frame(source.randrange(256), number, source.randbytes(source.randrange(513)))
            stream += encode(frame.kind, frame.sequence, frame.payload)
            expected_frames.append(frame)
        else:
            stream += f"m-line-{number}\r\n".encode()
            expected_lines.append(f"m-line-{number}")
    decoder = Decoder()
    sizes = iter(lambda: source.randrange(1, 50), None)
    assert feed(decoder, stream, sizes) == (expected_frames, expected_lines)
    assert decoder.damaged == 0


@pytest.mark.parametrize("lost", [0, -1])
def test_a_lost_zero_costs_at_most_its_own_frame(lost):
    broken = bytearray(encode(1, 1, b"first"))
    del broken[lost]
    decoder = Decoder()
    found, _ = decoder.feed(bytes(broken) + b"".join(encode(1, n, b"next") for n in (2, 3)))
    assert [frame.sequence for frame in found][-2:] == [2, 3]


def test_text_comes_at_once_and_needs_no_frame_after_it():
    decoder = Decoder()
    assert decoder.feed(b"m-timestamp-mode-perf") == ([], [])
    assert decoder.feed(b"ormance\r\nm-re") == ([], ["m-timestamp-mode-performance"])
    assert decoder.feed(encode(1, 1))[0] == [Frame(1, 1, b"")]
    assert decoder.feed(b"ady\r\n") == ([], ["m-ready"])


@pytest.mark.parametrize("end", [b"\0", b""])
def test_a_board_that_restarts_within_a_frame_is_heard(end):
    begun = encode(0x84, 7, bytes(100))[:60]
    decoder = Decoder()
    said = decoder.feed(begun + b"\r\nm-timestamp-mode-performance\r\ne-[watchdog: it hung]\r\n" + end)[1]
    assert said + decoder.idle() == ["m-timestamp-mode-performance", "e-[watchdog: it hung]"]


def test_endless_bytes_fill_no_memory():
    decoder = Decoder()
    decoder.feed(b"\0")
    for _ in range(200):
        decoder.feed(b"x" * 1000)
    assert len(decoder._pending) + len(decoder._text) < 70_000  # the longest line, 65,536, and a frame
    assert decoder.feed(b"\0" + encode(1, 5))[0] == [Frame(1, 5, b"")]


def test_a_frame_of_another_length_than_it_says_is_none():
    for length in (0, 2, 4, 65535):
        body = struct.pack("<BHH", 1, 1, length) + b"abc"
        assert decode(stuff(body + struct.pack("<I", zlib.crc32(body)))) is None
