"""tinytrain: trains tiny vision networks in Keras 3 and puts them on microcontrollers, with proof.

Everything the command line does is a function here; TensorFlow is imported when the first one is used.

    import tinytrain

    config = tinytrain.load_config(overrides=["data.spec=folder:flowers", "model.name=mobilenet_v2"])
    run = tinytrain.fit(config, mcu="stm32f746")
    report, folder = tinytrain.export(run.folder, "stm32f746")
"""

from typing import Any

from tinytrain.config import load as load_config
from tinytrain.errors import DoesNotFit, TinytrainError, UserError
from tinytrain.schema import Config

__all__ = [
    "Config",
    "DoesNotFit",
    "TinytrainError",
    "UserError",
    "compare",
    "evaluate",
    "export",
    "fit",
    "load_config",
    "report",
]


def __getattr__(name: str) -> Any:
    """Imports `fit`, `compare`, `export`, `evaluate` and `report` when they are first asked for."""
    if name == "fit":
        from tinytrain.train import fit

        return fit
    if name == "compare":
        from tinytrain.comparing import compare

        return compare
    if name == "export":
        from tinytrain.exporting import export

        return export
    if name == "evaluate":
        from tinytrain.evaluation import evaluate

        return evaluate
    if name == "report":
        from tinytrain.reporting.write import report

        return report
    raise AttributeError(f"module 'tinytrain' has no attribute '{name}'")
