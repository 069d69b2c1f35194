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
# A module may import modules of its own or a lower level, never of a higher one.
LEVELS = [
    {"cli", "__main__", "__init__"},
    {"commands"},
    {"listing", "model_table", "board_table", "config_table", "reproducing"},
    {"training_cost"},
    {"figures", "reproduction_table"},
    {"exporting", "export_summary", "fit_summary", "comparing", "benching", "bench_summary", "reporting"},
    {"bench_mlperf", "bench_picture"},
    {"bench_binary", "proving", "export_accuracy", "export_checks"},
    {"int8_model"},
    {"evaluation", "data_report", "augmentation_picture"},
    {"measured"},
    {"tflite_origin"},
    {"exported"},
    {"train"},
    {"lr_search"},
    {"lr_range", "lr_trial"},
    {"lr_study"},
    {"trainer"},
    {"deploy"},
    {"methods", "checkpoint", "progress", "plateau", "tensorboard_log"},
    {"models", "datasets", "image_files", "image_tree", "check", "splits", "identity", "teachers"},
    {
        "method",
        "blocks",
        "augment",
        "augmentations",
        "pipeline",
        "copies",
        "eight_bit",
        "optim",
        "macs",
        "training_memory",
        "metrics",
        "paired",
        "balance",
        "graph",
        "run",
        "origin",
        "machine",
        "comparison_table",
        "paper_tables",
        "table_columns",
        "scaling",
        "quiet",
        "weights",
        "initial",
        "imagenet",
        "channels",
        "super_network",
        "width_choices",
        "lean_layers",
        "cosine_head",
        "lr_usual",
    },
    {"rooms", "words", "config", "schema", "dataset_table", "errors", "disk", "locks"},
]


def level(module):
    return next((number for number, names in enumerate(LEVELS) if module in names), None)  # None: has moved


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinytrain"):
            parts = node.module.split(".")
            yield from [".".join(parts[1:])] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("tinytrain.") for a in node.names if a.name.startswith("tinytrain."))


@pytest.mark.parametrize(
    "path", sorted(plugins.PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(plugins.PACKAGE))
)
def test_imports_point_down(path):
    place = path.relative_to(plugins.PACKAGE).parts[0].removesuffix(".py")
    for imported in imports(path):
        head = imported.split(".")[0]
        if head in ("Config", "load_config"):
            continue
        if place in plugins.ROOMS and head in plugins.ROOMS:
            assert head == place, f"{path} imports from another room: {imported}"
        if (place == "pipeline" and imported == "datasets") or (place == "splits" and imported == "datasets"):
            continue  # the interface of the room, not a member
        if level(head) is None or level(place) is None:
            continue
        assert level(head) >= level(place) or place == "__init__", f"{path} imports upwards: {imported}"


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
