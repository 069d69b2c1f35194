"""The firmware of an export in QEMU, its serial port a pseudo terminal: other modules use it like a board.

QEMU's control port (QMP, on its standard input and output) gives the name of the pseudo terminal, and starts the core
only once somebody listens.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tinytrain import files
from tinytrain.benching.serial.requests import FAILED, BoardRestarted, BoardSilent
from tinytrain.deploy import make, programs
from tinytrain.deploy.boards import Board
from tinytrain.errors import TinytrainError

READY = b"m-ready"  # the last line of a start
ENDS_S = 10  # of wall time, from QEMU's closed pipe to its end
START_S = 60  # of wall time; a large model takes 9 million instructions to plan


@contextmanager
def emulated(sources: Path, board: Board, tflm: Path | None) -> Iterator[str]:
    """Builds the firmware folder `sources` (unless it was before) and runs it; yields the device to open.

    Ends QEMU in any case.

    Args:
        sources: the firmware folder.
        board: an emulated board.
        tflm: TFLM_DIR, or None for the stub engine.

    Raises:
        TinytrainError: the firmware cannot be built or does not start.
    """
    with (
        files.folder() as build,
        running(programs.build(sources, board, tflm, build), board) as device,
    ):
        yield device


@contextmanager
def running(elf: Path, board: Board) -> Iterator[str]:
    """Runs one program on an emulated board, and yields the device of its serial port once it is ready.

    A fault of the program ends the emulator. Raises BoardRestarted with the registers if what is done with the device
    fails for that reason.
    """
    with files.folder() as folder, tempfile.TemporaryFile() as errors:
        log = folder / "serial.log"
        process = subprocess.Popen(
            _command(elf, board, log), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
        try:
            device = _device(process, errors)
            listener = os.open(device, os.O_RDONLY | os.O_NOCTTY)
            try:
                tty.setraw(listener)
                _execute(process, errors, "cont")
                _await_ready(log, process)
                yield device
            except BoardSilent as error:
                raise _crashed(error, log, process) from None
            finally:
                os.close(listener)
        finally:
            process.kill()
            process.communicate()


def _command(elf: Path, board: Board, log: Path) -> list[str]:
    # The log is read since a pseudo terminal forgets what nobody has read yet when its other end goes.
    command = [
        make.EMULATOR,
        *board.emulator.split(),
        "-display",
        "none",
        "-monitor",
        "none",
        "-qmp",
        "stdio",
        "-S",
    ]
    command += ["-chardev", f"pty,id=port,logfile={log}", "-serial", "chardev:port", "-kernel", str(elf)]
    guard = shutil.which("setpriv")  # Linux: whatever ends this process, QEMU ends with it
    return [guard, "--pdeathsig", "KILL", *command] if guard else command


def _crashed(error: BoardSilent, log: Path, process: subprocess.Popen) -> TinytrainError:
    """Returns the error with what ended the emulator, if it has ended.

    That is the firmware, which has printed its registers before, or somebody else.
    """
    lines = log.read_bytes().decode(errors="replace").splitlines()
    registers = [line.removeprefix(FAILED) for line in lines if line.startswith(FAILED)]
    if registers:
        return BoardRestarted(f"the emulated board crashed{error.during}: {registers[-1]}")
    with contextlib.suppress(subprocess.TimeoutExpired):
        return BoardSilent(f"the emulator ended with status {process.wait(1)}: {error}")
    return error


def _device(process: subprocess.Popen, errors: IO[bytes]) -> str:
    """Returns the name of the pseudo terminal, such as /dev/pts/3."""
    _execute(process, errors, "qmp_capabilities")
    ports = _execute(process, errors, "query-chardev")
    return next(port["filename"].removeprefix("pty:") for port in ports if port["label"] == "port")


def _execute(process: subprocess.Popen, errors: IO[bytes], command: str) -> Any:
    """Returns QEMU's answer to a command of QMP, which is one line of JSON each way; other lines are events."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError("QEMU was started without pipes")
    try:
        process.stdin.write(json.dumps({"execute": command}).encode() + b"\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith(b"{") and "return" in (answer := json.loads(line)):
                return answer["return"]
    except BrokenPipeError:
        pass
    status = process.wait(ENDS_S)  # its pipe is closed
    errors.seek(0)
    reason = errors.readline().decode(errors="replace").strip()  # registers follow
    raise TinytrainError(f"the emulator does not start: it ended with status {status}, {reason or 'without a message'}")


def _await_ready(log: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_S
    while READY not in log.read_bytes():
        ended = process.poll()
        if ended is not None or time.monotonic() > deadline:
            text = " | ".join(log.read_text(errors="replace").splitlines()).strip(" |")
            how = "" if ended is None else f", and QEMU ended with status {ended}"
            raise TinytrainError(f"the emulated firmware does not start: it said '{text}'{how}")
        time.sleep(0.02)
