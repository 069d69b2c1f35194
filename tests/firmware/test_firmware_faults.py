"""The emulated firmware when all goes wrong: a model that did not start, null pointers, a full stack, long requests."""

import re
import struct
import time
import zlib

import pytest
from bench_helpers import exported
from firmware_helpers import ALL_EMULATED, EMULATED, INPUT, below_the_stack, emit, full_stack, needs_emulator, run_make
from simulated_board import open_device

from tinytrain.benching.serial import cobs_frames, emulator, messages
from tinytrain.benching.serial.messages import Kind
from tinytrain.deploy import boards, make

BOARD = boards.load(EMULATED)
LONG = 2**31 - 1
# Statements of C for the stub engine's first inference, and what the board says of them after its restart.
FAULTS = {
    "input[0] = *(volatile int8_t*)null_address;": r"null pointer at 0x[0-9a-f]{8} in operator 0",
    "*(volatile int8_t*)(null_address + kInputBytes) = 1;": r"null pointer at 0x[0-9a-f]{8} in operator 0",
    "((void (*)())null_address)();": r"null pointer at 0x0000000[0-9a-f] in operator 0",
    "Deep(1000);": r"stack overflow at FULL\w+ in operator 0",
    "((volatile char*)__builtin_frame_address(0))[null_address - 5000]++;": r"stack overflow at BELOW",
    '__asm volatile("udf #0");': r"fault at 0x[0-9a-f]{8} in operator 0",
}
DEEP = """
static volatile uintptr_t null_address = 0;
__attribute__((noinline)) static unsigned Deep(unsigned depth) {
  volatile unsigned room[16] = {depth};
  return depth == 0 ? room[0] : Deep(depth - 1) + room[depth % 16];
}
[[maybe_unused]] static unsigned (*volatile unused)(unsigned) = Deep;
"""


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """One whose arena is too small: the stub engine does not start, and its input is a null pointer."""
    return exported(tmp_path_factory.mktemp("faults") / "export", arena_bytes=112)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """The program of an export that starts."""
    folder = exported(tmp_path_factory.mktemp("faults") / "started")
    return make.build(folder / "firmware", BOARD, None, folder / "build")


def said(port, until, wait_s=30.0):
    """Returns what arrives up to `until`."""
    text, ends = b"", time.monotonic() + wait_s
    while until not in text:
        assert time.monotonic() < ends, text
        text += port.read(256)
    return text.decode(errors="replace")


def frames(port, count, wait_s=20.0):
    """Returns the next `count` frames that arrive."""
    decoder, found, ends = cobs_frames.Decoder(), [], time.monotonic() + wait_s
    while len(found) < count and time.monotonic() < ends:
        found += decoder.feed(port.read(256))[0]
    return found


@needs_emulator
@pytest.mark.parametrize("keep_image", ["0", "1"])
def test_a_model_that_did_not_start_is_the_answer_to_every_request(export, tmp_path, keep_image):
    """IMAGE included, which is answered only where no input is kept: at address 0 it would overwrite the vectors."""
    make.run(export / "firmware", BOARD, None, "all", BUILD=str(tmp_path), KEEP_IMAGE=keep_image)
    program = tmp_path / f"{EMULATED}-stub/firmware.elf"
    image, crc = INPUT.tobytes(), zlib.crc32(INPUT.tobytes())
    requests = {
        Kind.INFER: struct.pack("<II", crc, 1),
        Kind.OUTPUT: struct.pack("<I", 0),
        Kind.PROFILE: struct.pack("<IH", crc, 0),
        Kind.OUTPUT_INFO: struct.pack("<H", 0),
    }
    with emulator.running(program, BOARD) as device, open_device(device) as port:
        for command in ("results", "db load 48", "db 00", "db print", "infer 1"):
            port.write(f"{command}%".encode())
            lines = said(port, b"m-ready").split("\r\n")
            assert lines[0] == "e-[The model did not start: the arena is too small]", command
        for number, (kind, payload) in enumerate(requests.items()):
            port.write(cobs_frames.encode(Kind.IMAGE, 1000 + number, struct.pack("<I", 0) + image))
            port.write(cobs_frames.encode(kind, number, payload))
            for answer in frames(port, 1 if keep_image == "1" else 2):
                assert (answer.kind, answer.payload) == (messages.ERROR, b"\4the arena is too small")
                last = answer.sequence
            assert last == number


