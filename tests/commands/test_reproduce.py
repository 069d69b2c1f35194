"""`tinytrain reproduce`: tables of runs written by hand, what stands for what, figures, and a real small run."""

import copy
import csv
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special
import scipy.stats
from matplotlib.container import BarContainer, ErrorbarContainer
from PIL import Image
from readmes import unexplained

from tinytrain.commands import reproduce
from tinytrain.config import load as configs
from tinytrain.errors import UserError
from tinytrain.experiments import results_table
from tinytrain.experiments.papers import bars_chart, charts, mixup_chart, order, record, results, scaling, tables
from tinytrain.experiments.papers.reproduction import Reproduction
from tinytrain.experiments.planned import Planned
from tinytrain.run import Run

TABLE = """# A table.
title = "two rates"
paper = "003"
tables = [99]
claim = "high beats low."
base = "digits.toml"
columns = ["test_top1", "last_val_loss", "val_top1@10", "ap50:voc"]
figures = ["accuracy", "rates", "mixup", "classes"]

[set.optim]
epochs = 10
batch = 32
schedule = "constant"

[arms.low]
set.optim.lr = 0.02
paper = { test_top1 = 50.0, last_val_loss = 2.5, "val_top1@10" = 49.0, "ap50:voc" = 20.0 }

[arms."a high one"]
set.optim.lr = 0.2
paper = { test_top1 = 52.0, last_val_loss = 2.25, "val_top1@10" = 51.5 }

[arms.unknown]
set.optim.lr = 0.4
"""


@pytest.fixture
def table_file(tmp_path):
    path = tmp_path / "seed003_table99.toml"
    path.write_text(TABLE)
    return path


def fake(folder, config, top1, val_top1=(0.1, 0.2), images=1000):
    """Writes what a finished run of `config` leaves, with the given figures."""
    folder.mkdir(parents=True)
    run = Run(folder)
    run.config_path.write_text(configs.dump(config))
    rows = [
        {"epoch": n, "loss": 2 / n, "top1": 0.1, "val_loss": 3 / n, "val_top1": v, "lr": 0.1, "seconds": 1800.0}
        for n, v in enumerate(val_top1, 1)
    ]
    run.write_history(rows)
    names = {"train": ["a"] * 70, "val": ["b"] * 10, "test": ["c"] * images}
    run.split_path.write_text(json.dumps(names))
    metrics = {"top1": top1, "map": top1, "images": images}
    result = {"val": {"top1": val_top1[-1]}, "test": metrics, "params": 1, "macs": 1, "epochs": len(rows)}
    run.metrics_path.write_text(json.dumps(result | {"best_epoch": 1}))
    run.model_path.write_text("")


@pytest.fixture
def reproduced(tmp_path, table_file):
    """Returns a function from {arm: test top-1 of each seed} to the reproduction with such runs."""

    def make(tops, images=1000):
        table, finished, full_size = tables.load(str(table_file)), [], {}
        for label, values in tops.items():
            (arm,) = [arm for arm in table.arms if arm.label == label]
            for seed, top1 in enumerate(values):
                config_at_full_size = tables.config_of(table, arm, "digits", "digits", {}, seed)
                config = scaling.scaled(config_at_full_size, scaling.Scale(0.2, 1), 1000, 100, 10)
                folder = tmp_path / "out" / arm.folder / "digits" / f"seed{seed}"
                fake(folder, config, top1, images=images)
                full_size[folder] = config_at_full_size
                finished.append(Planned(label, "digits", seed, config, folder, table_file, []))
        return Reproduction(table, finished, full_size, {"digits": "digits"})

    return make


