"""Which engine the firmware of a board has, and how much the compiled one fuses: export.engine and export.memory."""

from dataclasses import dataclass
from typing import Any

from tinytrain.config.schema import Export
from tinytrain.deploy import firmware
from tinytrain.deploy.boards import Board
from tinytrain.deploy.compiled import overhead
from tinytrain.deploy.compiled.fused import Group
from tinytrain.deploy.compiled.nodes import Network, network
from tinytrain.deploy.compiled.plan import Plan, Step, plan
from tinytrain.deploy.kernels import choice
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.errors import UserError
from tinytrain.tflite.model import Model

COMPILED, TFLM = "compiled", "tflm"  # values of export.engine, and names of the engines in the firmware
MOST_ADDED = 0.03  # of the instructions, for the least RAM by default
UNSURE = 1.12  # what fusing costs is estimated up to so much too low
PLAIN = 2**40  # bytes of an arena with which nothing is fused
HALVINGS = 6  # of the arenas between the least and the plain one


@dataclass(frozen=True)
class Engine:
    """The engine of a firmware.

    plan: of the compiled engine, None for TFLM; reason: why it is TFLM, "" if it is not; instructions: of an inference
    without anything fused, estimated.
    """

    plan: Plan | None
    reason: str = ""
    instructions: float = 0.0

    @property
    def name(self) -> str:
        """COMPILED or TFLM."""
        return COMPILED if self.plan else TFLM

    @property
    def estimated_instructions(self) -> float | None:
        """The instructions of an inference, estimated; None for TFLM."""
        return self.instructions + self.plan.added if self.plan else None


def choose(model: Model, settings: Export, board: Board) -> Engine:
    """Returns the engine for a stripped model on `board`, of one int8 input and int8 outputs.

    Args:
        model: the model.
        settings: the section [export].
        board: the board.

    Raises:
        UserError: the compiled engine is asked for, and lacks an operator of the model; or it runs the model, and a
            margin of the arena is asked for.
    """
    try:
        if reason := certain_reason(settings, board):
            raise Refusal(reason)
        net = network(model)
    except Refusal as refusal:
        if settings.engine == COMPILED:
            raise UserError(
                f"export.engine=compiled cannot run this network: {refusal}; export.engine=auto exports it for TFLM"
            ) from None
        return Engine(None, str(refusal))
    if settings.arena_margin_bytes:
        raise UserError(
            f"export.arena_margin_bytes={settings.arena_margin_bytes} is for TFLM: the compiled engine runs this "
            "network, and its arena is planned, not estimated; leave the key out, or use export.engine=tflm"
        )
    instructions = overhead.plain(net)
    room = firmware.arena_room_bytes(board)
    return Engine(_planned(net, settings.memory, instructions, room), "", instructions)


def certain_reason(settings: Export, board: Board) -> str:
    """Returns why TFLM runs any network with these settings, "" if the compiled engine may."""
    if settings.engine == TFLM:
        return f"export.engine is {TFLM}"
    return choice.reason_against(settings.kernels, board)


def _planned(net: Network, memory: str, instructions: float, room: int) -> Plan:
    """Returns the plan that export.memory asks for; `room`: bytes of an arena that the board has."""
    if memory == "plain":
        return plan(net, PLAIN)
    if memory == "fastest":
        return plan(net, room)
    least = plan(net)
    most = MOST_ADDED / UNSURE * instructions
    if memory == "least" or least.added <= most:
        return least
    cheap = _smallest_within(net, most, least.arena_bytes)
    return cheap if cheap.arena_bytes <= room else plan(net, room)


def _smallest_within(net: Network, added: float, least_bytes: int) -> Plan:
    """Returns the plan of about the smallest arena that adds at most so many instructions."""
    best = plan(net, PLAIN)
    low, high = least_bytes, best.arena_bytes
    for _ in range(HALVINGS):
        middle = (low + high) // 2
        tried = plan(net, middle)
        if tried.added <= added:
            best, high = (tried if tried.arena_bytes <= best.arena_bytes else best), middle
        else:
            low = middle
    return best


def section(engine: Engine) -> dict[str, Any]:
    """Returns the section "engine" of report.json.

    "steps": of the compiled engine in order, the numbers of the model's operators that each runs, and how many rows of
    its output at a time, 0 if it is whole; "buffers": where each lies, from which step on (counted from 1; 0 is before
    the first) to which; "peak_step": the number of the step that reaches the end of the arena, from 1; "input_rows":
    how many rows of the input are in RAM at a time, 0 if all of it is.
    """
    planned = engine.plan
    if planned is None:
        return {"name": TFLM, "reason": engine.reason}
    rings = {buffer for step in planned.steps if isinstance(step, Group) for buffer in step.rings}
    return {
        "name": COMPILED,
        "reason": "",
        "arena_bytes": planned.arena_bytes,
        "peak_step": planned.peak + 1,
        "input_rows": planned.input_rows,
        "added_instructions": planned.added,
        "added_percent": round(100 * planned.added / max(engine.instructions, 1), 2),
        "steps": [
            {"operators": operators_of(step), "rows": step.band if isinstance(step, Group) else 0}
            for step in planned.steps
        ],
        "buffers": [
            {
                "kind": "scratch" if buffer.scratch else "rows" if number in rings else "tensor",
                "offset": offset,
                "bytes": buffer.size_bytes,
                "first": buffer.first,
                "last": min(buffer.last, len(planned.steps)),
            }
            for number, (offset, buffer) in sorted(planned.blocks.items())
        ],
    }


def operators_of(step: Step) -> list[int]:
    """Returns the numbers of the operators that a step runs, from 0."""
    return [node.number for node in (step.nodes if isinstance(step, Group) else [step])]
