"""Tables of networks that nothing is trained for: sizes and ratios by hand, and a small one through the command."""

import csv
import importlib.util
import json

import pytest

from tinytrain.benching.cpu import timing
from tinytrain.commands.reproduce import reproduce
from tinytrain.errors import UserError
from tinytrain.experiments.papers import cost, deployed, tables
from tinytrain.nn import macs

TABLE = """# A table.
title = "two small networks"
paper = "001"
tables = [99]
claim = "one is larger."
base = "digits.toml"
data = ["cifar100"]
columns = ["gmacs", "mparams", "fps", "latency_ms"]

[set]
model = { resolution = 32, channels = 3, stem = "cifar" }

[arms.narrow]
set.model = { name = "resnet8", width = 0.25 }
paper = { mparams = 2.0, fps = 100 }

[arms.wide]
set.model = { name = "resnet8", width = 0.5 }
paper = { mparams = 5.0 }
"""


@pytest.fixture
def table_file(tmp_path):
    path = tmp_path / "seed001_table99.toml"
    path.write_text(TABLE)
    return path


# From Table 1 of the MobileNetV3 paper by hand, BatchNorm folded, 100 classes: multiply-accumulates, parameters.
SIZES = {"MobileNetV3-large": (215_437_760, 4_317_932)}


def test_the_networks_of_the_paper_have_the_sizes_that_it_prints():
    table = tables.load("seed001-table5")
    assert (table.trains, cost.hours(table)) == (False, 0.0)
    for arm, config in tables.every_config(table):
        network = deployed.build(config)
        counted = macs.count(network), deployed.deployed_parameters(network)
        assert network.output_shape == (None, 100)
        assert network.input_shape == (None, 224, 224, 3)
        if arm.label in SIZES:
            assert counted == SIZES[arm.label]
        # The narrowed network of the paper widens from its own input channels: methods.md B.6 counts more of both.
        near = 0.1 if arm.label == "MobileNetV3-large 0.75" else 0.003
        assert counted[0] / 1e9 == pytest.approx(arm.paper["gmacs"], rel=near)
        assert counted[1] / 1e6 == pytest.approx(arm.paper["mparams"], rel=near)


def test_ratios_are_to_the_first_network_and_unknown_where_the_paper_says_nothing(table_file):
    table = tables.load_file(table_file)
    measured = {
        "narrow": {"macs": 2e9, "params": 1e6, "fps": 50.0, "latency_ms": 4.0},
        "wide": {"macs": 6e9, "params": 3e6, "fps": 20.0, "latency_ms": 10.0},
    }
    rows = deployed.rows(table, measured)
    wide = {row["column"]: row for row in rows if row["arm"] == "wide"}
    assert {name: (row["paper"], row["ours"]) for name, row in wide.items()} == {
        "gmacs": (None, 6.0),
        "mparams": (5.0, 3.0),
        "fps": (None, 20.0),
        "latency_ms": (None, 10.0),
    }
    assert {name: (row["paper_ratio"], row["ours_ratio"]) for name, row in wide.items()} == {
        "gmacs": (None, 3.0),
        "mparams": (2.5, 3.0),
        "fps": (None, 0.4),
        "latency_ms": (None, 2.5),
    }
    text = deployed.as_markdown(table, rows, ["a note"])
    ratios, figures = text.split("Ratios to narrow:")[1].split("Figures:")
    assert "| wide | ? | 3.00 | 2.50 | 3.00 | ? | 0.40 | ? | 2.50 |" in ratios
    assert "| wide | ? | 6.0000 | 5.00 | 3.00 | ? | 20.0 | ? | 10.00 |" in figures
    assert "| narrow | ? | 2.0000 | 2.00 | 1.00 | 100.0 | 50.0 | ? | 4.00 |" in figures


@pytest.mark.long
def test_the_command_measures_prints_and_writes_it(table_file, tmp_path, command_line, monkeypatch):
    monkeypatch.setattr(timing, "WINDOW_S", 0.01)
    status, output, _ = command_line("reproduce", table_file, "--out", tmp_path / "out", "--json")
    assert status == 0
    result = json.loads(output.splitlines()[-1])
    assert [(row["arm"], row["column"]) for row in result["rows"]] == [
        (arm, column) for arm in ("narrow", "wide") for column in ("gmacs", "mparams", "fps", "latency_ms")
    ]
    ours = {(row["arm"], row["column"]): row["ours"] for row in result["rows"]}
    assert ours["wide", "mparams"] > ours["narrow", "mparams"] > 0
    assert all(value > 0 for value in ours.values())
    assert output.startswith((tmp_path / "out/table.md").read_text())
    with (tmp_path / "out/table.csv").open() as file:
        assert [float(row["ours"]) for row in csv.DictReader(file)] == list(ours.values())


def test_what_is_about_trainings_is_refused(table_file, tmp_path, command_line, monkeypatch):
    with pytest.raises(
        UserError, match=r"seed001-table99 trains nothing, received --data, --seeds: it takes only --out"
    ):
        reproduce(str(table_file), data=["digits"], seeds=2)
    with pytest.raises(UserError, match=r"trains nothing, received optim\.lr=1, seed=2: it takes only --out"):
        reproduce(str(table_file), overrides=["optim.lr=1", "seed=2"])
    status, _, error = command_line("reproduce", table_file, "--workers", "2")
    assert (status, "so workers have nothing to share: leave out --workers 2" in error) == (2, True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    status, _, error = command_line("reproduce", table_file)
    assert error == "tinytrain: the runtime openvino is not installed: pip install 'tinytrain-mcu[cpu]'\n"
    mixed = tmp_path / "mixed.toml"
    mixed.write_text(TABLE.replace('"gmacs", ', '"test_top1", '))
    with pytest.raises(UserError, match="has columns of trained and of untrained networks: expected one kind"):
        tables.load_file(mixed)
