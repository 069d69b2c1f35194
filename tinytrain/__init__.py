"""tinytrain: trains tiny vision networks in Keras 3 and puts them on microcontrollers, with proof.

The commands that train, measure and write files are functions here. The first one that is used imports TensorFlow.

    import tinytrain

    config = tinytrain.load_config(overrides=["data.spec=folder:flowers", "model.name=mobilenet_v2"])
    run = tinytrain.fit(config, mcu="stm32f746")
    report, folder = tinytrain.export(run, "stm32f746")
    result, _ = tinytrain.bench(folder)
    tinytrain.report([run], "flowers.html")

A mistake of the caller raises `UserError`, whose message says what would be right.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tinytrain.config.load import load as load_config
from tinytrain.config.schema import Config
from tinytrain.errors import DoesNotFit, TinytrainError, UserError

if TYPE_CHECKING:
    from tinytrain.commands.bench import bench
    from tinytrain.commands.compare import compare
    from tinytrain.commands.evaluate import evaluate
    from tinytrain.commands.export import export
    from tinytrain.commands.export_cpu import export_cpu
    from tinytrain.commands.fit import fit
    from tinytrain.commands.predict import predict
    from tinytrain.commands.report import report
    from tinytrain.commands.reproduce import reproduce
    from tinytrain.commands.search import search

MODULES = {
    "bench": "commands.bench",
    "compare": "commands.compare",
    "evaluate": "commands.evaluate",
    "export": "commands.export",
    "export_cpu": "commands.export_cpu",
    "fit": "commands.fit",
    "predict": "commands.predict",
    "report": "commands.report",
    "reproduce": "commands.reproduce",
    "search": "commands.search",
}
__all__ = [
    "Config",
    "DoesNotFit",
    "TinytrainError",
    "UserError",
    "bench",
    "compare",
    "evaluate",
    "export",
    "export_cpu",
    "fit",
    "load_config",
    "predict",
    "report",
    "reproduce",
    "search",
]


def __getattr__(name: str) -> Any:
    """Returns one of the functions in MODULES; imports its module, and with it TensorFlow, on first use."""
    if name not in MODULES:
        raise AttributeError(f"module 'tinytrain' has no attribute '{name}'")
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    return getattr(importlib.import_module(f"tinytrain.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Returns the names for completion, without importing anything."""
    return sorted({*globals(), *__all__})
