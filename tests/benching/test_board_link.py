"""The host's side of the binary protocol on a board of Python: rates, silence, restarts, ports."""

import time

import numpy as np
import pytest
from firmware_helpers import INPUT, stub_output
from int8_models import conv_model
from simulated_board import SimulatedBoard, open_device

from tinytrain.benching.serial import ports
from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.requests import BoardRefused, BoardRestarted, BoardSilent
from tinytrain.errors import UserError

IMAGE = INPUT.tobytes()


def simulated(**behavior):
    return SimulatedBoard(conv_model(), len(IMAGE), 80, **behavior)


@pytest.fixture
def link():
    """Returns a function that opens a board, with little patience, and has asked it HELLO."""
    opened = []

    def connect(board, **arguments):
        opened.append(open_device(board.device))
        made = BoardLink(opened[-1], patience_s=0.05, **arguments)
        made.hello()
        return made

    yield connect
    for port in opened:
        port.close()


def test_an_output_longer_than_a_frame_comes_in_pieces(link):
    with SimulatedBoard(conv_model(), len(IMAGE), 1300, operators=300) as board:
        connected = link(board)
        found = connected.infer(IMAGE, 3, 1300)
        assert found.outputs == stub_output(INPUT, 1300).tobytes()
        assert (found.count, found.ticks) == (3, 3 * board.cycles)
        assert connected.profile(IMAGE, 300) == [board.cycles // 300] * 300


def test_the_fastest_rate_that_the_line_carries_is_taken(link):
    with simulated(rates=(115200, 460800)) as board:
        connected = link(board)
        assert connected.set_baud() == board.baud == 460800
        assert np.frombuffer(connected.infer(IMAGE).outputs, np.int8).tolist() == stub_output(INPUT, 80).tolist()
        connected.restore_baud()
        assert connected.port.baudrate == board.baud == 115200


def test_a_board_that_refuses_rates_keeps_its_own(link):
    with simulated(refuse={2: (2, b"no such rate")}) as board:
        assert link(board).set_baud() == 115200


def test_silence_is_an_error_after_a_bounded_time(link):
    with simulated() as board:
        connected = link(board, tries=4)
        connected.infer(IMAGE)  # now it knows how long that takes
        board.silent = True
        started = time.monotonic()
        connected.doing = "image 7"
        with pytest.raises(BoardSilent, match="the board does not answer INFER during image 7"):
            connected.infer(IMAGE)
        assert connected.traffic.repeated_requests == 3
        assert time.monotonic() - started < 10


def test_a_restart_in_the_middle_is_told_with_its_reason(link):
    with simulated(crash_at=2, reason="watchdog: it hung in operator 0") as board:
        connected = link(board)
        connected.infer(IMAGE)
        connected.doing = "image 1"
        with pytest.raises(BoardRestarted, match=r"restarted during image 1: watchdog: it hung in operator 0$"):
            connected.infer(IMAGE)
        assert "m-init-done" in connected.lines


def test_a_restart_is_told_even_if_the_rate_changed_with_it(link):
    with simulated(crash_at=2, reason="fault at 0x08001234", rates=(115200, 921600)) as board:
        connected = link(board, tries=4)
        assert connected.set_baud() == 921600
        connected.infer(IMAGE)
        with pytest.raises(BoardRestarted, match="fault at 0x08001234"):
            connected.infer(IMAGE)


def test_an_error_of_the_board_is_told(link):
    with (
        simulated(refuse={4: (4, b"invoke failed")}) as board,
        pytest.raises(BoardRefused, match="refuses INFER with error 4: invoke failed"),
    ):
        link(board).infer(IMAGE)


# Ports


def test_a_port_is_found_at_the_rate_that_a_killed_run_left():
    with simulated(rates=(921600,)) as board:
        board.baud = 921600
        found, hello = ports.connect(board.device, patience_s=0.05)
        found.port.close()
        assert (found.port.baudrate, hello.board) == (921600, "sim")


def test_a_port_without_a_board_is_a_sentence():
    with simulated(silent=True) as board:
        board.say(b"hello, I am a modem\r\n")
        with pytest.raises(UserError, match=f"no board answers on {board.device} at 115200, 921600, 9600 baud"):
            ports.connect(board.device, patience_s=0.02)


def test_a_port_that_is_in_use_is_a_sentence():
    with simulated() as board:
        port = ports.open_port(board.device)
        with pytest.raises(UserError, match="another program has it open"):
            ports.open_port(board.device)
        port.close()
    with pytest.raises(UserError, match=r"cannot open the port '/dev/none'.*`--port auto` finds"):
        ports.open_port("/dev/none")


class Listed:
    def __init__(self, device, vid):
        self.device, self.vid, self.description = device, vid, "a port"


def test_auto_finds_the_only_board_and_lists_what_it_found_else(monkeypatch):
    def listed(*found):
        monkeypatch.setattr(ports.list_ports, "comports", lambda: list(found))

    listed(Listed("/dev/ttyS0", None))
    with pytest.raises(UserError, match="no serial port on USB"):
        ports.connect("auto")
    with simulated() as one, simulated() as two, simulated(silent=True) as dumb:
        listed(Listed(dumb.device, 0x1234), Listed(one.device, 0x0483))
        found, _ = ports.connect("auto")
        found.port.close()
        assert found.port.port == one.device
        listed(Listed(dumb.device, 0x1234), Listed("/dev/none", 0x0483))
        expected = rf"no board answers on /dev/none \(a port\) \[cannot open.*\], {dumb.device} \(a port\): flash"
        with pytest.raises(UserError, match=expected):
            ports.connect("auto")
        listed(Listed(one.device, 0x0483), Listed(two.device, 0x0483))
        with pytest.raises(UserError, match=rf"several boards answer: {one.device} \(sim, conv\), {two.device}"):
            ports.connect("auto")
