"""The commands that `tinytrain export` names: how to build the firmware, and how to run it on an emulated board."""

from pathlib import Path

import export_reports
import pytest

from tinytrain.deploy import boards
from tinytrain.exporting.text import summary

EMULATED = {"cortex-m4": "mps2_an386", "cortex-m7": "mps2_an500", "cortex-m33": "mps2_an505"}


def commands(**changes):
    """Returns {word: command} of the last rows of a summary."""
    lines = summary(export_reports.report(**changes), Path("out/a b")).splitlines()
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if "'out/a b" in line}


@pytest.mark.parametrize("name", boards.names())
def test_every_board_is_emulated_by_one_with_its_core(name):
    emulated = EMULATED[boards.load(name).core]
    assert commands(board=name) == {
        "build": f"make -C 'out/a b/firmware' BOARD={name}",
        "emulate": f"make -C 'out/a b/firmware' BOARD={emulated} emulate",
        "bench": f"tinytrain bench 'out/a b'  # on {emulated}",
    }


def test_with_tflm_the_emulator_needs_it_too():
    engine = export_reports.report()["engine"] | {"name": "tflm", "reason": "export.engine is tflm"}
    assert commands(engine=engine)["emulate"].endswith("BOARD=mps2_an500 TFLM_DIR=… emulate")


def test_without_an_emulated_board_of_the_core_none_is_named(monkeypatch):
    monkeypatch.setattr(boards, "emulated_board", lambda board: None)
    assert list(commands()) == ["build"]