def test_the_paper_stands_beside_ours_with_the_difference(reproduced, tmp_path):
    reproduction = reproduced({"low": [0.4, 0.42], "a high one": [0.45, 0.43]})
    rows = results.rows(reproduction)
    first = rows[0]
    assert (first["arm"], first["column"], first["paper"], first["seeds"]) == ("low", "test_top1", 50.0, 2)
    assert first["ours"] == pytest.approx(41)
    assert first["deviation"] == pytest.approx(2**0.5)
    assert first["difference"] == pytest.approx(-9)
    text = results.as_markdown(reproduction, rows, ["a note"])
    assert "**Paper 003, Table 99: two rates**" in text
    assert "| low | test top-1 % | 50.00 | 41.00 ± 1.41 | -9.00 | 2 |" in text
    assert "| a high one | val loss, last epoch | 2.2500 | 1.5000 ± 0.0000 | -0.7500 | 2 |" in text
    assert "| low | val top-1 %, epoch 10 | 49.00 | 20.00 ± 0.00 | -29.00 | 2 |" in text  # its epoch 2 of 2
    assert "| low | AP50 % (101 points), voc | 20.00 | not run |  |  |" in text
    assert "unknown" not in text  # neither the paper nor we have a figure
    assert "2 of 10 epochs, 70 training, 10 val and 1,000 test images of digits" in results.training_note(reproduction)
    assert "ours is of epoch" not in text
    results_table.write_csv(tmp_path / "table.csv", rows)
    read = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [float(row["difference"]) for row in read[:2]] == [pytest.approx(-9), pytest.approx(-1)]
    assert read[3]["ours"] == ""


@pytest.mark.parametrize(
    ("tops", "verdict"),
    [
        # By hand, differences 5 and 1: 3 ± 12.706 · 2.8284 / √2.
        (
            {"low": [0.40, 0.42], "a high one": [0.45, 0.43]},
            "ours +3.00 ± 2.83 (2 seeds): cannot be told apart (95 % interval -22.41 to +28.41)",
        ),
        # 5, 4 and 6: 5 ± 4.3027 · 1 / √3.
        (
            {"low": [0.40, 0.42, 0.41], "a high one": [0.45, 0.46, 0.47]},
            "ours +5.00 ± 1.00 (3 seeds): same sign (95 % interval +2.52 to +7.48)",
        ),
        (
            {"low": [0.45, 0.46, 0.47], "a high one": [0.40, 0.42, 0.41]},
            "ours -5.00 ± 1.00 (3 seeds): other sign (95 % interval -7.48 to -2.52)",
        ),
        (
            {"low": [0.40, 0.42], "a high one": [0.43, 0.45]},
            "ours +3.00 ± 0.00 (2 seeds): nothing can be said (all seeds differ by the same)",
        ),
    ],
)
def test_the_order_is_told_by_the_interval_of_paired_differences(reproduced, tops, verdict):
    text = "\n".join(order.paragraphs(reproduced(tops)))
    assert f"- a high one against low: paper +2.00, {verdict}" in text.splitlines()
    judgment = verdict.rpartition(": ")[2].partition(" (")[0]
    if judgment != "nothing can be said":
        assert f"Of 1 pair of arms: 1 {judgment}." in text


def test_a_comparison_has_its_numbers(reproduced):
    (row,) = order.comparisons(reproduced({"low": [0.40, 0.42, 0.41], "a high one": [0.45, 0.46, 0.47]}))
    assert (row["arm"], row["against"], row["seeds"], row["verdict"][:9]) == ("a high one", "low", 3, "same sign")
    numbers = [row[name] for name in ("paper", "ours", "deviation", "low", "high")]
    assert numbers == pytest.approx([2, 5, 1, 2.516, 7.484], abs=1e-3)  # 5 ± 4.3027 · 1 / √3


def test_what_a_table_says_is_kept_for_programs(reproduced):
    reproduction = reproduced({"low": [0.40, 0.42, 0.41], "a high one": [0.45, 0.46, 0.47]})
    for planned in reproduction.finished:
        Run(planned.folder).origin_path.write_text(json.dumps({"classes": list("abcd")}))
    runs = [{"commits": "abc1234"}, {"commits": "abc1234 def5678"}]
    said = record.of(reproduction, {"scale": "0.2,1", "planned": 7}, runs)
    assert (said["table"], said["column"]) == ("seed003-table99", "test top-1 %")
    assert (said["scale"], said["planned"], said["finished"]) == ("0.2,1", 7, 2)
    assert said["commits"] == ["abc1234", "def5678"]
    assert said["comparisons"] == order.comparisons(reproduction)
    assert (said["best"], said["chance"]) == (pytest.approx(46), 25)
    of_loss = dataclasses.replace(reproduction.table, order="last_val_loss")
    without_top1 = record.of(dataclasses.replace(reproduction, table=of_loss), {}, runs)
    assert (without_top1["best"], without_top1["chance"]) == (None, None)


