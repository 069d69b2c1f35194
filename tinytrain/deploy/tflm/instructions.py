"""Instructions of each operator on a Cortex-M with DSP extension (M4, M7), from its shapes.

With TFLM and CMSIS-NN, what an operator costs is linear in a few operation counts of CMSIS-NN (cmsis_nn_counts.py). The
coefficients are least squares over single operators counted on the emulated Cortex-M7: `benchmarks/single_operators.py`
counts and fits them. TFLM of August 2026, gcc 12.2. deploy/kernels/counts.py has those of our own kernels.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tinytrain.deploy.kernels import counts
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.deploy.tflm import cmsis_nn_counts
from tinytrain.deploy.tflm import operators as tflm_ops
from tinytrain.tflite.model import Operator


class Cost(NamedTuple):
    """Predicted instructions of one operator, None where none was ever counted; `number`: from 0, in the model."""

    name: str
    number: int
    instructions: float | None


# Of each route: the instructions of a call, then of each count that `cmsis_nn_counts.counts` returns for it. Behind it:
# over how many single operators, and the largest errors there.
COEFFICIENTS: dict[str, tuple[float, ...]] = {
    "CONV_2D 1x1": (372, 9.424, 171.2, 1.368, 11.99),  # 93: -5 to +5 %
    "CONV_2D": (1277, 41.24, 3.847, 58.61, 1.565, 76.03),  # 310: -8 to +10 %
    "DEPTHWISE_CONV_2D 3x3": (622, 38.45, 5.296, 2.374, 84.95, 6.872),  # 180: -7 to +5 %
    "DEPTHWISE_CONV_2D": (627.1, 133.8, 37.25, 1.711, 44.01, 5.291, 5.181, 13.34),  # 492: -3 to +6 %
    "DEPTHWISE_CONV_2D multiplied by 4": (3183, 53.08, 4.442),  # 16: -6 to +5 %
    "DEPTHWISE_CONV_2D multiplied": (720, 141.6, 15.55),  # 4: 0 %
    "FULLY_CONNECTED": (442.2, 53.01, 1.885, 0.5495),  # 108: -5 to +6 %
    "ADD own": (220.9, 0, 65),  # 7: 0 %
    "ADD": (702.5, 0, 80.33),  # 7: 0 %
    "ADD broadcast": (0, 0, 124.2),  # 5: -1 to +1 %
    "MUL own": (315.2, 0, 28.27),  # 12: -2 to +1 %
    "MUL broadcast": (0, 0, 53.73),  # 5: -1 to +1 %
    "SUB": (694.6, 0, 112.4),  # 7: 0 %
    "AVERAGE_POOL_2D own": (133.4, 13.93, 5.179),  # 7: -3 to +6 %
    "AVERAGE_POOL_2D": (430.6, 14.05, 6.747),  # 20: -9 to +8 %
    "MAX_POOL_2D": (0, 0, 10.08),  # 5: -6 to +5 %
    "MEAN": (922.2, 45.72, 127.5),  # 7: 0 %
    "PAD": (405.5, 3.464, 0.4893),  # 14: -19 to +16 %
    "CONCATENATION": (413, 0, 1.434),  # 7: -42 to +41 %
    "RESIZE_NEAREST_NEIGHBOR": (475.2, 50.64, 0.5815),  # 7: -1 to +3 %
    "HARD_SWISH own": (137.9, 0, 5.5),  # 7: 0 %
    "HARD_SWISH": (240.2, 0, 104.5),  # 7: 0 %
    "LOGISTIC own": (138.2, 0, 5.5),  # 7: 0 %
    "LOGISTIC": (165.2, 0, 444.5),  # 7: 0 %
    "TANH own": (138.2, 0, 5.5),  # 7: 0 %
    "TANH": (238.7, 0, 457.8),  # 7: 0 %
    "RELU": (208, 0, 49.39),  # 7: 0 %
    "RELU6": (210.5, 0, 13.84),  # 7: 0 %
    "QUANTIZE": (155.3, 0, 44.33),  # 7: 0 %
    "RESHAPE": (173.8, 0, 0.5311),  # 7: 0 %
    "SOFTMAX": (272.5, 0, 528.9),  # 4: 0 %
}
CALL = 85.0  # TFLM's own, for each operator


def total(operators: Sequence[Operator], kernels: Sequence[Kernel | Refusal] = ()) -> float | None:
    """Returns the predicted instructions of one inference, None if an operator was never counted.

    The arguments are those of `by_operator`.
    """
    costs = [cost.instructions for cost in by_operator(operators, kernels)]
    known = [cost for cost in costs if cost is not None]
    return sum(cost + CALL for cost in known) if len(known) == len(costs) else None


def by_operator(operators: Sequence[Operator], kernels: Sequence[Kernel | Refusal] = ()) -> list[Cost]:
    """Returns the predicted instructions of every operator, in the order of the model.

    Args:
        operators: of the model, in order.
        kernels: of each operator, its kernel or why TFLM's runs it (kernels.derive.Derived); (): TFLM's run all.
    """
    own = [kernel if isinstance(kernel, Kernel) else None for kernel in kernels] or [None] * len(operators)
    pairs = list(zip(operators, own, strict=True))
    kinds = tflm_ops.registrations([operator for operator, kernel in pairs if kernel is None])
    return [
        Cost(operator.name, number, counts.predict(kernel) if kernel else predict(operator, kinds[operator.name]))
        for number, (operator, kernel) in enumerate(pairs)
    ]


def uncounted(operators: Sequence[Operator]) -> list[str]:
    """Returns the operators that were never counted, so that nothing is known of their instructions; each name once.

    None of them has a kernel of ours.
    """
    return list(dict.fromkeys(cost.name for cost in by_operator(operators) if cost.instructions is None))


def predict(operator: Operator, kind: str) -> float | None:
    """Returns the predicted instructions of one operator that TFLM runs, registered as `kind` (operators.KINDS).

    None if no operator that runs like it was ever counted.
    """
    coefficients = COEFFICIENTS.get(cmsis_nn_counts.route(operator, kind))
    if coefficients is None:
        return None
    constant, *factors = coefficients
    return constant + sum(
        factor * count for factor, count in zip(factors, cmsis_nn_counts.counts(operator, kind), strict=True)
    )
