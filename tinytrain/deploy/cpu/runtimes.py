"""The runtimes by name. Asking for one that is not installed starts nothing heavy, and says how to install it.

A runtime is a module of this package with PACKAGE (its name on PyPI), SUFFIX (of the file that it loads), `release()`,
`write(tflite, path)` and `load(path, mode)`.
"""

import importlib
import importlib.util
import sys
from types import ModuleType

from tinytrain.errors import UserError, unknown
from tinytrain.quiet import quiet

MODULES = {"openvino": "openvino", "litert": "ai_edge_litert"}  # what each imports
INSTALL = "pip install 'tinytrain-mcu[cpu]'"


def require(name: str) -> None:
    """Raises UserError unless `name` is a runtime that is installed."""
    if name not in MODULES:
        raise unknown("runtime", name, MODULES)
    if importlib.util.find_spec(MODULES[name]) is None:
        raise UserError(f"the runtime {name} is not installed: {INSTALL}")


def load(name: str) -> ModuleType:
    """Returns the module of a runtime; raises UserError as `require` does."""
    require(name)
    # On import OpenVINO reports its use to its makers over the network, and leaves an id in the home folder, if it
    # finds this package; else it takes a stub.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: it is not to be found
    with quiet():
        return importlib.import_module(f"tinytrain.deploy.cpu.{name}")