@needs_emulator
def test_results_before_an_inference_are_refused(started):
    with emulator.running(started, BOARD) as device, open_device(device) as port:
        port.write(b"results%")
        assert said(port, b"m-ready").startswith("e-[No inference has run: infer first]")


@needs_emulator
@pytest.mark.parametrize("board", ALL_EMULATED)
def test_faults_are_told_by_name_and_again_after_the_restart(tmp_path, board):
    """A real board restarts after a fault; the emulator ends, unless its port is told to restart as well."""
    folder = emit(tmp_path)
    port_file, engine_file = folder / "platform/ports/mps2.c", folder / "app/engine_stub.cc"
    exit_line, engine = "void board_exit(int status) {\n", engine_file.read_text()
    port_code = port_file.read_text()
    assert port_code.count(exit_line) == 1
    port_file.write_text(port_code.replace(exit_line, exit_line + "    if (status != 7) { restart(); }\n"))
    start = "  uint32_t hash = 2166136261u;"
    cases = "".join(f"  if (input[0] == {number}) {{ {code} }}\n" for number, code in enumerate(FAULTS, 1))
    assert engine.count(start) == 1
    (folder / "app/engine_crash.cc").write_text("#include <cstdint>\n" + DEEP + engine.replace(start, cases + start))
    done = run_make(folder, f"BOARD={board}", "ENGINE=crash")
    assert done.returncode == 0, done.stderr
    program = folder / f"build/{board}-crash/firmware.elf"
    with emulator.running(program, boards.load(board)) as device, open_device(device) as port:
        for number, (code, pattern) in enumerate(FAULTS.items(), 1):
            expected = pattern.replace("FULL", full_stack(board)).replace("BELOW", below_the_stack(board))
            image = bytes([number]) + bytes(47)
            port.write(cobs_frames.encode(Kind.IMAGE, 0, struct.pack("<I", 0) + image))
            port.write(cobs_frames.encode(Kind.INFER, number, struct.pack("<II", zlib.crc32(image), 1)))
            text = said(port, b"m-ready")
            assert re.search(f"failed: {expected.removesuffix(' in operator 0')}", text), (code, text)
            assert re.search(rf"e-\[{expected}.*\]", text), (code, text)


@needs_emulator
def test_ctrl_c_ends_many_inferences(started):
    """Behind a command that was pasted with it as well; what comes next is understood."""
    pixels = bytes(48).hex()
    with emulator.running(started, BOARD) as device, open_device(device) as port:
        port.write(f"db load 48%db {pixels[:60]}%db {pixels[60:]}%".encode())
        said(port, b"m-load-done")
        for request, what in ((f"infer {LONG} 0", "inferences"), (f"infer 1 {LONG}", "warmups")):
            port.write(f"{request}%".encode())
            said(port, b"-start-")
            time.sleep(0.2)
            port.write(b"nam\3name%")
            text = said(port, b"m-name-dut")
            assert 0 < int(re.search(rf"e-\[Stopped after (\d+) of {LONG} {what}\]", text)[1]) < LONG
            assert "m-results" not in text


@needs_emulator
def test_another_request_ends_many_inferences_and_the_same_one_does_not(started):
    image = INPUT.tobytes()
    infer = cobs_frames.encode(Kind.INFER, 7, struct.pack("<II", zlib.crc32(image), LONG))
    with emulator.running(started, BOARD) as device, open_device(device) as port:
        port.write(cobs_frames.encode(Kind.IMAGE, 0, struct.pack("<I", 0) + image) + infer + infer)
        time.sleep(0.2)
        port.write(infer)
        assert not frames(port, 1, wait_s=0.5)
        port.write(cobs_frames.encode(Kind.STATUS, 8))
        stopped, status = frames(port, 2)
        assert (stopped.kind, stopped.sequence, stopped.payload[0]) == (messages.ERROR, 7, 5)
        done = re.fullmatch(rf"another request came after (\d+) of {LONG} inferences", stopped.payload[1:].decode())
        assert 0 < int(done[1]) < LONG
        assert (status.kind, status.sequence) == (Kind.STATUS | messages.ANSWER, 8)
        port.write(infer)  # a new one again, since another was answered meanwhile
        assert not frames(port, 1, wait_s=0.5)