def test_one_seed_says_nothing_of_the_order(reproduced):
    reproduction = reproduced({"low": [0.40], "a high one": [0.60], "unknown": [0.5]})
    (row,) = order.comparisons(reproduction)
    assert [row[name] for name in ("deviation", "low", "high")] == [None] * 3
    text = "\n".join(order.paragraphs(reproduction))
    assert "- a high one against low: paper +2.00, ours +20.00 (one seed): nothing can be said" in text
    assert "With one seed nothing can be said about the order of the arms." in text
    assert "sign" not in text
    assert "correlation" not in text


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_without_a_true_difference_none_is_shown_in_95_of_100_cases(seeds):
    # Two arms of the same accuracy, seeds and test images that move both: what an independent simulation gives.
    random = np.random.default_rng(seeds)
    common = random.normal(50, 3, (4000, seeds))
    first, second = (common + random.normal(0, 1.5, (4000, seeds)) for _ in range(2))
    verdicts = [order.verdict(list(row), 1.3).partition(" (")[0] for row in first - second]
    share = verdicts.count("cannot be told apart") / len(verdicts)
    assert share == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / 4000) ** 0.5)  # three standard errors
    assert set(verdicts) == {"cannot be told apart", "same sign", "other sign"}


def test_a_true_difference_is_shown_with_its_sign():
    random = np.random.default_rng(0)
    verdicts = [order.verdict(list(row), 1.0).partition(" (")[0] for row in random.normal(-4, 1, (1000, 5))]
    assert verdicts.count("other sign") / len(verdicts) > 0.99
    assert "same sign" not in verdicts


def test_no_difference_is_no_sign():
    assert order.verdict([0.0, 0.0], 1.5) == "cannot be told apart (no difference in any seed)"
    assert order.verdict([0.0], 1.5) == "nothing can be said"
    assert order.verdict([1.0, 2.0], 0) == "the paper has no difference"


def test_nothing_is_said_of_the_order_of_one_arm(reproduced):
    assert order.paragraphs(reproduced({"low": [0.4]})) == []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], 1),
        ([1, 2, 3], [3, 2, 1], -1),
        ([1, 2, 2, 4], [1, 3, 2, 4], 0.9487),
        ([1, 2], [5, 5], 0),
    ],
)
def test_spearman(first, second, expected):  # the third by hand: ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4
    assert order.spearman(first, second) == pytest.approx(expected, abs=1e-4)


def test_figures_are_drawn(reproduced, tmp_path):
    reproduction = reproduced({"low": [0.4, 0.42], "a high one": [0.45]})
    paths = charts.write(reproduction.table, reproduction.finished, tmp_path / "figures")
    assert [path.name for path in paths] == ["accuracy.png", "rates.png", "mixup.png", "classes.png"]
    for path in paths:
        image = np.asarray(Image.open(path).convert("RGB"))
        assert min(image.shape[:2]) > 300
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20  # more than an empty frame


def test_accuracy_in_training_stands_beside_that_on_val_and_the_gap_between_them(reproduced):
    """The runs end at 0.1 in training, and at 0.1 and 0.2 on val after the two epochs."""
    reproduction = reproduced({"low": [0.4, 0.42]})
    val, training = charts.accuracy(reproduction.table, reproduction.finished).axes
    assert [axes.lines[0].get_ydata().tolist() for axes in (val, training)] == [[10, 20], [10, 10]]
    assert (val.get_title().partition("), ")[2], training.get_title()) == ("on val", "in training")
    (axes,) = charts.gap(reproduction.table, reproduction.finished).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0, -10])


