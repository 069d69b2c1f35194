"""The estimate of `tinytrain list configs`: its arithmetic by hand, and how far a short training is from it."""

import pytest

from tinytrain.cli.lists import configs as config_table
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.experiments.papers import cost, tables
from tinytrain.nn import macs

# MobileNetV1 for CIFAR-100 (methods.md B.1): 46.447 M MACs, of which the depthwise ones by hand, side² · 9 · channels.
DEPTHWISE = 9 * (32**2 * 32 + 16**2 * (64 + 128) + 8**2 * (128 + 256) + 4**2 * (256 + 512 * 5) + 2**2 * (512 + 1024))
ALL = 46_446_592


def test_a_step_costs_what_its_macs_say():
    table = tables.load("003/4")
    config = tables.config_of(table, table.arms[0], "cifar100", "cifar100", {}, 0)
    expected = 5.9e-4 + 8.0e-11 * (ALL - DEPTHWISE) + 1.15e-9 * DEPTHWISE
    assert cost.seconds_per_image(config, 100) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", plugins.names("models"))
def test_every_architecture_is_counted(name):
    dense, depthwise, features = cost._macs(name, ())
    defaults = plugins.load("models", name).DEFAULTS
    model = plugins.load("models", name).build(**{"channels": 3, "stem": "imagenet"} | defaults | {"classes": 7})
    assert dense + depthwise + 7 * features == macs.count(model)
    assert (depthwise == 0) == name.startswith("resnet")


def test_the_hours_are_epochs_times_images_times_arms():
    table = tables.load("003/4")
    config = tables.config_of(table, table.arms[0], "cifar100", "cifar100", {}, 0)
    image = cost.seconds_per_image(config, 100)
    assert cost.hours(table) == pytest.approx(3 * 15 * (40_000 + 10_000 / 3) * image / 3600)


def test_a_teacher_of_the_table_answers_for_its_students():
    table = tables.load("002/2")
    every = {arm.label: config for arm, config in tables.every_config(table)}
    taught, teacher = every["MobileNetV2-Tiny, distillation"], every["teacher at 144"]
    epochs, train = taught.optim.epochs, cost._images(taught)[0]
    forward = cost.seconds_per_image(teacher, 1000) / 3
    alone = cost.seconds(taught, epochs)
    assert cost.seconds(taught, epochs, teacher) - alone == pytest.approx(epochs * train * forward)
    plain = sum(cost.seconds(config, config.optim.epochs) for config in every.values()) / 3600
    assert cost.hours(table) - plain > 20_000  # of ResNet50's answers, in hours


def test_methods_and_searches_cost_more():
    words = ["data.spec=cifar10", "data.val_images=5000", "model.name=mobilenet_v1", "model.resolution=32"]
    plain, sam, dml_sam, tpe = (
        cost.seconds(configs.load(None, [*words, *more]), 10)
        for more in ([], ["method=sam"], ["method=dml+sam"], ["search.algorithm=tpe"])
    )
    image = cost.seconds_per_image(configs.load(None, words), 10)
    epoch = (45_000 + 5_000 / 3) * image
    assert plain == pytest.approx(10 * epoch)
    assert sam - plain == pytest.approx(10 * 45_000 * image)
    one, three = (
        cost.seconds(configs.load(None, [*words, "method=netaug", f"netaug.networks={count}"]), 10) for count in (1, 3)
    )
    assert three - plain == pytest.approx(3 * (one - plain))
    assert dml_sam - plain == pytest.approx(3 * 10 * 45_000 * image)
    assert tpe - plain == pytest.approx(15 * 6 * epoch)


@pytest.mark.parametrize(
    ("words", "train", "val"),
    [
        (["data.spec=cifar100", "data.val_fraction=0.2"], 40_000, 10_000),
        (["data.spec=imagenet2012", "data.val_fraction=0.01"], 1_268_355, 12_812),
        (["data.spec=dtd", "data.split=paper"], 4_344, 482),  # of 4,826 (methods.md C.10)
        (["data.spec=oxford_flowers102", "data.split=trainval"], 1_836, 204),  # of 2,040 (A.8)
        (["data.spec=oxford_flowers102"], 1_020, 1_020),
    ],
)
def test_the_images_are_those_of_the_split(words, train, val):
    assert cost._images(configs.load(None, words)) == (pytest.approx(train, abs=1), pytest.approx(val, abs=1))


def test_the_list_shows_paper_table_and_hours(monkeypatch):
    monkeypatch.setattr(cost, "_macs", lambda name, options: (10**7, 10**6, 1000))
    rows = config_table.rows()
    (row,) = [row for row in rows if row["name"] == "seed003-table10"]
    assert (row["paper"], row["tables"], row["runs"]) == ("003", [8, 9, 10], 3)
    lines = config_table.as_text(rows)
    line = next(line for line in lines if line.startswith("seed003-table10"))
    assert line.split()[1:5] == ["003", "8,", "9,", "10"]
    assert f"{row['core_hours']:.0f}" in line
    assert row["ran"].split(" + ") == tables.load("003/10").ran
    for name, ran in {table.name: table.ran for table in map(tables.load_file, tables.folder().glob("*.toml"))}.items():
        assert ran or "  never  " in next(line for line in lines if line.startswith(f"{name} "))
    runs = "scale 0.5; 3 seeds; a; commit 1234567 + scale 0.1; 1 seed; b; commit 1234567"
    one, two = (config_table.as_text([row | {"ran": ran}])[1] for ran in (runs.split(" + ")[0], runs))
    assert ("  scale 0.5; 3 seeds  " in one, "  scale 0.5; 3 seeds + 1  " in two) == (True, True)
    assert next(row for row in rows if row["name"] == "digits")["ran"] == ""
    names = [row["name"] for row in rows]
    assert names.index("seed001-table2") < names.index("seed001-table10") < names.index("digits")
    assert next(row for row in rows if row["name"] == "digits")["core_hours"] is None
    assert sum(row["paper"] != "" for row in rows) == len(list(tables.folder().glob("*.toml")))
