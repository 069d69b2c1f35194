"""Every architecture of the room all the way: trained, quantized, exported; and the table that lists them."""

import json

import keras
import numpy as np
import pytest

from tinytrain.cli.lists import models
from tinytrain.commands import fit
from tinytrain.commands.export import export
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.data import batches, splits
from tinytrain.data.load import load_dataset
from tinytrain.deploy import boards
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.exporting import int8_model
from tinytrain.quantize import convert, tf_keras_clone
from tinytrain.tflite.int8_values import to_int8
from tinytrain.train import task

SHORT = ["optim.epochs=1", "optim.batch=32", "data.train_images=256", "data.val_images=32", "data.test_images=64"]
SHORT += ["model.width=0.25", "model.resolution=32"]


@pytest.mark.long
@pytest.mark.parametrize("name", plugins.names("models"))
def test_a_network_trained_for_a_few_steps_is_exported(name, tmp_path):
    run = fit.fit(configs.load(None, [*SHORT, f"model.name={name}"]), tmp_path / "run")
    # tests/quantize/test_qat.py fine-tunes every operator.
    report, folder = export(run.folder, "stm32f746", overrides=["qat.epochs=0", "export.parity_images=64"])
    assert report["parity"] == {"images": 64, "different": 0, "of": "compiled network"}
    assert report["accuracy"]["images"] == 64
    assert (folder / "firmware" / "model" / "model_data.cc").exists()
    assert not {"QUANTIZE", "DEQUANTIZE", "MEAN", "RESHAPE"} & set(report["model"]["ops"])


@pytest.mark.long
def test_what_is_too_large_is_exported_and_only_the_fit_says_no(tmp_path):
    words = [*SHORT, "model.name=mobilenet_v1", "model.width=0.75"]
    run = fit.fit(configs.load(None, words), tmp_path / "run")
    report, _ = export(run.folder, "stm32f746", overrides=["qat.epochs=0", "export.parity_images=16"])
    assert (report["fits"], report["parity"]["different"]) == (False, 0)


@pytest.mark.long
def test_the_tflite_and_its_graph_agree_on_a_thousand_test_images(tmp_path):
    """Top-1 the same on at least 99 %, outputs within one step on average; on images that were not trained on.

    MobileNetV3-Small has the operators of all other MobileNets.
    """
    words = [
        "data.test_fraction=0.5",
        "data.val_fraction=0.15",
        "optim.epochs=6",
        "optim.batch=32",
        "qat.epochs=0.5",
        "model.width=0.25",
        "model.name=mobilenet_v3_small",
    ]
    run = fit.fit(configs.load(None, words), tmp_path / "run")
    config = run.config()
    source = load_dataset(config)
    data = splits.Splits(source, config)
    images = np.concatenate([data.arrays(split)[0] for split in ("test", "val")])
    training = data.samples("train")
    tuned = int8_model.quantized(
        tf_keras_clone.rebuild(keras.saving.load_model(run.model_path, compile=False)),
        task.of(config, source.classes),
        config,
        training,
        int8_model.calibration_images(config, training.images),
    )
    tflite = convert.convert(tuned)
    output = tflite.outputs[0]
    found = ReferenceInterpreter(tflite.content).run(to_int8(images)[:1000])[0].astype(int)
    graph = tuned.predict(batches.normalize(images[:1000]), verbose=0) / output.scale[0] + output.zero_point[0]
    assert len(found) == 1000
    assert (found.argmax(1) == graph.argmax(1)).mean() >= 0.99
    assert np.abs(found - np.round(graph)).mean() <= 1.0
    assert len(set(found.argmax(1))) > 5  # a network that says one class only would prove nothing


