"""The connection of `tinytrain bench` to the board that holds an export: a real one on a port, or the emulated one."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from tinytrain.benching.serial import emulator, ports
from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.messages import Hello
from tinytrain.benching.serial.requests import BoardRestarted
from tinytrain.deploy import boards, make
from tinytrain.deploy.decode import description
from tinytrain.deploy.exported import Exported
from tinytrain.errors import UserError

FUSED = "FUSED"  # operators that a compiled network runs together
_PATIENCE_S = 0.3
# Nothing is lost there, but other programs may slow it down: QEMU takes a byte at a time, each with two turns of its
# threads, and the kernel says that the terminal takes more only once 4 KB are taken.
_EMULATOR_PATIENCE_S = 5.0
_EMULATOR_WRITE_S = 120.0


@contextmanager
def board(exported: Exported, port: str | None) -> Iterator[tuple[BoardLink, Hello]]:
    """Yields the board with the model of `exported`, and its answer to HELLO; leaves it at the baud rate of its start.

    Args:
        exported: the export.
        port: a serial port, "auto" for the only one where a board answers, or None for the emulator.

    Raises:
        UserError: no board, one with another model or another version of the protocol, or nothing to emulate with.
        BoardRestarted: the board hung or crashed; names the operator in which it did.
    """
    with _device(exported, port) as device:
        times = (_PATIENCE_S, ports.WRITE_S) if port else (_EMULATOR_PATIENCE_S, _EMULATOR_WRITE_S)
        link, hello = ports.connect(device, *times)
        try:
            refuse_another_model(hello, exported, link.port.port)
            yield link, hello
        except BoardRestarted as error:
            raise _with_operator(error, step_names(exported, hello.engine)) from None
        finally:
            link.restore_baud()
            link.port.close()


@contextmanager
def _device(exported: Exported, port: str | None) -> Iterator[str]:
    """Yields the name of the port: `port`, or that of the emulator, which it starts and ends."""
    if port is not None:
        yield port
        return
    if why := make.lacking(emulator=True, tflm=not exported.is_compiled):
        raise UserError(f"the firmware cannot be emulated here: {why}; or name a board's port with --port")
    real = boards.load(exported.report["board"])
    emulated_board = boards.emulated_board(real)
    if emulated_board is None:
        raise UserError(
            f"no emulated board has the {real.core} of {real.name}: name the port of a real one with --port"
        )
    with emulator.emulated(exported.sources, emulated_board, make.tflm_dir()) as device:
        yield device


def step_names(exported: Exported, engine: str) -> list[str]:
    """Returns what each step of an engine runs: the name of an operator, or which ones are fused, as "FUSED 5-8"."""
    operators = exported.summary.operators
    return [
        operators[step[0]].name if len(step) == 1 else f"{FUSED} {min(step) + 1}-{max(step) + 1}"
        for step in exported.steps(engine)
    ]


def refuse_another_model(hello: Hello, exported: Exported, device: str) -> None:
    """Raises UserError unless the board holds exactly the model of the export.

    Args:
        hello: what the board said that it holds.
        exported: the export.
        device: the name of its port, for the error.
    """
    expected = (
        exported.firmware_crc,
        len(exported.firmware_model),
        exported.inputs[0].size,
        exported.output_bytes,
        len(exported.outputs),
    )
    if (hello.model_crc, hello.model_bytes, hello.input_bytes, hello.output_bytes, hello.outputs) != expected:
        raise UserError(
            f"the board on {device} ({hello.board}) holds another model, '{hello.model}' of {hello.model_bytes:,} "
            f"bytes with CRC-32 {hello.model_crc:08x}, expected {len(exported.firmware_model):,} bytes with "
            f"{exported.firmware_crc:08x}: {_flash(exported)}"
        )
    _refuse_another_decoder(hello, exported, device)


def _refuse_another_decoder(hello: Hello, exported: Exported, device: str) -> None:
    """Raises UserError unless the board decodes boxes exactly as the export does, or neither does."""
    decoder = exported.decoder
    expected = (decoder.room, description.crc(decoder)) if decoder else (0, 0)
    if (hello.boxes, hello.decoder_crc) != expected:
        raise UserError(
            f"the board on {device} ({hello.board}) decodes up to {hello.boxes} boxes with {hello.decoder_crc:08x}, "
            f"expected {expected[0]} with {expected[1]:08x}, the anchors and thresholds of the export: "
            f"{_flash(exported)}"
        )


def _flash(exported: Exported) -> str:
    """Returns the command that writes the firmware to the board."""
    return f"make -C {shlex.quote(str(exported.sources))} {'' if exported.is_compiled else 'TFLM_DIR=… '}flash"


def _with_operator(error: BoardRestarted, names: list[str]) -> BoardRestarted:
    """Returns the error with the name of the operator after "in operator 12"."""
    number = re.search(r"in operator (\d+)", str(error))
    if not number or int(number[1]) >= len(names):
        return error
    return BoardRestarted(str(error).replace(number[0], f"{number[0]} ({names[int(number[1])]})", 1))
