"""Run folders, exports, models and databases of a stranger: nothing in them is run, nothing outside touched."""

import json
import os
import pickle
import shlex
import shutil
import sqlite3
import subprocess
import zlib
from pathlib import Path

import export_reports
import keras
import numpy as np
import pytest
from bench_helpers import exported
from firmware_helpers import EMULATED, emit, needs_compiler, run_make
from int8_models import conv_model

from tinytrain import provenance
from tinytrain.commands import evaluate
from tinytrain.config import load as configs
from tinytrain.config import schema
from tinytrain.deploy.exported import GOLDEN_FILE, Exported
from tinytrain.deploy.exported_model import COMPACT_FILE, MODEL_FILE, REPORT_FILE, ExportedModel, read_report
from tinytrain.errors import UserError
from tinytrain.evaluation_data import tflite_origin
from tinytrain.exporting import text as export_summary
from tinytrain.methods.distill import teachers
from tinytrain.nn import pretrained
from tinytrain.reporting import predictions, runs
from tinytrain.run import Run
from tinytrain.train.lr_search import study

SHELL = "a b $(touch PWNED) `touch PWNED` 'q' \"d\";touch PWNED #%s"  # no slash, so it is a folder's name


@pytest.fixture(autouse=True)
def nothing_is_executed(tmp_path, monkeypatch):
    """Runs the test in tmp_path, and looks whether anything made the file that the attacks would make."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob("PWNED"))


class Attack:
    """What makes the file PWNED when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {shlex.quote(os.path.abspath('PWNED'))}",)


def with_lambda(path):
    """Saves a model whose Lambda layer makes the file PWNED, when it is built and when it is called."""
    image = keras.Input((8, 8, 1), name="image")
    target = os.path.abspath("PWNED")
    lying = keras.layers.Lambda(lambda x: (Path(target).touch(), x)[1])
    keras.Model(image, keras.layers.Dense(10, name="logits")(keras.layers.Flatten()(lying(image)))).save(path)
    os.unlink(target)  # that it was there shows that the attack works
    return path


def run_folder(folder):
    """Makes what a run folder of a stranger has; the model is for the test to add."""
    folder.mkdir()
    config = configs.load(None, ["model.resolution=8", "model.channels=1", "model.width=0.25"])
    (folder / "config.toml").write_text(configs.dump(config))
    (folder / "metrics.json").write_text(json.dumps({"test": {}, "val": {}}))
    return folder


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_model_with_code_in_it_is_refused_and_not_run(tmp_path, name):
    path = with_lambda(tmp_path / name)
    student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    for use in (
        lambda: pretrained.load_weights(str(path), "model.weights", ["imagenet"]),
        lambda: teachers.load(str(path), student),
    ):
        with pytest.raises(UserError, match=r"is not a Keras model: .*Lambda"):
            use()


def test_a_run_with_code_in_its_model_is_refused_and_not_run(tmp_path):
    folder = run_folder(tmp_path / "run")
    with_lambda(folder / "model.keras")
    subject = runs.read([folder])[0]
    for use in (
        lambda: evaluate.evaluate(folder),
        lambda: pretrained.load_weights(str(folder), "model.weights", []),
        lambda: predictions.of_float(subject, None),
    ):
        with pytest.raises(UserError, match=r"is not a Keras model: .*Lambda"):
            use()


def test_the_command_refuses_it_too(command_line, tmp_path):
    folder = run_folder(tmp_path / "run")
    with_lambda(folder / "model.keras")
    for command in (["evaluate", "run"], ["fit", "model.weights=run", "model.resolution=8", "--out", "new"]):
        status, _, said = command_line(*command)
        assert status == 2
        assert "is not a Keras model" in said
        assert "Traceback" not in said


def test_a_class_of_another_module_is_not_imported(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.save(tmp_path / "model.keras")
    shutil.unpack_archive(tmp_path / "model.keras", tmp_path / "open", "zip")
    config = json.loads((tmp_path / "open" / "config.json").read_text())
    (tmp_path / "evil_module.py").write_text("open('PWNED', 'w').close()\nclass Evil: pass\n")
    config["config"]["layers"][1] |= {"module": "evil_module", "class_name": "Evil", "registered_name": "Evil"}
    (tmp_path / "open" / "config.json").write_text(json.dumps(config))
    shutil.make_archive(str(tmp_path / "evil"), "zip", tmp_path / "open")
    os.rename(tmp_path / "evil.zip", tmp_path / "evil.keras")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match="is not a Keras model: "):
        pretrained.load_file(tmp_path / "evil.keras")