# methods.md B.1: parameters that are trained and MACs, of one input with 1,000 classes (CIFAR-100: 100).
B1 = {
    ("mobilenet_v2_tiny", 0.35, 144): (750_280, "23.499"),
    ("mcunet", 1.0, 176): (737_408, "81.786"),
    ("mobilenet_v2", 0.35, 160): (1_677_128, "30.875"),
    ("mobilenet_v2", 1.0, 160): (3_504_872, "154.083"),
    ("mobilenet_v2", 1.0, 224): (3_504_872, "300.77"),
    ("proxylessnas", 0.35, 160): (1_781_344, "35.717"),
    ("proxylessnas", 1.0, 160): (4_080_512, "164.110"),
    ("proxylessnas", 1.0, 224): (4_080_512, "320.43"),
    ("mobilenet_v3_large", 0.35, 160): (2_109_840, "19.496"),
    ("resnet50", 1.0, 224): (25_557_032, "4089.18"),
    ("efficientnet_b0", 1.0, 224): (5_288_548, "385.815"),
    ("mobilenet_v3_large", 1.0, 224): (5_483_032, "216.590"),
    ("mobilenet_v3_small", 1.0, 224): (2_542_856, "56.510"),
    ("mobilenet_v3_large", 0.75, 224): (3_377_576, "140.03"),
    ("mobilenet_v1", 1.0, 32): (3_309_476, "46.447"),
    ("mobilenet_v1", 1.0, 224): (4_231_976, "568.74"),
}


@pytest.fixture
def listed(command_line, monkeypatch):
    """Returns a function that lists some architectures as {(name, width, resolution): row}, and the text of it."""

    def of(names, *words):
        every = plugins.names
        monkeypatch.setattr(plugins, "names", lambda folder: names if folder == "models" else every(folder))
        status, out, _ = command_line("list", "models", "--json", *words)
        assert status == 0
        rows = json.loads(out.splitlines()[-1])["models"]
        return {(row["name"], row["options"]["width"], row["resolution"]): row for row in rows}, out

    return of


@pytest.mark.parametrize(
    "names", [["mobilenet_v1"], pytest.param(plugins.names("models"), marks=pytest.mark.long)], ids=["one", "all"]
)
def test_the_list_holds_each_row_of_the_specification(listed, names):
    rows, out = listed(names)
    expected = {key: sizes for key, sizes in B1.items() if key[0] in names}
    assert set(rows) >= set(expected)
    for key, (params, millions) in expected.items():
        row = rows[key]
        assert row["params"] == params
        digits = len(millions.partition(".")[2])
        assert f"{row['macs'] / 1e6:.{digits}f}" == millions
        assert row["classes"] == (100 if key[:3] == ("mobilenet_v1", 1.0, 32) else 1000)
        assert set(row["fits"]) == set(boards.names())
        assert row["int8_bytes"] > 0.9 * params
        # The input need not be kept whole, but each network begins with a window of at least three rows of it.
        assert row["arena_bytes"] > 3 * 3 * row["resolution"]
    assert rows["mobilenet_v1", 0.25, 96]["fits"] == {name: name != "nucleo_f401re" for name in boards.names()}
    large = rows["resnet50" if "resnet50" in names else "mobilenet_v1", 1.0, 224]
    assert not any(large["fits"].values())
    assert "no board" in out


def test_the_list_is_for_as_many_classes_as_are_asked_for(listed):
    """A classifier of F features has F + 1 parameters a class; MobileNetV2 has 1,280 features."""
    rows, _ = listed(["mobilenet_v2"], "--classes", "3")
    assert {row["classes"] for row in rows.values()} == {3}
    assert rows["mobilenet_v2", 0.35, 160]["params"] == B1["mobilenet_v2", 0.35, 160][0] - 997 * 1281
    assert rows["mobilenet_v2", 0.35, 160]["fits"]["nucleo_h743zi"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["boards", "--classes", "3"], "--classes 3 is for `list models`, received `list boards`"),
        (["models", "--classes", "0"], "--classes 0 is out of range: expected a whole number from 1"),
        (["models", "--classes", "few"], "--classes few is not a number"),
    ],
)
def test_a_wrong_number_of_classes_is_refused(command_line, words, sentence):
    status, _, said = command_line("list", *words)
    assert status == 2
    assert sentence in said


def test_a_row_that_fits_nowhere_says_so():
    row = {"name": "n", "options": {"width": 1.0}, "resolution": 32, "classes": 10, "params": 1, "macs": 2}
    row |= {"int8_bytes": 2048, "arena_bytes": 1024, "fits": {"a": False, "b": False}}
    assert models.as_text([row])[1].endswith("no board")
    assert models.as_text([row | {"fits": {"b": True, "a": False}}])[1].endswith(" b")
