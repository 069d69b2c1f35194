"""`tinytrain export` from the outside: what it writes, what it proves, what it refuses."""

import binascii
import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import export_reports
import numpy as np
import pytest
import tensorflow as tf
import tomli_w
from conftest import needs_tool
from readmes import unexplained
from small_training import SMALLEST
from tensorflow.lite.python import schema_py_generated as tflite_schema

from tinytrain.commands import evaluate, fit
from tinytrain.commands.export import export
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.data import splits
from tinytrain.data.load import load_dataset
from tinytrain.deploy import boards, c_source, fit_check
from tinytrain.deploy.compiled import c_graph
from tinytrain.deploy.compiled import plan as compiled_plan
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.kernels.derive import derive
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError
from tinytrain.exporting import int8_model
from tinytrain.exporting import text as export_summary
from tinytrain.exporting.text import summary
from tinytrain.nn.build import build_model
from tinytrain.quantize import error_analysis, qat
from tinytrain.tasks.classify import metrics
from tinytrain.tflite import int8_values
from tinytrain.tflite.model import Model, Tensor
from tinytrain.train import figures


def record_parses(monkeypatch):
    """Returns a list to which each .tflite is added that tinytrain parses; TensorFlow's converter parses some, too."""
    parsed, unpack = [], tflite_schema.ModelT._UnPack

    def spy(tree, table):
        frame = sys._getframe(1)
        while frame.f_code.co_filename == tflite_schema.__file__:
            frame = frame.f_back
        if plugins.PACKAGE in Path(frame.f_code.co_filename).parents:
            parsed.append(bytes(table._tab.Bytes))
        return unpack(tree, table)

    monkeypatch.setattr(tflite_schema.ModelT, "_UnPack", spy)
    return parsed


def test_the_report_is_the_contract(exported_run, trained_run):
    report, folder = exported_run
    assert folder == trained_run.folder / "export-stm32f746g_disco"
    assert json.loads((folder / "report.json").read_text()) == report
    whole = export_reports.report()  # the keys of docs/command-line.md
    assert set(report) - {"emulated"} == set(whole)
    for name in set(whole) - {"latency_basis"}:
        if isinstance(whole[name], dict):
            assert set(report[name]) == set(whole[name]), name
    assert (report["board"], report["fits"]) == ("stm32f746g_disco", True)
    assert set(report["model"]) >= {"bytes", "macs", "ops"}
    for prefix, name in (("", "model.tflite"), ("compact_", "model.compact.tflite")):
        content = (folder / name).read_bytes()
        assert report["model"][f"{prefix}bytes"] == len(content)
        assert int(report["model"][f"{prefix}crc32"], 16) == binascii.crc32(content)
    assert report["model"]["macs"] == trained_run.metrics()["macs"]
    assert report["parity"] == {"images": 359, "different": 0, "of": "compiled network"}
    assert report["classes"] == [str(digit) for digit in range(10)]
    assert report["input"]["resize"] == trained_run.config().data.resize == "stretch"
    limits = report["memory"]
    assert (limits["ram_limit_bytes"], limits["flash_limit_bytes"]) == (320 * 1024, 1024 * 1024)
    assert 0 < limits["arena_bytes"] < limits["ram_bytes"] < limits["ram_limit_bytes"]
    assert report["model"]["firmware_bytes"] < limits["flash_bytes"] < limits["flash_limit_bytes"]
    assert report["latency_ms"] > 0
    text = summary(report, folder)
    assert "0 of 359 outputs differ" in text
    assert "fits      stm32f746g_disco: yes" in text
    assert unexplained(folder) == []


def test_int8_is_about_as_accurate_as_float(exported_run, trained_run):
    accuracy = exported_run[0]["accuracy"]
    assert accuracy["images"] == 359
    assert accuracy["float"] == pytest.approx(trained_run.metrics()["test"]["top1"])
    assert accuracy["float"] > 0.5
    assert abs(accuracy["int8"] - accuracy["float"]) < 0.04


