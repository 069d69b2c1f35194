"""Export targets: one file each, found by its name; the firmware proves what another one holds."""

import sys
from types import ModuleType

import pytest
from firmware_helpers import INPUT, stub_output
from int8_models import FILTERS, conv_model

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.deploy import boards, c_source
from tinytrain.deploy.c_source import Contents
from tinytrain.errors import UserError
from tinytrain.exporting import write
from tinytrain.tflite.model import Model

BOARD = boards.load("stm32f746")


@pytest.fixture
def contents():
    return Contents(
        model=Model.parse(conv_model()),
        name="conv",
        arena_bytes=8192,
        labels=["cat", "dog"],
        golden_input=INPUT,
        golden_outputs=[stub_output(INPUT, 16 * FILTERS)],
    )


@pytest.fixture
def bare_target(monkeypatch):
    """A second target, "bare": the generated C++ alone. Stands for the file that somebody adds."""
    module = ModuleType(f"tinytrain.{plugins.TARGETS}.bare")

    def write_bare(folder, board, contents):
        project = folder / "firmware"
        project.mkdir()
        c_source.write(project, contents)
        (project / "board.txt").write_text(board.name)
        return project

    module.write = write_bare
    known = plugins.names(plugins.TARGETS)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(plugins, "names", lambda folder: [*known, "bare"] if folder == plugins.TARGETS else [])
    return "bare"


def test_the_targets_are_the_files_of_the_folder():
    files = {path.stem.replace("_", "-") for path in (plugins.PACKAGE / "deploy/targets").glob("*.py")} - {"--init--"}
    assert set(plugins.names(plugins.TARGETS)) == files
    assert Config().export.target in files


def test_an_unknown_target_is_refused_before_any_work():
    with pytest.raises(UserError, match=r"unknown target 'bare-mettle'; did you mean 'bare-metal'\?"):
        configs.apply(Config(), ["export.target=bare-mettle"])


def test_another_target_is_what_the_export_keeps_and_the_firmware_proves_it(tmp_path, bare_target, contents):
    with write.firmware(tmp_path, bare_target, BOARD, contents) as sources:
        assert (tmp_path / "firmware/board.txt").read_text() == BOARD.name
        assert not (tmp_path / "firmware/Makefile").exists()
        assert (sources / "Makefile").is_file()
        assert tmp_path not in sources.parents
        for name in ("model_data.h", "model_data.cc", "model_ops.h"):
            assert (sources / "model" / name).read_bytes() == (tmp_path / "firmware" / name).read_bytes()
    assert not sources.exists()


def test_the_firmware_proves_itself(tmp_path, contents):
    with write.firmware(tmp_path, "bare-metal", BOARD, contents) as sources:
        assert sources == tmp_path / "firmware"
    assert (tmp_path / "firmware/Makefile").is_file()
