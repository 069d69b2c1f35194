"""What of a machine decides the last bits: told in origin.json, in the report, and when a run goes on elsewhere."""

import json
import os
import subprocess
import sys

import pytest

from tinytrain import machine
from tinytrain import provenance as origin
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.reporting import provenance, runs
from tinytrain.run import Run

HERE = {
    "processor": "Xeon",
    "intra_op_threads": 2,
    "inter_op_threads": 2,
    "onednn": True,
    "gpu": [],
    "precision": "float32",
}


@pytest.fixture
def begun(tmp_path):
    """A run that has just written its config."""
    (tmp_path / "config.toml").write_text(configs.dump(configs.load(None, ["device.precision=float32"])))
    return Run(tmp_path)


def test_origin_holds_the_machine(begun, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS")
    origin.record(begun, ["a", "b"])
    (found,) = json.loads(begun.origin_path.read_text())["machines"]
    assert set(found) == set(HERE) == set(machine.NAMES)
    with open("/proc/cpuinfo") as file:
        assert found["processor"] in file.read()
    assert found["intra_op_threads"] == 3
    assert found["inter_op_threads"] == len(os.sched_getaffinity(0))
    assert (found["gpu"], found["precision"]) == ([], "float32")


def test_another_kind_of_machine_is_told_in_one_line(begun, monkeypatch, capsys):
    monkeypatch.setattr(machine, "describe", lambda config: HERE)
    origin.record(begun, ["a"])
    origin.record(begun, ["a"])
    assert capsys.readouterr().err == ""
    other = {**HERE, "processor": "Ryzen", "intra_op_threads": 8, "onednn": False, "gpu": ["T4"]}
    monkeypatch.setattr(machine, "describe", lambda config: other)
    origin.record(begun, ["a"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "processor Xeon, now Ryzen" in line
    assert "threads of an operator 2, now 8" in line
    assert "oneDNN on, now off" in line
    assert "GPU none, now T4" in line
    assert "precision" not in line
    assert origin.read(begun)["machines"] == [HERE, other]


def test_a_run_from_before_machines_were_recorded_goes_on_without_a_word(begun, capsys):
    begun.origin_path.write_text(json.dumps({"tinytrain": "0.1.0", "commits": ["abc"]}))
    origin.record(begun, ["a"])
    assert capsys.readouterr().err == ""
    assert len(origin.read(begun)["machines"]) == 1


def test_the_report_shows_the_machine(begun):
    subject = runs.Subject("a", begun, Config(), {}, [], {"machines": [HERE]}, {}, {}, [])
    rows = dict(provenance.rows(subject))
    assert rows["machine"] == (
        "processor Xeon, threads of an operator 2, threads of operators 2, oneDNN on, GPU none, precision float32"
    )
    older = runs.Subject("a", begun, Config(), {}, [], {}, {}, {}, [])
    assert "machine" not in dict(provenance.rows(older))


def test_the_processor_is_the_first_one_that_linux_names(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC 7B13\nmodel name\t: other\n")
    assert machine.processor(tmp_path / "cpuinfo") == "AMD EPYC 7B13"
    assert machine.processor(tmp_path / "none")  # Python's word for it


@pytest.mark.parametrize("word", ["0", "1"])
def test_onednn_is_what_tensorflow_decided(word):
    code = (
        "from tinytrain.quiet import import_tensorflow; import_tensorflow()\n"
        "from tinytrain import machine\n"
        "from tinytrain.config import schema\n"
        "print(machine.describe(schema.Config())['onednn'])"
    )
    variables = os.environ | {"TF_ENABLE_ONEDNN_OPTS": word}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(word == "1")
