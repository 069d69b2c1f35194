"""The serial ports of this machine, and which of them has a board that answers."""

import serial
from serial.tools import list_ports

from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.messages import Hello
from tinytrain.benching.serial.requests import BoardSilent, Traffic
from tinytrain.errors import TinytrainError, UserError

AUTO = "auto"
BAUDS = (115200, 921600, 9600)  # after reset; of a run that was killed; of `make ENERGY=1`
ST_LINK = 0x0483  # USB vendor of ST, whose debuggers have a serial port
_READ_S = 0.02  # how long a read waits for its first byte
WRITE_S = 5.0  # how long the port may take none of a piece of what is sent
_HINTS = {
    "Permission denied": "; add yourself to the port's group: `ls -l` of the device shows it",
    "No such file or directory": "; `--port auto` finds boards that are connected",
    "exclusively lock": "; another program has it open",
}


def connect(device: str, patience_s: float = 0.3, write_s: float = WRITE_S) -> tuple[BoardLink, Hello]:
    """Returns the board on a port, and its answer to HELLO.

    Args:
        device: the port, such as /dev/ttyACM0, or "auto" for the only port where a board answers.
        patience_s: how long an answer may take beyond its time on the line, in seconds.
        write_s: how long the port may take none of what is sent, in seconds.

    Raises:
        UserError: no such port, no board on it, one of another protocol version, or with "auto" none or several.
    """
    if device == AUTO:
        device = _only_board()
    answer = _ask(device, patience_s, tries=3, write_s=write_s)
    if isinstance(answer, str):
        rates = ", ".join(map(str, BAUDS))
        raise UserError(f"no board answers on {device} at {rates} baud: flash the firmware of this export{answer}")
    return answer


def open_port(device: str, baud: int = BAUDS[0], write_s: float = WRITE_S) -> serial.Serial:
    """Returns the open port; raises UserError if there is none or another program has it."""
    try:
        return serial.Serial(device, baud, timeout=_READ_S, write_timeout=write_s, exclusive=True)
    except (serial.SerialException, OSError, ValueError) as error:
        reason = str(error).removeprefix("[Errno ").split("]")[-1].strip()
        hint = next((text for symptom, text in _HINTS.items() if symptom in str(error)), "")
        raise UserError(f"cannot open the port '{device}': {reason}{hint}") from None


def _only_board() -> str:
    """Returns the only port on USB where a board answers."""
    ports = sorted((port for port in list_ports.comports() if port.vid), key=lambda port: port.vid != ST_LINK)
    if not ports:
        raise UserError("no serial port on USB: connect the board, or name its port with --port DEVICE")
    answers = [(port, _hello_of(port.device)) for port in ports]
    answering = [(port.device, hello) for port, hello in answers if isinstance(hello, Hello)]
    if not answering:
        rows = ", ".join(f"{port.device} ({port.description}){why}" for port, why in answers)
        raise UserError(f"no board answers on {rows}: flash the firmware of this export")
    if len(answering) > 1:
        rows = ", ".join(f"{device} ({hello.board}, {hello.model})" for device, hello in answering)
        raise UserError(f"several boards answer: {rows}; name one with --port DEVICE")
    return answering[0][0]


def _hello_of(device: str) -> Hello | str:
    """Returns what the board on a port says, else why there is none, or "" if it was only silence."""
    try:
        answer = _ask(device, patience_s=0.3, tries=2)
    except TinytrainError as error:  # a port of something else, or in use
        return f" [{error}]"
    if isinstance(answer, str):
        return ""
    link, hello = answer
    link.port.close()
    return hello


def _ask(device: str, patience_s: float, tries: int, write_s: float = WRITE_S) -> tuple[BoardLink, Hello] | str:
    """Returns the board on `device` at the first rate where it answers, else the last lines that came."""
    lines: list[str] = []
    for baud in BAUDS:
        port = open_port(device, baud, write_s)
        link = BoardLink(port, patience_s)
        try:
            hello = link.hello(tries)
            link.traffic = Traffic()  # what it took to find the board is not about the line
            return link, hello
        except BoardSilent:
            lines += link.lines
            port.close()
        except BaseException:
            port.close()
            raise
    return f"; it said last: {' | '.join(lines[-4:])}" if lines else ""
