"""Detectors are trained: from a tree of pictures to a run folder, killed and resumed, from other runs, and refused."""

import json
import math
import shutil
import tomllib

import keras
import numpy as np
import pytest
from box_trees import voc_xml
from colored_squares import COLORS, squares
from kills import assert_same_weights, copy_after_an_epoch
from PIL import Image

from tinytrain.config import load as configs
from tinytrain.config.schema import Config, Optim
from tinytrain.data.load import read_dataset
from tinytrain.errors import UserError
from tinytrain.run import Run
from tinytrain.tasks import detect
from tinytrain.train import fit, resolve
from tinytrain.train import task as tasks

SMALL = ["model.name=mobilenet_v1", "model.width=0.25", "model.resolution=64", "optim.batch=8", "data.check=false"]
SHORT = [*SMALL, "optim.epochs=2", "optim.lr=0.001", "detect.head=yolo3_lite"]
SMALLER = ["model.name=resnet8", "model.stem=imagenet", "detect.strides=[8,4]"]  # traced sooner
FIGURES = ["ap50", "ap50_voc07", "ap50_voc10", "ap", "ap_small", "ap_small_input", "per_class", "threshold", "f1"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return squares(tmp_path_factory.mktemp("squares") / "voc", {"train": 16, "val": 6, "test": 6})


def train(tree, folder, *words, resume=False):
    return fit.fit(configs.load(None, [f"data.spec=voc:{tree}", *SHORT, *words]), folder, resume=resume)


@pytest.fixture(scope="module")
def finished(tree, tmp_path_factory):
    """A run of two epochs, and "stopped" beside it: what there was of it after the first."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        copy_after_an_epoch(patch, folder / "stopped")
        return train(tree, folder / "run")


@pytest.mark.long
def test_a_run_holds_a_model_of_two_outputs_and_a_config_that_repeats_it(finished):
    model = keras.saving.load_model(finished.model_path)  # plain Keras: no custom objects
    assert model.output_shape == [(None, 2, 2, 24), (None, 4, 4, 24)]
    values = tomllib.loads(finished.config_path.read_text())
    assert "'auto'" not in str(values | {"export": None})  # of which an export chooses
    config = finished.config()
    assert (config.task, config.detect.head, config.detect.strides) == ("detect", "yolo3_lite", [32, 16])
    assert len(config.detect.anchors) == 12
    assert 0.01 <= config.detect.score <= 0.99
    assert config == configs.load(finished.config_path)


def test_metrics_json_has_the_figures_of_both_splits(finished):
    metrics = json.loads(finished.metrics_path.read_text())
    for split in ("val", "test"):
        assert set(FIGURES) <= set(metrics[split])
        assert all(0 <= metrics[split][key] <= 1 for key in ("ap50", "ap50_voc07", "ap50_voc10", "ap"))
        assert (metrics[split]["images"], metrics[split]["boxes"]) == (6, 12)
        assert metrics[split]["threshold"] == pytest.approx(finished.config().detect.score, abs=1e-4)
        assert list(metrics[split]["per_class"]) == list(COLORS)
        assert sum(row["boxes"] for row in metrics[split]["per_class"].values()) == 12
    assert {"params", "macs", "images_per_second", "epochs", "best_epoch"} <= set(metrics)


def test_the_history_has_the_parts_of_the_loss_which_add_up(finished):
    for row in finished.history():
        for prefix in ("", "val_"):
            parts = [float(row[f"{prefix}{name}"]) for name in ("objectness", "box", "classes")]
            assert all(part > 0 for part in parts)
            assert float(row[f"{prefix}loss"]) == pytest.approx(sum(parts), rel=0.02 if prefix == "" else 1e-3)
        assert 0 <= float(row["val_ap50"]) <= 1
    assert len(finished.history()) == 2


@pytest.mark.parametrize(("images", "batch", "epochs"), [(205, None, 334), (205, 32, 400), (16_551, None, 30)])
def test_few_images_get_epochs_for_4000_steps_of_the_batch_that_was_typed(images, batch, epochs):
    """By hand: 205 images are 12 steps of 16, and 334 of them 4,008; at least 30 epochs and at most 400."""
    config = Config(optim=Optim(batch=batch or 64))
    assert detect.usual(config, images, ["optim.batch"] if batch else [])["optim.epochs"] == epochs


@pytest.mark.long
def test_a_run_that_stopped_after_an_epoch_resumes_to_the_same_weights(finished):
    stopped = Run(finished.folder.parent / "stopped")
    assert not stopped.finished
    assert len(stopped.history()) == 1
    again = fit.fit(Config(), stopped.folder, resume=True)
    assert_same_weights(again, finished)
    for split in ("val", "test"):
        assert again.metrics()[split] == finished.metrics()[split]
    assert again.config().detect == finished.config().detect


@pytest.mark.long
def test_eight_pictures_are_learnt_by_heart(tmp_path):
    """Val and test are the training images themselves: AP50 is that of what was learnt."""
    root = squares(tmp_path / "voc", {"train": 8})
    lists = root / "ImageSets" / "Main"
    random = np.random.default_rng(0)
    for split in ("val", "test"):  # other files with the same objects: noise of one step is no duplicate
        names = []
        for name in (lists / "train.txt").read_text().split():
            pixels = np.asarray(Image.open(root / "JPEGImages" / f"{name}.png")).astype(int)
            Image.fromarray((pixels + random.integers(0, 2, pixels.shape)).astype(np.uint8)).save(
                root / "JPEGImages" / f"{split}_{name}.png"
            )
            xml = (root / "Annotations" / f"{name}.xml").read_text()
            (root / "Annotations" / f"{split}_{name}.xml").write_text(xml.replace(f"{name}.png", f"{split}_{name}.png"))
            names.append(f"{split}_{name}\n")
        (lists / f"{split}.txt").write_text("".join(names))
    off = [f"augment.{key}=false" for key in ("flip", "distort", "iou_crop")] + ["augment.expand=0"]
    run = train(root, tmp_path / "run", *off, *SMALLER, "optim.epochs=150", "optim.lr=0.005", "optim.name=adam")
    assert run.metrics()["test"]["ap50"] >= 0.95
    assert run.metrics()["test"]["f1"] >= 0.95


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """An untrained classifier of the same backbone in a .keras file."""
    config = configs.load(None, [*SMALL, "model.channels=3", "model.stem=imagenet", "device.precision=float32"])
    keras.utils.set_random_seed(7)
    model = tasks.build_network(config, ["a", "b", "c", "d"])
    path = tmp_path_factory.mktemp("classifier") / "classifier.keras"
    model.save(path)
    return model, path


def network(tree, *words, classes=tuple(COLORS)):
    """Returns the untrained network of a config for the data of `tree`."""
    config = configs.load(None, [f"data.spec=voc:{tree}", *SHORT, "device.precision=float32", *words])
    return tasks.build_network(resolve.resolve(config, read_dataset(config)), list(classes))


def layers_of(model):
    return {layer.name: layer for layer in model.layers if layer.weights}


def same(layer, other):
    return all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), other.get_weights(), strict=True))


def test_the_weights_of_a_classifier_fill_the_backbone_and_it_says_how_many(tree, classifier, capsys):
    source, path = classifier
    detector = network(tree, f"model.weights={path}")
    theirs, ours = layers_of(source), layers_of(detector)
    backbone = [name for name in ours if not name.startswith(("scale", "boxes"))]
    assert len(backbone) > 40
    assert {name for name in theirs if name in ours} == {*backbone}
    assert all(same(ours[name], theirs[name]) for name in backbone)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"tinytrain: {len(backbone)} of {len(ours)} layers with weights are taken from '{path}'")
    assert said.endswith(f", {len(ours) - len(backbone)} start with random ones")


def test_the_weights_of_a_detector_of_other_classes_fill_all_but_its_outputs(finished, tmp_path, capsys):
    other = squares(tmp_path / "voc", {"train": 6, "val": 2, "test": 2}, classes=("blue", "red"))
    source = keras.saving.load_model(finished.model_path)
    detector = network(other, f"model.weights={finished.folder}", classes=("blue", "red"))
    theirs, ours = layers_of(source), layers_of(detector)
    assert {*theirs} == {*ours}
    outputs = {"boxes32", "boxes16"}
    assert all(same(ours[name], theirs[name]) for name in {*ours} - outputs)
    assert [tensor.shape[-1] for tensor in detector.outputs] == [21, 21]
    assert f"{len(ours) - 2} of {len(ours)} layers with weights are taken from" in capsys.readouterr().err


@pytest.mark.long
def test_sam_trains_a_detector(tree, tmp_path):
    run = train(tree, tmp_path / "run", "method=sam", "optim.epochs=1", *SMALLER)
    assert math.isfinite(float(run.history()[0]["loss"]))
    assert keras.saving.load_model(run.model_path).output_shape == [(None, 8, 8, 24), (None, 16, 16, 24)]


@pytest.mark.long
def test_a_detector_teaches_another_one_with_the_same_anchors(tree, finished, tmp_path):
    config = finished.config()
    words = ["method=distill", f"distill.teacher={finished.folder}", f"detect.anchors={config.detect.anchors}"]
    run = train(tree, tmp_path / "run", *words)  # in all else as its teacher, which was trained alone
    taught, plain = float(run.history()[0]["loss"]), float(finished.history()[0]["loss"])
    assert math.isfinite(taught)
    assert taught > plain  # the term of the teacher is part of it
    assert float(run.history()[0]["val_loss"]) != float(finished.history()[0]["val_loss"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "detect.anchors = "),
        (["detect.strides=[16]"], "detect.strides = [32, 16], the student [16]: expected the same"),
        (["detect.gain=2", "detect.anchors=SAME"], "detect.gain = 4.0, the student 2.0: expected the same"),
        (
            ["detect.anchors=SAME", "model.resolution=96"],
            "is for images of 64x64x3, but the student for images of 96x96x3",
        ),
    ],
)
def test_a_teacher_of_other_boxes_is_refused_in_one_sentence(tree, finished, tmp_path, words, sentence):
    anchors = str(finished.config().detect.anchors)
    words = [word.replace("SAME", anchors) for word in words] or [f"detect.anchors={[3.0] * 12}"]
    with pytest.raises(UserError) as refused:
        train(tree, tmp_path / "run", "method=distill", f"distill.teacher={finished.folder}", *words)
    assert sentence in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_classifier_teaches_no_detector_nor_the_other_way_round(tree, finished, classifier, tmp_path):
    with pytest.raises(UserError, match=r"is for outputs of 4, but the student for outputs of 2x2x24 and 4x4x24"):
        train(tree, tmp_path / "run", "method=distill", f"distill.teacher={classifier[1]}")
    words = ["method=distill", f"distill.teacher={finished.folder}", *SMALL]
    with pytest.raises(UserError, match="was trained for the task detect, the student is for classify"):
        fit.fit(configs.load(None, ["data.spec=digits", *words]), tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["augment.cutmix=1"], "the task detect cannot be trained with augment cutmix: expected none, or some of"),
        (["augment.fmix=1"], "cannot be trained with augment fmix"),
        (["augment.randaugment=2"], "cannot be trained with augment randaugment"),
        (["task=classify"], "is data for the task detect: expected task=auto"),
        (["augment.mixup=1.5"], "augment.mixup = 1.5 would have no effect"),
        (["method=dml"], "the task detect cannot be trained with method dml: expected none, or some of distill, sam"),
        (["method=am_softmax"], "cannot be trained with method am_softmax"),
        (["method=netaug"], "cannot be trained with method netaug"),
        (["data.balance=class_weights"], "use balanced_sampling for a detector"),
        (["model.dropout=0.2"], "model.dropout = 0.2 acts before a classifier, which a detector does not have"),
        (["detect.nms=0.455"], "detect.nms = 0.455: expected a number of whole hundredths"),
        (
            ["detect.strides=[64,32]"],
            "detect.strides = [64, 32], but mobilenet_v1 has blocks of stride 2, 4, 8, 16, 32",
        ),
        (["detect.anchors=[8,8,16,16]"], "detect.anchors has 4 numbers, expected 12"),
        (["model.resolution=72"], "model.resolution = 72, expected a multiple of 32, the largest of detect.strides"),
        (["detect.depth=4"], "detect.depth = 4, expected an odd number"),
        (["detect.channels=[64,32,16]"], "detect.channels = [64, 32, 16], expected 2 numbers"),
        (["detect.canvas=32"], "detect.canvas = 32, expected at least model.resolution = 64"),
        (["detect.head=yolo4"], "did you mean"),
        (["detect.head=yolo_single", "detect.strides=[32,16]"], "the head yolo_single takes one stride"),
        (["detect.head=centroid", "detect.strides=[16,8]"], "the head centroid takes one stride"),
        (["detect.depth=2", "detect.canvas=32"], "detect.canvas = 32, expected at least model.resolution = 64"),
        (
            ["detect.strides=[32,8]"],
            "detect.strides = [32, 8], expected the largest first, and each to be twice the next one",
        ),
        (["detect.strides=[16,32]"], "detect.strides = [16, 32], expected the largest first"),
        (["detect.anchors=none"], "detect.anchors has 0 numbers, expected 12"),
        (
            ["detect.head=centroid", "detect.anchors=[8,8]"],
            "the head centroid has no anchors, received detect.anchors = [8.0, 8.0], expected none",
        ),
        (["detect.head=yolo3", "detect.fuse=add"], "the head yolo3 joins its scales by concat"),
    ],
)
def test_what_a_detector_cannot_be_trained_with_is_one_sentence(tree, tmp_path, capsys, words, sentence):
    with pytest.raises(UserError) as refused:
        train(tree, tmp_path / "run", *words)
    assert "chosen for the task" not in capsys.readouterr().err  # as nothing is
    assert sentence in str(refused.value)
    assert len(str(refused.value).splitlines()) == (3 if "detect.depth=2" in words else 1)  # both, and a line above
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["augment.iou_crop=true"], "the task classify cannot be trained with augment iou_crop"),
        (["augment.expand=0.5"], "the task classify cannot be trained with augment expand"),
        (["augment.mix_off_epochs=5"], "the task classify cannot be trained with augment mix_off_epochs"),
        (["detect.gain=2", "detect.nms=0.5"], "the task classify does not read detect.gain, detect.nms"),
    ],
)
def test_what_only_a_detector_has_is_refused_for_classes(tmp_path, words, sentence):
    with pytest.raises(UserError) as refused:
        fit.fit(configs.load(None, ["data.spec=digits", *SMALL, *words]), tmp_path / "run")
    assert sentence in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_damaged_picture_is_told_before_the_resolution_is_looked_for(tree, tmp_path):
    class Board:
        def largest(self, *_):
            pytest.fail("looked for a resolution")

    root = shutil.copytree(tree, tmp_path / "voc")
    (root / "JPEGImages" / "train_00.png").write_bytes(b"no picture")
    words = [word for word in SHORT if not word.startswith("model.resolution")]
    with pytest.raises(UserError, match="1 of 28 files cannot be read as images"):
        fit.fit(configs.load(None, [f"data.spec=voc:{root}", *words]), tmp_path / "run", fit_check=Board())


@pytest.mark.long
def test_val_images_without_a_box_are_refused_and_test_images_without_one_are_told(tmp_path, capsys):
    root = squares(tmp_path / "voc", {"train": 6, "val": 2, "test": 2})
    for path in (root / "Annotations").glob("test_*.xml"):
        path.write_text(voc_xml([], (64, 64), f"{path.stem}.png"))
    run = train(root, tmp_path / "run", "optim.epochs=1", *SMALLER)
    assert run.metrics()["test"]["ap50"] is None
    useless = run.metrics()["val"]["f1"]  # after one epoch
    assert useless < 0.5
    assert (
        f"the network makes more than two errors for each object that it finds in the val images (F1 {useless:.2f})"
        in (capsys.readouterr().err)
    )
    line = tasks.of(run.config(), list(COLORS)).line(run.folder, run.metrics())
    assert "no boxes in 2 test images" in line
    for path in (root / "Annotations").glob("val_*.xml"):
        path.write_text(voc_xml([], (64, 64), f"{path.stem}.png"))
    with pytest.raises(UserError, match="none of the 2 val images has a box to be found, to choose the best epoch by"):
        train(root, tmp_path / "other", "optim.epochs=1")
    assert not (tmp_path / "other").exists()
