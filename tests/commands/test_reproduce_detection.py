"""`tinytrain reproduce` on pictures with boxes: what stands for what, smaller ones, the figure, a small training."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.helpers import box_trees
from tinytrain.commands import reproduce
from tinytrain.config import load as configs
from tinytrain.errors import UserError
from tinytrain.experiments.papers import charts, tables
from tinytrain.experiments.planned import Planned
from tinytrain.run import Run

TABLE = """# A figure.
title = "two sizes"
paper = "002"
figure = 9
base = "digits.toml"
data = ["cifar10", "voc0712"]
columns = ["test_top1:cifar10", "ap50_voc07:voc0712"]
order = "ap50_voc07:voc0712"
figures = ["macs", "accuracy", "rates"]

[arms.backbone]
datasets = ["cifar10"]
set.model = { name = "mobilenet_v1", width = 0.1, resolution = 32 }
set.optim = { epochs = 1, batch = 8 }

[arms.plain]
base = "detect/mobilenet_v2_voc0712.toml"
against = "plain"
datasets = ["voc0712"]
resolutions = [32, 64]
set.detect.channels = 8
set.model = { name = "mobilenet_v1", width = 0.1, weights = "{out}/backbone/{first}/seed{seed}" }
set.optim = { epochs = 1, drops = "none", schedule = "constant", warmup_epochs = 0, batch = 8 }
"""


@pytest.fixture
def voc(tmp_path):
    """24 pictures of 64x64 with a box each."""
    boxes = {f"p{n:02}": ((64, 64), [("cat" if n % 2 else "dog", n, 2, n + 24, 40)]) for n in range(24)}
    return f"voc:{box_trees.write_voc(tmp_path / 'boxes', boxes)}"


@pytest.fixture
def table_file(tmp_path):
    path = tmp_path / "seed002_figure9.toml"
    path.write_text(TABLE)
    return path


def planned(monkeypatch, name, data, scale=None, **options):
    """Returns the runs that `reproduce` would train."""
    trained = []
    monkeypatch.setattr(reproduce.runs, "train_all", lambda plan, path, finished: trained.extend(plan))
    reproduce.reproduce(name, data, scale, **options)
    return trained


def test_boxes_stand_for_boxes_and_classes_for_classes():
    table = tables.load("seed002-table4-detection")
    places = reproduce.assign(table, ["voc:b", "folder:a"])
    assert [(place.dataset, place.spec) for place in places] == [("imagenet2012", "folder:a"), ("voc0712", "voc:b")]
    places = reproduce.assign(table, ["coco2017:c", "yolo:b", "imagenet2012"])
    assert [place.spec for place in places] == ["imagenet2012", "yolo:b", "coco2017:c"]
    with pytest.raises(
        UserError, match=r"expected a SPEC for imagenet2012 first in --data, received voc:b; imagenet2012 itself"
    ):
        reproduce.assign(table, ["voc:b"])
    with pytest.raises(
        UserError, match=r"voc:b cannot replace any of the datasets of seed003-table4: .* boxes for none"
    ):
        reproduce.assign(tables.load("003/4"), ["voc:b"])
    with pytest.raises(UserError, match=r"folder:b cannot replace any .* boxes for voc0712, coco2017, .* imagenet2012"):
        reproduce.assign(table, ["folder:a", "folder:b"])


def test_table_4_begins_detectors_from_its_own_networks_and_shrinks_them(monkeypatch, image_folder, voc, tmp_path):
    spec = f"folder:{image_folder(count=20)}"
    plan = planned(monkeypatch, "seed002-table4-detection", [spec, voc], "0.02,1,0.1", out=tmp_path / "out", batch=64)
    by_folder = {(run.name, run.data): run.config for run in plan}
    assert len(plan) == 1 + 10 * 2
    detector, network = by_folder["MobileNetV2 0.35, NetAug", "boxes"], by_folder["MobileNetV2 0.35, NetAug", "images"]
    assert detector.model.weights == str(tmp_path / "out/MobileNetV2_0.35_NetAug/images/seed0")
    assert (network.method, network.model.resolution) == ("netaug", 16)
    assert (detector.method, detector.model.resolution, detector.optim.epochs) == ("", 32, 4)
    assert detector.optim.drops == [pytest.approx(3.2), pytest.approx(3.6)]
    assert detector.detect.anchors[-1] == pytest.approx(326 * 32 / 416)
    assert all(set(run.typed) == set(configs.keys()) for run in plan)  # nothing usual takes their place


def test_pictures_are_not_enlarged_beyond_a_multiple_of_the_stride(monkeypatch, image_folder, voc):
    plan = planned(monkeypatch, "seed002-figure5", [f"folder:{image_folder(count=20)}", voc])
    assert {run.config.model.resolution for run in plan if run.data == "boxes"} == {64}


def fake(folder, config, ap50, macs):
    """Writes what a finished detector leaves."""
    folder.mkdir(parents=True)
    run = Run(folder)
    run.config_path.write_text(configs.dump(config))
    run.metrics_path.write_text(json.dumps({"test": {"ap50_voc07": ap50, "ap50": 0.9}, "macs": macs}))
    run.model_path.touch()


def test_a_curve_holds_the_resolutions_of_an_arm(table_file, tmp_path):
    """Two seeds at 64: 20 and 30 percent, so 25 ± 7.07; what is not at several resolutions is in no curve."""
    table, finished = tables.load(str(table_file)), []
    for label, seed, ap50, macs in [
        ("backbone", 0, 0.5, 7),
        ("plain at 64", 0, 0.2, 4_000_000),
        ("plain at 64", 1, 0.3, 4_000_000),
        ("plain at 32", 0, 0.1, 1_000_000),
    ]:
        (arm,) = [arm for arm in table.arms if arm.label == label]
        config = tables.config_of(table, arm, arm.datasets[0], arm.datasets[0], {}, seed)
        folder = tmp_path / arm.folder / str(seed)
        fake(folder, config, ap50, macs)
        finished.append(Planned(label, "boxes", seed, config, folder, table_file))
    (axes,) = charts.macs(table, finished).axes
    assert (axes.get_title(), axes.get_ylabel()) == ("boxes", "AP50 % (11 points)")
    (curve,) = axes.containers
    assert curve.get_label() == "plain"
    np.testing.assert_allclose(curve.lines[0].get_xydata(), [[1, 10], [4, 25]])
    (bars,) = curve.lines[2]
    np.testing.assert_allclose(np.array(bars.get_segments())[:, :, 1], [[10, 10], [25 - 50**0.5, 25 + 50**0.5]])


def test_a_figure_of_no_runs_is_drawn_empty(table_file):
    assert charts.macs(tables.load(str(table_file)), []).axes[0].get_title() == "nothing was measured yet"


@pytest.mark.long
def test_a_detector_is_trained_at_two_resolutions_from_a_network_of_the_table(
    command_line, table_file, image_folder, voc, tmp_path
):
    words = ["reproduce", table_file, "--data", f"{voc},folder:{image_folder(count=20)}", "--out", "out", "--json"]
    status, out, error = command_line(*words)
    assert status == 0, error
    assert error.count("layers with weights are taken from") == 2
    assert "AP50 by 11 points (VOC 2007) is compared with the paper's" in out
    rows = {(row["arm"], row["column"]): row["ours"] for row in json.loads(out.splitlines()[-1])["rows"]}
    metrics = Run(tmp_path / "out/plain_at_64/boxes/seed0").metrics()
    assert rows["plain at 64", "ap50_voc07:voc0712"] == pytest.approx(100 * metrics["test"]["ap50_voc07"])
    assert ("backbone", "test_top1:cifar10") in rows
    for name in ("macs", "accuracy", "rates"):
        image = np.asarray(Image.open(tmp_path / f"out/figures/{name}.png").convert("RGB"))
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20  # more than an empty frame
    assert command_line(*words)[:2] == (0, out)  # nothing is trained again