def test_the_shares_of_mixup_that_are_drawn_follow_their_density():
    shares = mixup_chart.drawn_shares(0.2, 300)
    assert scipy.stats.kstest(shares, scipy.stats.beta(0.2, 0.2).cdf).pvalue > 0.01
    assert scipy.stats.kstest(shares, scipy.stats.beta(1.0, 1.0).cdf).pvalue < 1e-6


def test_images_are_mixed_with_alpha_a_half_and_shares_drawn_with_that_of_the_arm(reproduced, monkeypatch):
    """Paper 003, Figures 8 and 9: x = λ·a + (1 − λ)·b with λ of Beta(½, ½); the arm is trained with α = 0.2."""
    alphas = []
    plain = mixup_chart.Augmentation

    def recorded(augment, side):
        alphas.append(augment.mixup)
        return plain(augment, side)

    monkeypatch.setattr(mixup_chart, "Augmentation", recorded)
    finished = reproduced({"low": [0.4], "a high one": [0.5]}).finished
    finished[1].config.augment.mixup = 0.2
    figure = mixup_chart.draw(None, finished)
    assert alphas == [0.5, 0.2]
    *panels, density = figure.axes
    pictures = np.array([panel.images[0].get_array() for panel in panels]).reshape(5, 6, 32, 32).astype(float)
    names = [panel.get_title() for panel in panels[:6]]
    assert len(set(names)) == 6
    for number, panel in enumerate(panels[6:], 6):
        shares = [line.split(" ") for line in panel.get_title().splitlines()]
        shares = [("1", *each) for each in shares] if len(shares) == 1 else shares
        expected = sum(float(share) * pictures[0, names.index(name)] for share, name in shares)
        np.testing.assert_allclose(pictures.reshape(30, 32, 32)[number], expected, atol=3)  # shares to 2 digits of 255
    (line,) = [line for line in density.lines if line.get_linewidth() == 2.5]
    x = line.get_xdata()
    assert line.get_label() == "α = 0.2"
    np.testing.assert_allclose(line.get_ydata(), (x * (1 - x)) ** -0.8 / scipy.special.beta(0.2, 0.2), rtol=1e-9)
    assert "2,000 λ that were drawn, α = 0.2" in density.get_legend_handles_labels()[1]


def test_trainings_of_several_lengths_are_a_curve(reproduced):
    reproduction = reproduced({"low": [0.4, 0.42], "a high one": [0.5]})
    arms = [dataclasses.replace(arm, curve="plain") for arm in reproduction.table.arms]
    table = dataclasses.replace(reproduction.table, arms=arms)
    longer = [dataclasses.replace(run, config=copy.deepcopy(run.config)) for run in reproduction.finished]
    for run in longer:
        run.config.optim.epochs = 20 if run.name == "low" else 10
    (axes,) = charts.epochs(table, longer).axes
    (line,) = axes.lines
    assert line.get_xdata().tolist() == [10, 20]
    np.testing.assert_allclose(line.get_ydata(), [50, 41])


def test_the_papers_bars_stand_beside_ours_with_a_panel_for_each_baseline(reproduced):
    reproduction = reproduced({"low": [0.4, 0.42], "a high one": [0.5]})
    low, high, unknown = reproduction.table.arms
    table = dataclasses.replace(reproduction.table, arms=[low, high, dataclasses.replace(unknown, against="unknown")])
    first, second = bars_chart.draw(table, reproduction.finished).axes
    assert [text.get_text() for text in first.get_xticklabels()] == ["low", "a high one"]
    assert [text.get_text() for text in second.get_xticklabels()] == ["unknown"]
    heights = [[bar.get_height() for bar in bars] for bars in first.containers if isinstance(bars, BarContainer)]
    assert heights == [[50, 52], [pytest.approx(41), pytest.approx(50)]]
    (errors,) = [bars for bars in first.containers if isinstance(bars, ErrorbarContainer)]
    ends = np.array(errors.lines[2][0].get_segments())[:, :, 1]
    np.testing.assert_allclose(ends, [[41 - 2**0.5, 41 + 2**0.5], [50, 50]])  # of two seeds, and of one
    assert [line.get_ydata()[0] for line in first.lines if line.get_linestyle() == ":"] == [50, pytest.approx(41)]
    assert len(second.patches) == 0  # neither the paper nor we have a figure