def test_the_operators_are_int8_and_few(exported_run):
    report, folder = exported_run
    assert set(report["model"]["ops"]) <= {"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "FULLY_CONNECTED"}
    graph = Model.parse((folder / "model.tflite").read_bytes())
    for operator in graph.operators:
        assert {t.dtype for t in (*operator.inputs, *operator.outputs) if t is not None} <= {"int8", "int32"}
    assert (graph.inputs[0].scale, graph.inputs[0].zero_point) == ((1 / 128,), (0,))


def test_the_c_array_is_the_model_and_the_golden_output_its_answer(exported_run):
    report, folder = exported_run
    content = (folder / "model.compact.tflite").read_bytes()
    source = folder / "firmware/model/model_data.cc"
    array = c_source.read_model_data(source)
    assert array == derive(Model.parse(content)).model.content
    plan = compiled_plan.plan(network(Model.parse(content)))
    assert (folder / "firmware/model/model_graph.c").read_text() == c_graph.source(plan)
    assert c_graph.constant_bytes(plan) == report["model"]["firmware_bytes"]
    estimated = fit_check.estimated(plan.network.model, plan.arena_bytes, boards.load("stm32f746"), None, plan)
    assert estimated.flash_bytes == pytest.approx(
        report["memory"]["flash_bytes"], rel=0.02
    )  # linked, if a compiler is here
    assert report["memory"]["arena_bytes"] == report["engine"]["arena_bytes"] == plan.arena_bytes
    count = sum(report["model"]["ops"].values())
    expected = {"chosen": "tinytrain", "reason": "", "operators": count, "ours": count, "others": []}
    assert report["kernels"] == expected
    golden_input = c_source.read_array(source, "GoldenInput").astype(np.int8).reshape(1, 32, 32, 1)
    golden_output = c_source.read_array(source, "GoldenOutputs").astype(np.int8)
    np.testing.assert_array_equal(ReferenceInterpreter(content).run(golden_input)[0][0], golden_output)
    assert "alignas(16)" in source.read_text()


def test_the_proof_is_on_the_test_images_and_agrees_with_tensorflow_lite(exported_run, trained_run):
    """TensorFlow's reference kernels are another implementation: at most one step apart on most images."""
    _, folder = exported_run
    with np.load(folder / "golden.npz") as golden:
        inputs, outputs, labels = golden["inputs"], golden["outputs"], golden["labels"]
    config = trained_run.config()
    data = splits.Splits(load_dataset(config), config)
    np.testing.assert_array_equal(inputs, int8_values.to_int8(data.arrays("test")[0]))
    np.testing.assert_array_equal(labels, data.arrays("test")[1])
    interpreter = tf.lite.Interpreter(
        model_path=str(folder / "model.tflite"),
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    theirs = []
    for image in inputs[:50]:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        theirs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    assert np.abs(np.array(theirs).astype(int) - outputs[:50]).max() <= 1


def test_evaluate_measures_the_run_and_the_exported_file(exported_run, trained_run):
    report, folder = exported_run
    assert evaluate.evaluate(trained_run.folder)["top1"] == pytest.approx(trained_run.metrics()["test"]["top1"])
    assert evaluate.evaluate(trained_run.folder, split="val")["images"] == 143
    assert evaluate.evaluate(folder / "model.tflite")["top1"] == pytest.approx(report["accuracy"]["int8"])
    assert evaluate.evaluate(folder / "model.tflite", data="digits")["images"] == 359


def test_evaluate_prints_counts_in_full(command_line, monkeypatch):
    result = {"ap50": 0.123456, "ap75": None, "per_class": {}, "images": 12345, "boxes": 1234567}
    monkeypatch.setattr(evaluate, "evaluate", lambda *_: result)
    status, out, _ = command_line("evaluate", "run")
    assert (status, out.strip()) == (0, "ap50 0.1235  images 12,345  boxes 1,234,567")


@pytest.mark.long
def test_zero_epochs_are_post_training_quantization_with_training_images(trained_run, monkeypatch, tmp_path):
    """Of a run of older days; the model is parsed once."""
    older = shutil.copytree(trained_run.folder, tmp_path / "older")  # a run from before some keys were there
    tables = tomllib.loads((older / "config.toml").read_text())
    (older / "config.toml").write_text(
        tomli_w.dumps({name: tables[name] for name in ("data", "model", "augment", "optim")})
    )
    config = trained_run.config()
    data = splits.Splits(load_dataset(config), config)
    allowed = {image.tobytes() for image in (np.asarray(data.arrays("train")[0], np.float32) - 128) / 128}
    seen, parsed, fine_tune = [], record_parses(monkeypatch), int8_model.fine_tune

    def spy(clone, task, config, batches, steps, calibration, *rest):
        seen.extend([calibration, *(x.numpy() for x, _ in batches)])
        return fine_tune(clone, task, config, batches, steps, calibration, *rest)

    monkeypatch.setattr(int8_model, "fine_tune", spy)
    report, folder = export(older, "mps2_an500", tmp_path / "ptq", ["qat.epochs=0", "export.parity_images=20"])
    assert len(seen[0]) == 500
    assert {image.tobytes() for image in seen[0]} <= allowed
    assert parsed == [(folder / "model.tflite").read_bytes()]
    assert report["parity"] == {"images": 20, "different": 0, "of": "compiled network"}
    assert set(report["model"]["ops"]) <= {"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "FULLY_CONNECTED"}
    assert (folder / "firmware/model/model_ops.h").exists()


@pytest.mark.long
def test_diagnose_shows_the_noise_of_each_layer_and_the_loss_of_each_class(trained_run, command_line, tmp_path):
    run = shutil.copytree(trained_run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("export*"))
    folder = run / "diagnosed"
    words = ["--mcu", "mps2_an500", "--out", str(folder), "qat.epochs=0", "--diagnose", "--json"]
    status, out, _ = command_line("export", str(run), *words)
    assert status == 0
    report = json.loads(out.splitlines()[-1])
    layers, classes = report["diagnosis"]["layers"], report["diagnosis"]["classes"]
    assert [row["own_db"] for row in layers] == sorted(row["own_db"] for row in layers)
    assert len(layers) == sum(report["model"]["ops"].values()) - report["model"]["ops"].get("AVERAGE_POOL_2D", 0)
    assert {row["class"] for row in classes} == set("0123456789")
    on_val = report["accuracy"]["val"]
    assert on_val["images"] == sum(row["images"] for row in classes) == len(trained_run.split()["val"]) == 143
    for kind in ("float", "int8"):
        mean = sum(row[kind] * row["images"] for row in classes) / 143
        assert mean == pytest.approx(on_val[kind])
    assert on_val["float"] == pytest.approx(trained_run.metrics()["val"]["top1"])
    assert on_val["int8"] == pytest.approx(evaluate.evaluate(folder / "model.tflite", split="val")["top1"])
    assert report["accuracy"]["float_finetuned"] is on_val["float_finetuned"] is None  # nothing was fine-tuned
    assert layers[0]["layer"] in out
    assert "change" in out


@pytest.mark.long
def test_the_fine_tuned_weights_are_measured_in_float_too(trained_run, tmp_path, monkeypatch):
    """A fine-tune that ends with a classifier that always says 3: its float accuracy is the share of threes."""
    fine_tune = int8_model.fine_tune

    def spoiled(*arguments, **more):
        model = fine_tune(*arguments, **more)
        head = qat.operators(model)[-1].quantize_config
        head.variable.assign(0.01 * head.variable)
        head.bias.assign(100 * np.eye(10, dtype="float32")[3])
        return model

    monkeypatch.setattr(int8_model, "fine_tune", spoiled)
    seen = []
    layers = error_analysis.layers
    monkeypatch.setattr(
        error_analysis, "layers", lambda model, twin, images: seen.append(images) or layers(model, twin, images)
    )
    words = ["qat.epochs=0.1", "export.parity_images=1"]
    report, folder = export(trained_run.folder, "stm32f746", tmp_path / "e", words, diagnose=True)
    data = splits.Splits(load_dataset(trained_run.config()), trained_run.config())
    threes = {name: float((data.arrays(name)[1] == 3).mean()) for name in ("val", "test")}
    for found, name in ((report["accuracy"], "test"), (report["accuracy"]["val"], "val")):
        assert found["float"] == pytest.approx(trained_run.metrics()[name]["top1"])
        assert found["float_finetuned"] == found["int8"] == pytest.approx(threes[name])
    assert f"float {100 * report['accuracy']['float']:.2f} %, fine-tuned in float {100 * threes['test']:.2f} %" in (
        summary(report, folder)
    )
    by_class = {row["class"]: (row["float_finetuned"], row["int8"]) for row in report["diagnosis"]["classes"]}
    assert by_class == {str(digit): (float(digit == 3), float(digit == 3)) for digit in range(10)}
    with np.load(folder / "golden.npz") as golden:
        assert (golden["finetuned"].argmax(axis=1) == 3).all()
        assert len(golden["finetuned"]) == 359
    # The layers were measured on val images: none of training or test.
    val = {image.tobytes() for image in (np.asarray(data.arrays("val")[0], np.float32) - 128) / 128}
    assert {image.tobytes() for image in seen[0]} <= val


@pytest.mark.long
def test_a_cosine_head_is_exported_as_any_other_classifier(tmp_path):
    words = [*SMALLEST, "optim.epochs=6", "optim.batch=32", "method=am_softmax"]
    run = fit.fit(configs.load(None, words), tmp_path / "run")
    for epochs, tolerance in ((0, 0.04), (1, 0.06)):
        report, folder = export(run.folder, "stm32f746", tmp_path / f"e{epochs}", [f"qat.epochs={epochs}"])
        # A stem, two convolutions in each of three blocks, and one on two of their shortcuts.
        assert report["model"]["ops"] == {"CONV_2D": 9, "ADD": 3, "AVERAGE_POOL_2D": 1, "FULLY_CONNECTED": 1}
        assert report["parity"] == {"images": 359, "different": 0, "of": "compiled network"}
        accuracy = report["accuracy"]
        assert accuracy["float"] == pytest.approx(run.metrics()["test"]["top1"])
        assert accuracy["float"] > 0.5
        assert accuracy["int8"] > accuracy["float"] - tolerance
        output = Model.parse((folder / "model.tflite").read_bytes()).outputs[0]
        assert 1 < 255 * output.scale[0] < 10  # s·cosθ, s = 3.1, not the raw products


def test_a_tflite_of_anyones_is_exported(exported_run, tmp_path, command_line):
    _, folder = exported_run
    shutil.copy(folder / "model.tflite", tmp_path / "theirs.tflite")
    status, out, _ = command_line("export", "theirs.tflite", "--mcu", "stm32f746", "--out", "e", "--json")
    report = json.loads(out.splitlines()[-1])
    assert status == 0
    unknown = dict.fromkeys(("float", "float_finetuned", "int8", "int8_balanced", "val"))
    assert report["accuracy"] == unknown | {"images": 0}
    assert report["parity"]["different"] == 0
    assert report["model"]["macs"] == exported_run[0]["model"]["macs"]
    words = ["export", "theirs.tflite", "--mcu", "stm32f746", "--out", "t", "--json", "export.kernels=tflm"]
    theirs = json.loads(command_line(*words)[1].splitlines()[-1])
    assert (theirs["kernels"]["chosen"], theirs["kernels"]["ours"]) == ("tflm", 0)
    for name in ("model.tflite", "model.compact.tflite"):  # whichever kernels run it
        assert (tmp_path / "e" / name).read_bytes() == (tmp_path / "t" / name).read_bytes()
    array = c_source.read_model_data(tmp_path / "t/firmware/model/model_data.cc")
    assert array == (tmp_path / "t/model.compact.tflite").read_bytes()


@needs_tool("qemu-system-arm")
@needs_tool("arm-none-eabi-gcc")
def test_the_firmware_gives_the_golden_output_on_the_emulated_core(exported_run):
    report, _ = exported_run
    assert report["emulated"]["golden"] == "equal"
    assert report["memory"]["arena_bytes"] == report["emulated"]["arena_used_bytes"]
    assert report["arena_basis"]["how"] == "planned"
    assert report["emulated"]["instructions"] > report["model"]["macs"]


@pytest.mark.skipif("TFLM_DIR" not in os.environ, reason="TFLM_DIR is not set: TensorFlow Lite Micro is not here")
@needs_tool("qemu-system-arm")
@needs_tool("arm-none-eabi-gcc")
def test_tflm_gives_the_golden_output_on_the_emulated_core_where_it_is_asked_for(exported_run, tmp_path):
    _, folder = exported_run
    report, _ = export(folder / "model.tflite", "stm32f746", tmp_path / "e", ["export.engine=tflm"])
    assert report["engine"] == {"name": "tflm", "reason": "export.engine is tflm"}
    assert report["emulated"]["golden"] == "equal"
    spare_bytes = report["memory"]["arena_bytes"] - report["emulated"]["arena_used_bytes"]
    assert 0 <= spare_bytes < 16 + 512  # rounded up; a small model takes more while it is prepared
    assert report["arena_basis"]["how"] == "measured in the emulator"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "export needs RUN or MODEL.tflite and --mcu BOARD"),
        (["run"], "export needs RUN or MODEL.tflite and --mcu BOARD"),
        (["run", "--mcu", "stm32f747"], "did you mean 'stm32f746'"),
        (["text.tflite", "--mcu", "stm32f746", "--diagnose"], "--diagnose compares with the float model"),
        (["nowhere", "--mcu", "stm32f746"], "'nowhere' does not exist"),
        (["empty", "--mcu", "stm32f746"], "'empty' holds no run"),
        (["text.tflite", "--mcu", "stm32f746"], "not a TFLite flatbuffer"),
        (["cut.tflite", "--mcu", "stm32f746"], "damaged TFLite flatbuffer"),
        (["begun", "--mcu", "stm32f746"], "is not finished"),
        (["ended", "--mcu", "stm32f746", "--out", "empty/.."], "is there already"),
        (["ended", "--mcu", "stm32f746", "optim.lr=1"], "export cannot change optim.lr"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(command_line, tmp_path, words, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun").mkdir()
    config = configs.load(None, ["model.resolution=32", "model.channels=1"])
    (tmp_path / "begun/config.toml").write_text(configs.dump(config))
    shutil.copytree(tmp_path / "begun", tmp_path / "ended")
    (tmp_path / "ended/metrics.json").write_text("{}")
    (tmp_path / "ended/split.json").write_text('{"test": [], "val": []}')
    (tmp_path / "ended/model.keras").touch()
    (tmp_path / "text.tflite").write_text("this is no model at all")
    (tmp_path / "cut.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(20))
    status, out, error = command_line("export", *words)
    assert (status, out) == (2, "")
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


def test_an_operator_that_tflm_lacks_is_named(tmp_path):
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(tf.math.erf, input_signature=[tf.TensorSpec((1, 8, 8, 1), tf.float32)]).get_concrete_function()]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "erf.tflite").write_bytes(converter.convert())
    with pytest.raises(UserError, match="Erf"):
        export(tmp_path / "erf.tflite", "stm32f746")


@pytest.mark.long
def test_a_network_that_cannot_fit_is_refused_with_status_3_and_the_largest_width_that_fits(command_line, tmp_path):
    words = ["--model", "resnet8", "model.width=4", "model.resolution=32", "model.stem=imagenet"]
    status, out, error = command_line("fit", *words, "--mcu", "stm32f746", "--out", "run")
    assert (status, out) == (3, "")
    assert "resnet8 of width 4 at 32 pixels does not fit stm32f746g_disco" in error
    assert not (tmp_path / "run").exists()  # refused before the training

    def fits(width):
        words = ["model.name=resnet8", "model.resolution=32", "model.stem=imagenet", "model.channels=1"]
        config = configs.load(None, [*words, f"model.width={width}", "device.precision=float32"])
        return fit_check.once_trained(build_model(config, 10), config, 10, boards.load("stm32f746")).fits

    width = float(re.search(r"nearest that fits: model\.width=([\d.]+)", error)[1])
    assert fits(width)
    assert not fits(width + 0.05)


def test_the_tables_name_what_quantization_alone_changed():
    rows = [
        {"class": "a", "images": 10, "float": 0.5, "float_finetuned": 0.9, "int8": 0.8},
        {"class": "b", "images": 10, "float": 0.5, "float_finetuned": 0.6, "int8": 0.6},
    ]
    lines = export_summary._classes(rows, figures.of("classify"))
    assert lines[1] == (
        "share of val images that are right, by class; by int8: what quantization alone changed, int8 less the column "
        "before it"
    )
    assert [line.split() for line in lines[2:]] == [
        ["class", "images", "float", "fine-tuned", "int8", "by", "int8"],
        ["a", "10", "50.0", "%", "90.0", "%", "80.0", "%", "-10.0", "%"],
        ["b", "10", "50.0", "%", "60.0", "%", "60.0", "%", "+0.0", "%"],
    ]
    untuned = [{**row, "float_finetuned": None} for row in rows]
    assert [line.split()[-2] for line in export_summary._classes(untuned, figures.of("classify"))[3:]] == [
        "+30.0",
        "+10.0",
    ]
    found = {"float": 0.5, "float_finetuned": 0.75, "int8": 0.7, "images": 20}
    assert (
        export_summary._accuracy(found, "top-1")
        == "float 50.00 %, fine-tuned in float 75.00 %, int8 70.00 % top-1 on 20 images"
    )


@pytest.mark.parametrize(
    ("task", "heading"), [("detect", "AP50 on val images"), ("centroids", "F1 of centres on val images")]
)
def test_the_table_of_a_detector_counts_boxes(task, heading):
    rows = [{"class": "cell", "boxes": 12, "float": 0.5, "float_finetuned": None, "int8": 0.25}]
    title, *lines = export_summary._classes(rows, figures.of(task))[1:]
    assert title.startswith(f"{heading}, by class; by int8:")
    assert [line.split() for line in lines] == [
        ["class", "boxes", "float", "int8", "by", "int8"],
        ["cell", "12", "50.0", "%", "25.0", "%", "-25.0", "%"],
    ]


def test_metrics_of_int8_outputs_are_in_real_units():
    tensor = Tensor("logits", (1, 2), "int8", (0.5,), (3,), False)
    np.testing.assert_array_equal(int8_values.dequantize(np.array([[3, 5]], np.int8), tensor), [[0.0, 1.0]])
    assert metrics.top_k(np.array([[0.0, 1.0]]), np.array([1]), 1) == 1.0
