"""`tinytrain export --cpu` and `bench` of what it writes: their contract, what they prove and what they refuse."""

import importlib.util
import json
import shutil

import numpy as np
import pytest

from tinytrain import machine
from tinytrain.benching.cpu import timing
from tinytrain.commands.export_cpu import export_cpu
from tinytrain.deploy.cpu import runtimes
from tinytrain.deploy.cpu.exported import CpuExport
from tinytrain.deploy.cpu.session import MODES
from tinytrain.errors import UserError
from tinytrain.exporting import source
from tinytrain.exporting.cpu.text import summary
from tinytrain.reporting import runs as report_runs
from tinytrain.tflite.model import Model

FILES = {
    "openvino": {"float": ["model.float.xml", "model.float.bin"], "int8": ["model.int8.xml", "model.int8.bin"]},
    "litert": {"float": ["model.float.tflite"], "int8": ["model.int8.tflite"]},
}


@pytest.fixture(scope="session")
def export_to(trained_run):
    """Returns a function that exports `trained_run` for a runtime, with an int8 model that is made once."""
    made = source.load(trained_run.folder, ["qat.epochs=0"], None, False, lambda _: None)

    def export(runtime, folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(source, "load", lambda *_: made)
            export_cpu(trained_run.folder, runtime, folder, ["qat.epochs=0"])
        return json.loads((folder / "report.json").read_text()), folder

    return export


@pytest.fixture(scope="session", params=[*runtimes.MODULES])
def export(request, export_to, tmp_path_factory):
    """(report, folder) of an export of `trained_run`."""
    return export_to(request.param, tmp_path_factory.mktemp("cpu") / request.param)


@pytest.fixture
def copied(export, tmp_path):
    """A copy of its folder, to be changed."""
    return shutil.copytree(export[1], tmp_path / "copy")


def test_the_report_is_the_contract(export, trained_run):
    report, folder = export
    metrics = trained_run.metrics()
    models = FILES[report["runtime"]]
    assert {path.name for path in folder.iterdir()} == {"report.json", "golden.npz", *models["float"], *models["int8"]}
    assert (report["source"], report["task"]) == (str(trained_run.folder), "classify")
    assert (report["model"]["params"], report["model"]["macs"]) == (metrics["params"], metrics["macs"])
    for kind, names in models.items():
        assert [entry["file"] for entry in report["model"][kind]] == names
        assert [entry["bytes"] for entry in report["model"][kind]] == [(folder / n).stat().st_size for n in names]
    assert len(report["classes"]) == 10
    assert (report["input"]["shape"], report["input"]["pixel_0"]) == ([1, 32, 32, 1], -1.0)
    assert (report["proven"], report["unproven"]) == (True, [])


def test_both_models_have_the_accuracy_of_keras_and_of_the_reference(export, trained_run):
    report, _ = export
    accuracy, proof, metrics = report["accuracy"], report["proof"], trained_run.metrics()
    assert accuracy["images"] == metrics["test"]["images"] == proof["int8"]["images"]
    assert accuracy["keras"] == pytest.approx(metrics["test"]["top1"])
    assert abs(accuracy["float"] - accuracy["keras"]) <= 1 / accuracy["images"]
    assert proof["float"]["largest_difference"] < 1e-4 * proof["float"]["largest_output"]
    assert accuracy["int8"] == proof["int8"]["figure"]
    assert abs(proof["int8"]["figure"] - proof["int8"]["reference_figure"]) < 0.02
    assert proof["int8"]["noise"] < 0.01


def test_the_text_says_how_far_both_are(export):
    report, folder = export
    text = summary(report, folder).splitlines()
    proof = report["proof"]["int8"]
    assert text[0] == str(folder)
    (row,) = [line for line in text if line.startswith("  int8 ")]
    assert f"at most {proof['largest_steps']} of 255 steps" in row
    assert row.endswith(f"of the reference {100 * proof['reference_figure']:.2f} %")
    assert text[-1].split() == ["proven", "yes"]


def test_the_int8_model_is_that_of_a_board(export_to, tmp_path):
    """LiteRT's file is the .tflite as converted, whose input is pixel - 128."""
    _, folder = export_to("litert", tmp_path / "litert")
    graph = Model.parse((folder / "model.int8.tflite").read_bytes())
    assert graph.inputs[0].dtype == graph.outputs[0].dtype == "int8"
    assert (graph.inputs[0].scale[0], graph.inputs[0].zero_point[0]) == (1 / 128, 0)


def test_bench_measures_what_was_exported(export, tmp_path, command_line, monkeypatch):
    monkeypatch.setattr(timing, "WINDOW_S", 0.01)
    report, folder = export
    status, output, _ = command_line("bench", folder, "--out", tmp_path / "result", "--json")
    assert status == 0
    result = json.loads((tmp_path / "result/bench.json").read_text())
    assert json.loads(output.splitlines()[-1]) == result
    assert (result["runtime"], result["runtime_version"]) == (report["runtime"], report["runtime_version"])
    assert (result["cores"], result["window_seconds"], result["wrong"]) == (machine.cores(), 0.01, [])
    assert result["answers"]["int8"]["different"] == 0
    for uses in result["models"].values():
        assert list(uses) == list(MODES)
        for row in uses.values():
            low, median, high = (row[f"{name}milliseconds"] for name in ("p10_", "", "p90_"))
            assert 0 < row["min_milliseconds"] <= low <= median <= high <= row["max_milliseconds"]
            slowest, fastest = (row[f"{name}_inferences_per_second"] for name in ("min", "max"))
            assert slowest <= row["inferences_per_second"] <= fastest
            assert row["inferences"] >= result["windows"]
    rows = [line.split() for line in output.splitlines() if line.startswith("   ")][1:]
    assert [row[0] for row in rows[: 2 * len(MODES)]] == ["float"] * len(MODES) + ["int8"] * len(MODES)


def test_bench_finds_a_model_that_answers_otherwise_here(copied, command_line, monkeypatch):
    monkeypatch.setattr(timing, "WINDOW_S", 0.0)
    with np.load(copied / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["float_0"] = arrays["float_0"] + 1
    np.savez_compressed(copied / "golden.npz", **arrays)
    status, output, error = command_line("bench", copied)
    assert status == 1
    assert "float     DIFFERENT from the export" in output
    assert error.splitlines()[-1].startswith("tinytrain: the float model is DIFFERENT from the export: outputs differ")


@pytest.mark.long
def test_an_export_that_answers_wrong_is_written_and_ends_with_status_1(
    trained_run, command_line, monkeypatch, tmp_path
):
    module = runtimes.load("litert")
    load = module.load

    class Off:
        def __init__(self, path, mode):
            self.session, self.shift = load(path, mode), 0.5 if "float" in path.name else 0

        def infer(self, image):
            return [output + np.asarray(self.shift, output.dtype) for output in self.session.infer(image)]

    monkeypatch.setattr(module, "load", Off)
    words = ["--cpu", "litert", "--out", tmp_path / "off", "qat.epochs=0"]
    status, output, error = command_line("export", trained_run.folder, *words)
    assert status == 1
    assert "proven    NO: the float model is DIFFERENT from Keras: outputs differ by at most 0.5" in output
    assert "is wrong: the float model is DIFFERENT from Keras" in error
    report = json.loads((tmp_path / "off/report.json").read_text())
    assert (report["proven"], len(report["unproven"])) == (False, 1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--mcu", "stm32f746", "--cpu", "litert"],
            "an export is for a board or for a CPU: give --mcu stm32f746 or --cpu litert, not both",
        ),
        ([], "export needs RUN or MODEL.tflite and --mcu BOARD or --cpu RUNTIME, received RUN"),
        (["--cpu", "tpu"], "unknown cpu 'tpu' (known: litert, openvino)"),
        (["--cpu", "litert", "--data", "digits"], "--data works only with --mcu: --cpu exports a run with the data"),
        (["--cpu", "litert", "--diagnose"], "--diagnose works only with --mcu"),
        (
            ["--cpu", "litert", "export.engine=tflm"],
            "export.engine=tflm: applies only to firmware; --cpu takes the keys of",
        ),
    ],
)
def test_a_mistake_is_one_sentence(trained_run, command_line, words, sentence):
    status, output, error = command_line("export", trained_run.folder, *words)
    assert (status, output) == (2, "")
    assert sentence.replace("received RUN", f"received {trained_run.folder}") in error