def test_a_class_or_a_folder_may_look_like_mathematics(reproduced, image_folder, tmp_path):
    reproduction = reproduced({"low": [0.4, 0.42]})
    root = image_folder("$a^$", classes=("$\\x$", "50 % $_$", "Gänseblümchen"), count=20)
    config = configs.load(None, [f"data.spec=folder:{root}"])
    finished = [dataclasses.replace(run, data="$a^$", config=config) for run in reproduction.finished]
    paths = charts.write(reproduction.table, finished, tmp_path / "figures")
    assert all(path.stat().st_size > 5000 for path in paths)


def test_every_dataset_has_a_panel_of_its_classes(reproduced, image_folder):
    reproduction = reproduced({"low": [0.4], "a high one": [0.45]})
    spec = f"folder:{image_folder(count=20)}"
    other = [
        dataclasses.replace(planned, data="images", config=configs.load(None, [f"data.spec={spec}"]))
        for planned in reproduction.finished
    ]
    drawn = charts.classes(reproduction.table, reproduction.finished + other)
    titles = [axes.get_title() for axes in drawn.axes]
    assert titles == ["Classes of digits", "Classes of images"]
    ticks = [text.get_text() for text in drawn.axes[1].get_xticklabels()]
    assert ticks == ["blue", "green", "red"]
    bars = [bar.get_height() for bar in drawn.axes[1].patches]
    assert bars == pytest.approx([100 / 3] * 9, abs=5)  # twenty images of each class


def test_specs_stand_for_datasets_by_name_then_in_order():
    table = tables.load("002/4")
    places = reproduce.assign(table, ["folder:a", "cars196:b", "folder:c"])
    assert [(place.dataset, place.spec, place.name) for place in places] == [
        ("imagenet2012", "folder:a", "a"),
        ("food101", "folder:c", "c"),
        ("cars196", "cars196:b", "cars196"),
    ]
    assert [place.spec for place in reproduce.assign(table, None)] == tables.papers_data(table)
    with pytest.raises(UserError, match="seed003-table4 uses 1 dataset of the paper"):
        reproduce.assign(tables.load("003/4"), ["digits", "cifar10"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "reproduce needs one TABLE"),
        (["003/4", "--scale", "2"], "--scale 2 is not a scale"),
        (["003/4", "--seeds", "0", "--data", "digits"], "--seeds 0 is out of range: expected a whole number from 1"),
        (["003/4", "--batch", "0", "--data", "digits"], "--batch 0 is out of range: expected a whole number from 8"),
        (["003/4", "--batch", "x"], "--batch x is not a number"),
        (["003/4", "--data", "digits", "--arms", "rate 1"], "no arm of seed003-table4 begins with 'rate 1': expected"),
        (["001/5", "--arms", "large"], "seed001-table5 trains nothing, received --arms"),
        (["002/5", "--data", "digits"], "compares what was measured on food101, oxford_flowers102, cars196"),
        (["001/9", "--data", "cars196:a,cars196:b"], "--data names cars196 twice, cars196:a and cars196:b"),
        (["003/4", "--data", "digits", "optim.lr=1"], "the arms or datasets of seed003-table4 differ in optim.lr"),
        (["001/2", "--data", "digits", "optim.schedule=constant"], "differ in optim.schedule: it cannot be"),
        (["002/4", "--data", "digits", "model.weights="], "differ in model.weights: it cannot be"),
        (
            ["002/4", "--data", "cars196:PATH"],
            "expected a SPEC for imagenet2012 first in --data, received cars196:PATH",
        ),
        (["0034", "--data", "digits"], "unknown table '0034'"),
        (["003/4", "--data", "digits", "--out", "/proc/none"], "cannot make the folder '/proc/none'"),
        (["003/4", "--data", "digits", "seed=1"], "use --seeds N"),
        (["003/4", "--data", "folder:nowhere"], "no folder 'nowhere'"),
        (["002/3", "--data", "imagenet2012:nowhere"], "no folder 'nowhere'"),
        (["000/1", "--data", "imagenet100"], "imagenet100"),
        (["003/4", "--data", "digits", "optim.epoch=1"], "did you mean 'optim.epochs'"),
    ],
)
def test_a_mistake_is_one_sentence_and_trains_nothing(command_line, tmp_path, words, sentence):
    status, out, error = command_line("reproduce", *words)
    assert (status, out) == (2, "")
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("config.toml"))


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        (["rate 0.5"], ["rate 0.05", "rate 0.5"]),  # the first is what all are compared to
        (["RATE 0.01", "rate 0.0"], ["rate 0.05", "rate 0.01"]),
    ],
)
def test_some_arms_are_trained_with_those_they_are_compared_to(words, taken):
    assert [arm.label for arm in tables.only(tables.load("003/4"), words).arms] == taken