def test_a_model_of_other_images_than_its_run_is_refused(tmp_path):
    folder = run_folder(tmp_path / "run")
    keras.Sequential([keras.Input((9, 9, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]).save(
        folder / "model.keras"
    )
    with pytest.raises(UserError, match=r"takes \(None, 9, 9, 3\) .* expected \(None, 8, 8, 1\) and 1 by config.toml"):
        evaluate.evaluate(folder)


def test_a_graph_that_is_none_is_a_sentence(tmp_path):
    from tinytrain.train import fit

    run = Run(run_folder(tmp_path / "run"))
    run.last_path.touch()
    model = keras.Sequential([keras.Input((8,)), keras.layers.Lambda(lambda x: (Path("PWNED").touch(), x)[1])])
    (tmp_path / "PWNED").unlink()
    for content in ("{", "[]", '"keras.layers.Dense"', model.to_json()):
        run.graph_path.write_text(content)
        with pytest.raises(UserError, match=r"graph.json' is not a Keras network"):
            fit._begun_network(run, schema.Config())


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "[" * 100_000, "\x00"])
def test_a_damaged_file_of_a_run_is_a_sentence(tmp_path, content):
    run = Run(run_folder(tmp_path / "run"))
    run.model_path.touch()
    for path, read in [
        (run.metrics_path, run.metrics),
        (run.split_path, run.split),
        (run.origin_path, lambda: provenance.read(run)),
    ]:
        path.write_text(content)
        with pytest.raises(UserError, match=rf"cannot read '.*{path.name}': .*has changed since tinytrain wrote it"):
            read()


# Pickles


def test_pickles_in_golden_are_refused(tmp_path):
    folder = exported(tmp_path / "export")
    with np.load(folder / GOLDEN_FILE) as golden:
        arrays = dict(golden)
    for name in arrays:
        evil = arrays | {name: np.array([Attack()], dtype=object)}
        np.savez(folder / GOLDEN_FILE, **evil)
        with pytest.raises(UserError, match=r"is damaged .*allow_pickle=False"):
            Exported.open(folder)
        (folder / "model.tflite").write_bytes(conv_model())
        with pytest.raises(UserError, match=r"cannot read .*golden.npz.*allow_pickle=False"):
            predictions.golden(runs.Export(folder, {}, {}))


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("inputs", np.zeros((0, 4, 4, 3), np.int8), "the inputs in golden.npz are not int8 of some images"),
        ("inputs", np.zeros((12, 4, 4, 3), np.float64), "the inputs in golden.npz are not int8"),
        ("inputs", np.int8(3), "the inputs in golden.npz are not int8"),
        ("outputs", np.zeros((3, 80), np.int8), "the outputs in golden.npz are not int8"),
        ("outputs", None, "the outputs in golden.npz are not int8"),
        ("labels", np.full(12, 80), "the labels in golden.npz are not one of 80 classes"),
        ("labels", np.full(12, -1), "the labels in golden.npz are not one of 80 classes"),
        ("labels", np.zeros(3, int), "the labels in golden.npz are not one of 80 classes"),
    ],
)
def test_golden_of_other_shapes_is_refused(tmp_path, name, array, sentence):
    folder = exported(tmp_path / "export")
    with np.load(folder / GOLDEN_FILE) as golden:
        arrays = dict(golden) | {name: array}
    np.savez(folder / GOLDEN_FILE, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(UserError, match=sentence):
        Exported.open(folder)


@pytest.mark.parametrize("report", ["{}", '{"board": 3}'])
def test_a_report_without_board_is_refused(tmp_path, report):
    folder = exported(tmp_path / "export")
    (folder / REPORT_FILE).write_text(report)
    with pytest.raises(UserError, match=r"report.json names no board"):
        Exported.open(folder)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "holds a list, expected an object"),
        ("null", "holds a NoneType"),
        ("[" * 100_000, "its lists are nested too deeply"),
        (json.dumps(export_reports.report(input=5)), r"'input' in report.json is 5, which no export writes"),
        (json.dumps(export_reports.report(classes=[1])), r"'classes' in report.json is \[1\]"),
        (json.dumps(export_reports.report(latency_range_ms="ab")), r"'latency_range_ms' in report.json is 'ab'"),
        (json.dumps(export_reports.report(latency_ms={})), r"'latency_ms' in report.json is {}"),
        (json.dumps(export_reports.report(parity={"images": "many"})), "'parity' in report.json is {'images'"),
    ],
)
def test_a_report_of_other_types_is_refused_by_all_that_read_one(tmp_path, content, sentence):
    folder = exported(tmp_path / "export")
    path = folder / REPORT_FILE
    path.write_text(content)
    with pytest.raises(UserError, match=sentence):
        Exported.open(folder)
    with pytest.raises(UserError, match=sentence):
        runs._export(folder)
    assert tflite_origin.of(folder / COMPACT_FILE) == tflite_origin.Origin()  # nothing is known of the model


