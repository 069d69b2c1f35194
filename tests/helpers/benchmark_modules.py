"""The programs of benchmarks/ as modules."""

import importlib.util
from types import ModuleType

from conftest import REPOSITORY


def benchmark(name: str) -> ModuleType:
    """Returns a module of benchmarks/."""
    specification = importlib.util.spec_from_file_location(name, REPOSITORY / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
