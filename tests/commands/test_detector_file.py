"""A detector's .tflite outside of its run: what report.json beside it says of its boxes is used, or it is refused."""

import json

import numpy as np
import pytest
from bench_helpers import exported
from colored_squares import squares
from int8_models import cells_decoder, cells_model, detector_decoder, detector_model

from tinytrain.commands.evaluate import evaluate
from tinytrain.commands.export import export
from tinytrain.config import load as configs
from tinytrain.deploy.decode import description, of_config
from tinytrain.deploy.exported_model import MODEL_FILE
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError
from tinytrain.tasks.detect import metrics
from tinytrain.tflite.model import Model

CLASSES = ("green", "red")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return squares(tmp_path_factory.mktemp("tree") / "voc", {"train": 2, "val": 2, "test": 4}, CLASSES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An export of a small detector; nothing but its report.json knows what its outputs are."""
    model = detector_model()
    folder = exported(tmp_path_factory.mktemp("int8") / "export", 2, model=model, decoder=detector_decoder(model))
    (folder / MODEL_FILE).write_bytes(model)
    path = folder / "report.json"
    known = {"model": {"bytes": len(model)}, "classes": list(CLASSES)}
    known["input"] = {"pixel_0": -1.0, "pixel_255": 1.0, "resize": "stretch"}
    path.write_text(json.dumps(json.loads(path.read_text()) | known))
    return folder


@pytest.mark.parametrize(("build", "of"), [(detector_model, detector_decoder), (cells_model, cells_decoder)])
def test_a_config_with_the_keys_of_a_decoder_gives_that_decoder(build, of):
    model = build()
    decoder, config = of(model), configs.load(None, [])
    for dotted, value in of_config.keys(decoder).items():
        configs.set_key(config, dotted, value)
    assert of_config.decoder(config, decoder.classes, Model.parse(model)) == decoder


def test_it_is_evaluated_by_the_boxes_that_the_firmware_decodes(folder, tree):
    result = evaluate(folder / MODEL_FILE, data=f"voc:{tree}")
    export(folder / MODEL_FILE, "stm32f746", folder / "again", data=f"voc:{tree}")
    with np.load(folder / "again" / "golden.npz") as golden:
        inputs, annotations = golden["inputs"], golden["annotations"]
    outputs = ReferenceInterpreter((folder / MODEL_FILE).read_bytes()).run(inputs)
    found = detector_decoder(detector_model(), score=0.01, room=400).detections(outputs)[:, :100]
    expected = metrics.summary(found, annotations, list(CLASSES), 0.4)
    assert inputs.shape == (4, 32, 32, 3)
    assert result["boxes"] == expected["boxes"] == 1 + 2 + 3 + 1
    assert result["ap50"] == pytest.approx(expected["ap50"], abs=1e-9)
    assert result["threshold"] == 0.4
    again = json.loads((folder / "again" / "report.json").read_text())
    assert (again["task"], again["accuracy"]["int8"]) == ("detect", pytest.approx(result["ap50"]))
    assert description.read(again["decoder"]) == detector_decoder(detector_model())


def test_it_is_exported_with_its_decoder_when_it_is_proven_on_noise(folder, tmp_path):
    report, written = export(folder / MODEL_FILE, "stm32f746", tmp_path / "e")
    assert description.read(report["decoder"]) == detector_decoder(detector_model())
    assert "kGoldenBoxes" in (written / "firmware/model/model_data.h").read_text()


def test_images_without_boxes_are_refused_in_one_sentence(folder):
    with pytest.raises(UserError, match="is for the task detect, 'digits' is data for classify: expected data for det"):
        evaluate(folder / MODEL_FILE, data="digits")


@pytest.mark.long
def test_a_classifier_refuses_images_with_boxes(trained_run, exported_run, tree):
    for target in (trained_run.folder, exported_run[1] / MODEL_FILE):
        with pytest.raises(UserError, match=r"is for the task classify, 'voc:.*' is data for detect: expected"):
            evaluate(target, data=f"voc:{tree}")
