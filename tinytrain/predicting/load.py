"""From what the user names to the model that `tinytrain predict` asks."""

from pathlib import Path

from tinytrain.deploy import boards
from tinytrain.deploy.cpu import exported as cpu_exported
from tinytrain.deploy.exported_model import REPORT_FILE, ExportedModel
from tinytrain.errors import UserError
from tinytrain.predicting import float_model, int8_model
from tinytrain.predicting.model import GIVE, Model
from tinytrain.run import Run


def load(target: Path, score: float | None) -> Model:
    """Returns the model of a run, of an export, or in a .tflite file of either.

    Args:
        target: the folder or the file.
        score: the least score of a box; None: the one that is stored with the model.

    Raises:
        UserError: there is no such model, the run is not finished, or the export lacks what its boxes follow from.
    """
    if target.is_dir():
        if (target / "config.toml").is_file():
            return float_model.of_run(Run.open(target), score)
        if cpu_exported.is_there(target):
            raise UserError(f"'{target}' is an export for a CPU: give its run, or an export for a board")
        if (target / REPORT_FILE).is_file():
            return int8_model.of_export(ExportedModel.open(target), score)
        raise UserError(f"'{target}' holds neither a run (config.toml) nor an export ({REPORT_FILE}): {GIVE}")
    if target.is_file() and target.suffix == ".tflite":
        return int8_model.of_file(target, score)
    if target.is_file():
        raise UserError(f"'{target}' is a file, but not a .tflite: {GIVE}")
    if _is_board(str(target)):
        raise UserError(
            f"'{target}' is a board, but predict runs a model on this machine: {GIVE}; use bench for a board"
        )
    raise UserError(f"'{target}' does not exist: {GIVE}")


def _is_board(name: str) -> bool:
    try:
        return bool(boards.load(name))
    except UserError:
        return False
