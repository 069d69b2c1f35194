"""Which .tflite files TensorFlow Lite Micro can run: those of one subgraph whose operators it has."""

from tinytrain.deploy.tflm import operators
from tinytrain.errors import UserError
from tinytrain.tflite.model import Model

VELA = "ethos-u"  # the custom operator that Vela puts in place of those that it compiled


def parse(content: bytes, name: str) -> Model:
    """Parses the bytes of a .tflite file that TFLM is to run; `name` stands for it in errors.

    Raises:
        UserError: as `Model.parse` and `check` do.
    """
    model = Model.parse(content, name)
    check(model, name)
    return model


def check(model: Model, name: str) -> None:
    """Raises UserError if TFLM lacks an operator of the model, or the model has several subgraphs."""
    missing = [operator for operator in model.counts if operator not in operators.OPS]
    if VELA in missing:
        raise UserError(
            f"{name} was compiled by Vela for Arm's Ethos-U NPU (operator {VELA}), which no Cortex-M runs by itself: "
            "use the .tflite from before Vela"
        )
    if flex := [operator for operator in missing if operator.startswith("Flex")]:
        raise UserError(
            f"{name} uses {', '.join(flex)} of TensorFlow itself (SELECT_TF_OPS), which TensorFlow Lite Micro does not "
            "have; build the model from operators it has (tinytrain/deploy/tflm/operators.py lists them)"
        )
    if missing:
        raise UserError(
            f"{name} uses {', '.join(missing)}, which TensorFlow Lite Micro does not have"
            "; build the model from operators it has (tinytrain/deploy/tflm/operators.py lists them)"
        )
    if model.subgraphs > 1:
        raise UserError(
            f"{name} has {model.subgraphs} subgraphs, as IF, WHILE and CALL_ONCE need them: the firmware runs and "
            "measures networks of one; build the network without control flow and variables"
        )