def test_an_arm_that_learns_takes_its_teacher_along():
    table = tables.only(tables.load("002/2"), ["mobilenetv3 0.35, d"])
    assert [arm.label for arm in table.arms] == ["teacher at 160", "MobileNetV3 0.35", "MobileNetV3 0.35, distillation"]
    with pytest.raises(UserError, match="begins with '': expected the beginning of one of teacher at 160"):
        tables.only(table, [""])


def test_a_folder_names_an_arm_whose_label_has_a_comma():
    table = tables.only(tables.load("002/2"), ["MobileNetV2-Tiny_NetAug"])
    assert [arm.label for arm in table.arms] == ["MobileNetV2-Tiny", "MobileNetV2-Tiny, NetAug"]


def test_another_teacher_stands_for_those_of_the_table(command_line, tmp_path):
    table = tables.only(tables.taught_by(tables.load("002/2"), "/t/seed{seed}"), ["mobilenetv3 0.35"])
    assert [arm.label.partition(", ")[2] for arm in table.arms] == ["", "distillation", "NetAug", "both"]
    learning = [
        tables.config_of(table, arm, "digits", "imagenet2012", {"out": "", "data": "digits"}, 1).distill.teacher
        for arm in table.arms
    ]
    assert learning == ["", "/t/seed1", "", "/t/seed1"]
    with pytest.raises(UserError, match="no arm of seed003-table4 learns from a teacher, received --teacher x"):
        tables.taught_by(tables.load("003/4"), "x")
    (tmp_path / "seed0").mkdir()
    words = ["--data", "digits", "--seeds", "2", "--teacher", str(tmp_path / "seed{seed}")]
    status, _, said = command_line("reproduce", "002/2", *words)
    assert status == 2
    assert f"--teacher: no '{tmp_path / 'seed1'}': expected the folder of a run or a .keras file" in said


def test_a_run_of_another_scale_is_refused(command_line, table_file, tmp_path):
    table = tables.load(str(table_file))
    whole = tables.config_of(table, table.arms[0], "digits", "digits", {}, 0)
    fake(tmp_path / "out/low/digits/seed0", whole, 0.4)
    status, _, error = command_line("reproduce", table_file, "--scale", "0.5,1", "--out", "out")
    assert status == 2
    assert "optim.epochs = 5: it was started with 10" in error