def test_a_tflite_a_taken_folder_and_a_missing_runtime_are_refused(trained_run, tmp_path, command_line, monkeypatch):
    (tmp_path / "a.tflite").write_bytes(b"TFL3")
    with pytest.raises(
        UserError, match=r"--cpu needs a RUN, because it also exports the float model; '.*a\.tflite' is a file"
    ):
        export_cpu(tmp_path / "a.tflite", "litert")
    with pytest.raises(UserError, match="is there already"):
        export_cpu(trained_run.folder, "litert", tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    status, _, error = command_line("export", trained_run.folder, "--cpu", "openvino")
    assert status == 2
    assert error == "tinytrain: the runtime openvino is not installed: pip install 'tinytrain-mcu[cpu]'\n"


def test_what_is_about_a_board_is_refused_for_a_cpu(export, command_line):
    _, folder = export
    status, _, error = command_line("bench", folder, "--port", "auto", "--images", "3")
    assert (status, "--port, --images applies only to a board" in error) == (2, True)
    status, _, error = command_line("predict", folder, folder / "report.json")
    assert (status, "is an export for a CPU: give its run, or an export for a board" in error) == (2, True)


def test_a_damaged_export_is_refused(copied):
    report = json.loads((copied / "report.json").read_text())
    file = copied / report["model"]["int8"][-1]["file"]
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=rf"{file.name}' is damaged, or is another model \(its CRC-32 is"):
        CpuExport.open(copied)
    file.unlink()
    with pytest.raises(UserError, match=f"lacks {file.name}"):
        CpuExport.open(copied)
    file.write_bytes(content)
    (copied / "golden.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="is damaged"):
        CpuExport.open(copied)
    report["model"]["float"][0]["file"] = "../elsewhere.xml"
    (copied / "report.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match=r"the float model in report\.json is"):
        CpuExport.open(copied)


def test_the_page_of_a_run_is_about_its_boards(export, trained_run, tmp_path):
    folder = shutil.copytree(trained_run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("export-*", ".*"))
    shutil.copytree(export[1], folder / "export-cpu")
    (subject,) = report_runs.read([folder])
    assert subject.exports == []
