"""The structure that design.md promises: imports point down, plug-ins do not import each other, the start is light."""

import ast
import subprocess
import sys

import pytest

from tinytrain.config import plugins

LIGHT = [
    "cli.main",
    "cli.commands",
    "cli.flags",
    "config.load",
    "cli.overrides",
    "config.plugins",
    "errors",
    "cli.lists.names",
    "cli.completion",
    "commands.clean",
    "run",
    "files",
    "leases",
    "locks",
    "experiments.papers.tables",
    "experiments.papers.columns",
    "experiments.papers.scaling",
    "deploy.exported",
    "deploy.cpu.runtimes",
    "deploy.cpu.exported",
    "benching.serial.ports",
    "benching.serial.mlperf",
    "benching.serial.emulator",
]
HEAVY = {"tensorflow", "keras", "keras_cv", "tf_keras", "sklearn", "tensorflow_datasets", "matplotlib", "jinja2"}
HEAVY |= {"openvino", "ai_edge_litert"}
# A package may import those of a row below its own, and those of its own row that stand left of it.
LEVELS = [
    ["__main__"],
    ["cli"],
    ["__init__"],
    ["commands"],
    ["experiments", "reporting", "searching"],
    ["benching", "exporting", "predicting"],
    ["evaluation_data"],
    ["deploy"],
    ["tflite", "quantize"],
    ["train", "tasks", "methods"],
    ["nn", "heads", "models"],
    ["data", "datasets"],
    ["machine", "run", "provenance"],
    ["config"],
    ["workers"],
    ["errors", "distribution", "progress", "leases", "locks", "files", "heap", "onednn", "quiet", "tables"],
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
            assert not {package, other} <= set(plugins.FOLDERS), (
                f"{path} imports from another plug-in folder: {imported}"
            )
            theirs = ROWS[other]
            assert theirs[0] > row or (theirs[0] == row and theirs[1] < place), f"{path} imports upwards: {imported}"


def in_one_process(code):
    """Returns the lines that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_light_modules_import_nothing_heavy():
    code = (
        "import importlib, sys\n"
        f"for module in {LIGHT!r}:\n"
        "    importlib.import_module(f'tinytrain.{module}')\n"
        f"    print(module, *sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    assert in_one_process(code) == LIGHT


def test_a_training_without_a_search_imports_no_database():
    code = "import sys, tinytrain; tinytrain.fit; print(*sorted({'optuna', 'sqlalchemy'} & set(sys.modules)))"
    assert in_one_process(code) == [""]


def test_help_lists_and_mistakes_do_not_start_tensorflow():
    calls = [
        ["--help"],
        ["fit", "--help"],
        ["list"],
        ["clean"],
        ["completion", "bash"],
        ["fit", "optim.epoch=1"],
        ["bench", "none"],
    ]
    code = (
        "import contextlib, io, sys\nfrom tinytrain.cli.main import main\n"
        f"for words in {calls!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n        main(words)\n"
        f"    print(*words, *sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    assert in_one_process(code) == [" ".join(words) for words in calls]