def test_images_are_not_enlarged_and_texts_say_what_was_done(table_file, image_folder, monkeypatch, tmp_path):
    trained = []

    def train_all(plan, path, tabled):
        trained.extend(plan)
        raise UserError("enough")

    monkeypatch.setattr(reproduce.runs, "train_all", train_all)
    spec = f"folder:{image_folder(count=40)}"
    with pytest.raises(UserError, match="enough"):
        reproduce.reproduce("002/7", [spec], "0.1,0.5", 2, tmp_path / "out", ["model.width=0.2"], batch=64)
    assert [(planned.name, planned.seed) for planned in trained[:2]] == [("plain", 0), ("weight decay 1e-5", 0)]
    assert len(trained) == 14
    config = trained[0].config
    assert (config.model.resolution, config.model.width, config.optim.epochs) == (16, 0.2, 16)
    assert (config.optim.batch, config.optim.lr) == (64, pytest.approx(0.0125))
    of_256 = next(planned.config for planned in trained if planned.name == "batch 256")
    assert (of_256.optim.batch, of_256.optim.lr) == (8, pytest.approx(0.05 / 32))
    assert config.data.train_images == round(0.5 * (3 * 40 - 24 - 3))  # 8 of each for test and 1 for val


def planned(monkeypatch, name, data, scale=None, **options):
    """Returns the runs that `reproduce` would train."""
    trained = []
    monkeypatch.setattr(reproduce.runs, "train_all", lambda plan, path, finished: trained.extend(plan))
    reproduce.reproduce(name, data, scale, **options)
    return trained


def test_what_stands_in_place_of_the_papers_data_is_split_as_it_comes(image_folder, monkeypatch):
    second = f"folder:{image_folder(count=40)}"
    # in place of Pets and of DTD, which has a split of its own
    plan = planned(monkeypatch, "001/9", ["digits", second])
    assert {run.config.data.split for run in plan} == {"auto"}
    table = tables.load("001/9")
    assert tables.config_of(table, table.arms[0], "dtd", "dtd", {}, 0).data.split == "paper"


def test_words_about_the_data_come_before_the_scale(image_folder, monkeypatch, tmp_path):
    root = image_folder(count=40)
    (root / "red" / "broken.png").write_bytes(b"no image")
    Image.new("RGB", (16, 12)).save(root / "blue" / "flat.png")
    words = ["data.skip_bad=true", "data.resize=crop", "data.val_fraction=0.4"]
    (run, *_) = planned(monkeypatch, "003/4", [f"folder:{root}"], "1,0.5", overrides=words)
    train = 121 - 24 - 39  # a fifth of each class is for test, 0.4 of what is left for val
    assert run.config.data.train_images == pytest.approx(train / 2, abs=1)


def test_a_number_of_images_is_that_of_the_full_size(monkeypatch):
    (run, *_) = planned(monkeypatch, "003/4", ["digits"], "0.1,0.1", overrides=["data.train_images=1000"])
    assert run.config.data.train_images == 100


def test_other_datasets_begin_from_the_first_one(monkeypatch, image_folder, tmp_path):
    path = tmp_path / "seed002_table98.toml"
    path.write_text(
        TABLE.replace('["test_top1", "last_val_loss", "val_top1@10", "ap50:voc"]', '["test_top1"]')
        .replace('figures = ["accuracy", "rates", "mixup", "classes"]', 'data = ["digits", "cifar10"]')
        .replace(
            "[set.optim]", '[datasets.cifar10.set.model]\nweights = "{out}/{arm}/{first}/seed{seed}"\n\n[set.optim]'
        )
        .replace("last_val_loss = 2.5, ", "")
        .replace(', "val_top1@10" = 49.0, "ap50:voc" = 20.0', "")
        .replace(', last_val_loss = 2.25, "val_top1@10" = 51.5', "")
    )
    spec = f"folder:{image_folder(count=40, mode='L')}"
    plan = planned(monkeypatch, str(path), ["digits", spec], seeds=2, out=tmp_path / "out")
    weights = {(run.name, run.data, run.seed): run.config.model.weights for run in plan}
    for seed in (0, 1):
        assert weights["a high one", "digits", seed] == ""
        assert weights["a high one", "images", seed] == str(tmp_path / f"out/a_high_one/digits/seed{seed}")