@pytest.mark.parametrize("damage", ["cut", "bit"])
@pytest.mark.parametrize("name", [MODEL_FILE, COMPACT_FILE])
def test_a_model_that_is_not_the_one_of_its_report_is_refused_by_all_that_read_an_export(tmp_path, name, damage):
    folder = exported(tmp_path / "export")
    content = (folder / COMPACT_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(content)
    report = json.loads((folder / REPORT_FILE).read_text())
    report["model"] |= {"bytes": len(content), "crc32": f"{zlib.crc32(content):08x}"}
    (folder / REPORT_FILE).write_text(json.dumps(report))
    readers = [Exported.open, ExportedModel.open, runs._export, lambda export: tflite_origin.of(export / name)]
    for read in readers:
        read(folder)
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
    (folder / name).write_bytes(content[:-9] if damage == "cut" else flipped)
    for read in readers:
        with pytest.raises(UserError, match=rf"/{name}' is damaged, or is another model \(.*\): export again"):
            read(folder)


def test_a_report_of_now_is_read_and_an_old_one_too(tmp_path):
    for content in (export_reports.report(fits=None, latency_ms=1.5, latency_range_ms=[1, 2]), {"board": "x"}):
        (tmp_path / REPORT_FILE).write_text(json.dumps(content))
        assert read_report(tmp_path / REPORT_FILE) == content


def test_a_study_of_pickles_is_refused(tmp_path):
    (tmp_path / "search.db").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(UserError, match="cannot use the database of the search"):
        study.open_storage(f"sqlite:///{tmp_path / 'search.db'}")


def test_a_pickle_as_a_value_in_a_study_is_not_read(tmp_path):
    url = f"sqlite:///{tmp_path / 'search.db'}"
    search = configs.load(None, ["search.algorithm=grid", "search.low=0.01", "search.high=0.1"]).search
    trials = study.Trials(study.open_storage(url), "study", search, 0, "me")
    trial = trials.next()
    trials.lr(trial)
    with sqlite3.connect(tmp_path / "search.db") as database:
        database.execute("UPDATE trial_user_attributes SET value_json = ?", (pickle.dumps(Attack()),))
        database.execute("UPDATE trial_params SET distribution_json = ?", (pickle.dumps(Attack()),))
    with pytest.raises(study.FAULTS):  # of which `find` makes a sentence; Optuna stores JSON only
        study.Trials(study.open_storage(url), "study", search, 0, "me").all()


# Links


def test_a_link_out_of_a_run_folder_is_refused_and_one_inside_is_not(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "weights.npz").write_text("precious")
    run = run_folder(tmp_path / "run")
    (run / "same.toml").symlink_to("config.toml")
    assert Run.open(run).config().model.resolution == 8
    (tmp_path / "named").symlink_to(run)  # what the person named may be a link
    assert Run.open(tmp_path / "named").config().model.resolution == 8
    for name, target in [
        ("model.keras", "/etc/passwd"),
        ("split.json", "../outside/weights.npz"),
        ("search", outside),
        ("export-x", "../outside"),
        ("tensorboard", "/nowhere"),
    ]:
        (run / name).symlink_to(target)
        for use in (Run.open, runs.read, lambda folder: pretrained.load_weights(str(folder), "model.weights", [])):
            with pytest.raises(UserError, match=rf"{name}' is a link that leads out of .*, to '"):
                use([run] if use is runs.read else run)
        (run / name).unlink()
    (run / "search" / "deep").mkdir(parents=True)
    (run / "search" / "deep" / "last.npz").symlink_to(outside / "weights.npz")
    with pytest.raises(UserError, match=r"last.npz' is a link"):
        Run.open(run)
    assert (outside / "weights.npz").read_text() == "precious"


@pytest.mark.parametrize("name", [GOLDEN_FILE, COMPACT_FILE, "firmware/build", "firmware/model/model_data.cc"])
def test_a_link_out_of_an_export_is_refused(tmp_path, name):
    folder = exported(tmp_path / "export")
    target = folder / name
    if target.exists():
        os.rename(target, tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"is a link that leads out of|lacks "):
        Exported.open(folder)


def test_names_in_split_json_are_never_opened(tmp_path):
    """They are text: what they name is not read, wherever it lies."""
    run = run_folder(tmp_path / "run")
    names = ["../../../../etc/passwd", "/etc/passwd", "\x1b]0;x\x07", "<script>"]
    (run / "split.json").write_text(json.dumps({"train": names, "val": names, "test": names}))
    subject = runs.read([run])[0]
    assert subject.split["test"] == names
    (run / "origin.json").write_text(json.dumps({"classes": ["a", "b"]}))
    proven = predictions.Golden(None, np.zeros((4, 8, 8, 1), np.int8), [], np.zeros(4, int))
    found = predictions.test_images(runs.read([run])[0], proven)
    assert found.names == names
    assert found.images.shape == (4, 8, 8, 1)
    assert (found.images == 128).all()


# Names in a shell, in make, in C and on a terminal


def test_the_build_line_of_an_export_is_quoted_for_a_shell(tmp_path):
    folder = tmp_path / SHELL
    lines = export_summary.summary(export_reports.report(), folder).splitlines()
    (line,) = [line.removeprefix("  build     ") for line in lines if line.startswith("  build ")]
    assert shlex.split(line)[:3] == ["make", "-C", str(folder / "firmware")]
    done = subprocess.run(["sh", "-c", line.replace("make", "printf '%s\\n'", 1)], capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[1] == str(folder / "firmware")


def test_commands_in_errors_are_quoted_for_a_shell(tmp_path):
    folder = tmp_path / SHELL
    folder.mkdir()
    (folder / "config.toml").write_text(configs.dump(schema.Config()))
    with pytest.raises(UserError) as error:
        Run.open(folder).metrics()
    command = str(error.value).partition("go on with ")[2]
    assert shlex.split(command) == ["tinytrain", "fit", "--out", str(folder), "--resume"]


LABELS = ['a "b"', "$(touch PWNED)", "%s%n", "back\\slash\\", "`touch PWNED`", "??/", "*/ //", "\x1b[2J", "a\nb", "ü"]


@needs_compiler
def test_class_names_and_folder_names_survive_make_and_the_compiler(tmp_path):
    folder = emit(tmp_path / SHELL, labels=LABELS)
    done = run_make(folder, f"BOARD={EMULATED}", "ENGINE=stub")
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("build/*/firmware.elf"))) == 1
    compiled = tmp_path / "model_data.o"
    subprocess.run(
        ["arm-none-eabi-g++", "-std=c++17", f"-I{folder}", "-c", folder / "model/model_data.cc", "-o", compiled],
        check=True,
    )
    content = compiled.read_bytes()
    for label in LABELS:
        assert label.encode() + b"\0" in content


def test_names_of_files_and_classes_cannot_drive_a_terminal(command_line, tmp_path, image_folder):
    root = image_folder(classes=("\x1b]0;pwned\x07red", "\u202eblue"), count=8)
    (root / "\u202eblue" / "\x1b[31m.png").write_bytes(b"no image")
    status, out, said = command_line("data", f"folder:{root}", "data.skip_bad=true")
    assert status in (0, 2)
    assert "\\x1b" in out + said
    status, _, more = command_line("fit", "--data", f"folder:{root}")
    assert status == 2
    for text in (out, said, more):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"notes"])
def test_a_damaged_keras_file_is_not_called_a_missing_one(tmp_path, content):
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.keras' is not a Keras model: it is damaged") as error:
        pretrained.load_file(tmp_path / "model.keras")
    assert "not found" not in str(error.value)
