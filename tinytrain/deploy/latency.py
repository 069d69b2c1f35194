"""How long one inference will take, before there is hardware: instructions, times cycles an instruction of the core.

Instructions are counted in the emulator, or estimated operator by operator (instructions.py). Cycles an instruction are
fitted to published latencies of CMSIS-NN's kernels, whose instructions are known here (benchmarks/latency_model.py
prints every row and its error, docs/latency.md tells where they are from):

- Cortex-M7: 0.96 to 0.99 in the five rows of one README whose networks are known, so one ratio predicts each from the
  others within 3 %. But it does not name its clock: at 480 MHz the ratio is 0.97, at 400 MHz 0.81.
- Cortex-M4: 1.50 to 1.75 in the four rows of one board and engine, each predicted from the others within 13 %. The same
  engine needs up to 1.41 times the cycles on another M4, whose flash is slower.
- Cortex-M33: 1.24 to 1.35 in the four rows of one board, of the M4's engine and networks, each predicted from the
  others within 7 %. Three engines that were run on both cores need 0.80 to 0.90 of the M4's cycles for images.

The intervals hold all of these rows and leave room above for memory that is slower than on the boards measured. All
rows of the M7 are of an STM32H743, whose caches are four times an STM32F746's and whose flash waits less; how much that
is worth nobody has published, so its interval goes as far above the likely value as slow flash was seen to on the M4;
and so does that of the M33, of which the engine was run on one board.

Kernels of ours were never timed on a board. Their inner loops multiply more and load more at once than CMSIS-NN's:
if memory never waits, they need 1.05 times the cycles an instruction on an M7 and 1.10 times on an M4
(benchmarks/inner_loops.py), so likely and highest value are CMSIS-NN's times that. The lowest is what these loops need
at least on an M7, and CMSIS-NN's on an M4. That holds both mixes, as other operators run beside them. Arm has published
no cycles of the M33's instructions: it is given what the M4 is, a core of the same width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tinytrain.deploy.boards import Board
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.deploy.tflm import instructions
from tinytrain.tflite.model import Operator

COUNTED, ESTIMATED = "instructions counted in the emulator", "instructions estimated by operator"
ESTIMATE_ERROR = 0.05  # of whole networks against the emulator: benchmarks/cost.py, benchmarks/single_operators.py


@dataclass(frozen=True)
class Core:
    """Cycles an instruction of a core: the interval, the likely value; how many published rows, their largest error."""

    low: float
    likely: float
    high: float
    rows: int
    error: float | None  # of a row predicted from the others, 0..1; None without rows


CORES = {
    "cortex-m7": Core(low=0.80, likely=0.97, high=1.40, rows=5, error=0.03),
    "cortex-m4": Core(low=1.25, likely=1.55, high=2.20, rows=4, error=0.13),
    "cortex-m33": Core(low=1.05, likely=1.30, high=1.85, rows=4, error=0.07),
}
OWN_KERNELS = {
    "cortex-m7": Core(low=0.52, likely=1.02, high=1.47, rows=0, error=None),
    "cortex-m4": Core(low=1.25, likely=1.70, high=2.42, rows=0, error=None),
    "cortex-m33": Core(low=1.05, likely=1.43, high=2.04, rows=0, error=None),
}


@dataclass(frozen=True)
class Prediction:
    """The latency of one inference on a board, and what it is based on."""

    low_ms: float
    likely_ms: float
    high_ms: float
    instructions: float
    how: str  # COUNTED or ESTIMATED
    name: str  # of the core
    core: Core

    def report(self) -> dict[str, object]:
        """Returns the keys of report.json."""
        core = self.core
        return {
            "latency_ms": round(self.likely_ms, 2),
            "latency_range_ms": [round(self.low_ms, 2), round(self.high_ms, 2)],
            "latency_basis": {
                "how": self.how,
                "instructions": round(self.instructions),
                "core": self.name,
                "cycles_per_instruction": [core.low, core.likely, core.high],
                "published_rows": core.rows,
                "error_percent": None if core.error is None else round(100 * core.error),
            },
        }


def report(
    operators: Sequence[Operator],
    board: Board,
    counted: float | None = None,
    kernels: Sequence[Kernel | Refusal] = (),
    compiled: float | None = None,
) -> dict[str, object]:
    """Returns the keys of report.json: the prediction, or nulls with what is missing for one.

    The arguments are those of `predict`. Missing are figures of the core or, if there are some, the counts of
    "uncounted_operators".
    """
    prediction = predict(operators, board, counted, kernels, compiled)
    if prediction:
        return prediction.report()
    uncounted = instructions.uncounted(operators) if board.core in CORES else []
    basis = {"core": board.core, "uncounted_operators": uncounted}
    return {"latency_ms": None, "latency_range_ms": None, "latency_basis": basis}


def predict(
    operators: Sequence[Operator],
    board: Board,
    counted: float | None = None,
    kernels: Sequence[Kernel | Refusal] = (),
    compiled: float | None = None,
) -> Prediction | None:
    """Returns the predicted latency of a model on `board`.

    Args:
        operators: of the model, in order.
        board: the board.
        counted: the instructions of one inference in the emulator; None: they are estimated.
        kernels: of each operator, its kernel or why TFLM's runs it (kernels.derive.Derived); (): TFLM's run all.
        compiled: the estimated instructions of the compiled engine, None for TFLM.

    Returns:
        None for a core without published figures, and for a model with an operator that was never counted.
    """
    cores = OWN_KERNELS if compiled or any(isinstance(kernel, Kernel) for kernel in kernels) else CORES
    core, number = cores.get(board.core), counted or compiled or instructions.total(operators, kernels)
    if core is None or number is None:
        return None
    low, likely, high = (number * cycles / board.clock_hz * 1e3 for cycles in (core.low, core.likely, core.high))
    if counted:
        return Prediction(low, likely, high, number, COUNTED, board.core, core)
    low, high = low * (1 - ESTIMATE_ERROR), high * (1 + ESTIMATE_ERROR)
    return Prediction(low, likely, high, number, ESTIMATED, board.core, core)
