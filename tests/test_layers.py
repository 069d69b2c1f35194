"""The structure that design.md promises: imports point down, rooms do not import each other, the start is light."""

import ast
import subprocess
import sys

import pytest

from tinytrain.config import plugins

LIGHT = [
    "cli.main",
    "cli.flags",
    "config.load",
    "cli.words",
    "config.plugins",
    "errors",
    "cli.lists.names",
    "run",
    "files",
    "locks",
    "experiments.papers.tables",
    "experiments.papers.columns",
    "experiments.papers.scaling",
    "deploy.exported",
    "benching.serial.ports",
    "benching.serial.mlperf",
    "benching.serial.emulator",
]
HEAVY = {"tensorflow", "keras", "keras_cv", "tf_keras", "sklearn", "tensorflow_datasets", "matplotlib", "jinja2"}
# A package may import those of a row below its own, and those of its own row that stand left of it.
LEVELS = [
    ["__main__"],
    ["cli"],
    ["__init__"],
    ["commands"],
    ["experiments", "reporting"],
    ["benching", "exporting"],
    ["evaluation"],
    ["deploy"],
    ["tflite", "quantize"],
    ["tasks", "train", "methods"],
    ["nn", "models"],
    ["data", "datasets"],
    ["machine", "run", "provenance"],
    ["config"],
    ["errors", "locks", "files", "quiet"],
]
ROWS = {package: (number, place) for number, row in enumerate(LEVELS) for place, package in enumerate(row)}


def imports(path):
    """Yields the dotted names below tinytrain that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tinytrain":
            parts = node.module.split(".")[1:]
            yield from [".".join(parts)] if parts else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("tinytrain.") for a in node.names if a.name.startswith("tinytrain."))


def test_every_package_has_its_level():
    there = {path.stem if path.is_file() else path.name for path in plugins.PACKAGE.iterdir()} - {"__pycache__"}
    assert there == set(ROWS)


@pytest.mark.parametrize(
    "path", sorted(plugins.PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(plugins.PACKAGE))
)
def test_imports_point_down(path):
    parts = path.relative_to(plugins.PACKAGE).with_suffix("").parts
    package, (row, place) = parts[0], ROWS[parts[0]]
    for imported in imports(path):
        other = imported.split(".")[0]
        if other != package:
            assert not {package, other} <= set(plugins.ROOMS), f"{path} imports from another plug-in folder: {imported}"
            theirs = ROWS[other]
            assert theirs[0] > row or (theirs[0] == row and theirs[1] < place), f"{path} imports upwards: {imported}"


@pytest.mark.parametrize("module", LIGHT)
def test_the_light_modules_import_nothing_heavy(module):
    code = f"import sys, tinytrain.{module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_training_without_a_search_imports_no_database():
    code = "import sys, tinytrain; tinytrain.fit; print(sorted({'optuna', 'sqlalchemy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "words", [["--help"], ["fit", "--help"], ["list"], ["fit", "optim.epoch=1"], ["bench", "none"]]
)
def test_help_lists_and_mistakes_do_not_start_tensorflow(words):
    code = (
        "import sys\nfrom tinytrain.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit as stop:\n    status = stop.code\n"
        f"heavy = {HEAVY!r} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