def planned_scale(monkeypatch, table_name, words=()):
    """Returns the widths and the epochs that `reproduce --scale 0.0625` would train, and how it is said."""
    said = {}

    def no_training(plan, *_):
        said["runs"] = {(planned.config.model.width, planned.config.optim.epochs) for planned in plan}
        raise UserError("enough")

    def results(out, reproduction, notes, settings):
        said["notes"] = notes
        return SimpleNamespace(update=None, runs=[])

    monkeypatch.setattr(reproduce.runs, "train_all", no_training)
    monkeypatch.setattr(reproduce.results, "Results", results)
    with pytest.raises(UserError, match="enough"):
        reproduce.reproduce(str(table_name), ["digits"], "0.0625", overrides=list(words))
    return said["runs"], said["notes"]


def test_one_share_leaves_all_images_and_takes_from_epochs_and_width(monkeypatch, table_file):
    runs, notes = planned_scale(monkeypatch, table_file)
    assert runs == {(0.125, 2)}  # a quarter of 10 epochs, to even, and half of the width of configs/digits.toml
    assert notes[0] == ("Scaled to about 0.0625 of the work: 0.25 of the epochs and 0.5 of the width, on all images.")
    assert "--scale 0.0625 --seeds 1" in notes[-1]


def test_a_network_with_published_weights_keeps_its_width(monkeypatch, table_file):
    table_file.write_text(TABLE.replace("[set.optim]", '[set.model]\nweights = "imagenet"\n\n[set.optim]'))
    runs, notes = planned_scale(monkeypatch, table_file)
    assert {epochs for _, epochs in runs} == {1}  # of 0.625
    assert not any("of the width" in note for note in notes)
    assert notes[0] == "Scaled: 0.0625 of the epochs and 1 of the training images."
    runs, _ = planned_scale(monkeypatch, table_file, ["model.weights="])
    assert runs == {(0.125, 2)}


@pytest.mark.long
def test_a_table_is_trained_goes_on_and_prints_itself(command_line, table_file, tmp_path):
    words = [
        "reproduce",
        table_file,
        "--data",
        "digits",
        "--scale",
        "0.1,0.2",
        "--out",
        "out",
        "--json",
        "model.width=0.25",
    ]
    status, out, error = command_line(*words)
    assert status == 0, error
    result = json.loads(out.splitlines()[-1])
    assert (result["table"], result["out"]) == ("seed003-table99", "out")
    for label, folder in [("low", "low"), ("a high one", "a_high_one")]:
        metrics = json.loads((tmp_path / f"out/{folder}/digits/seed0/metrics.json").read_text())
        (row,) = [row for row in result["rows"] if (row["arm"], row["column"]) == (label, "test_top1")]
        assert row["ours"] == pytest.approx(100 * metrics["test"]["top1"])
    assert "Scaled: 0.1 of the epochs and 0.2 of the training images." in out
    assert "1 of 10 epochs, 259 training" in out  # a fifth of the 1,295 that are left of 1,797
    assert (tmp_path / "out/table.md").read_text().strip() == out.rpartition("\n{")[0].strip()
    assert unexplained(tmp_path / "out") == []
    said = json.loads((tmp_path / "out/table.json").read_text())
    assert [said[name] for name in ("scale", "data", "seeds", "budget", "planned", "finished")] == [
        *("0.1,0.2", ["digits"], 1, "epochs", 3, 3)
    ]
    assert (said["comparisons"], said["chance"]) == (result["comparisons"], 10)
    assert f"`{said['command']}`" in out
    assert sorted(path.name for path in (tmp_path / "out/figures").iterdir()) == [
        "accuracy.png",
        "classes.png",
        "mixup.png",
        "rates.png",
    ]
    run = tmp_path / "out/a_high_one/digits/seed0"
    (run / "metrics.json").unlink()  # as if it had been killed at its very end
    before = (tmp_path / "out/low/digits/seed0/model.keras").stat().st_mtime_ns
    assert command_line(*words)[:2] == (0, out)
    assert (tmp_path / "out/low/digits/seed0/model.keras").stat().st_mtime_ns == before
