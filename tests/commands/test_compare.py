"""`tinytrain compare`: its table against the runs' own files, a kill in the middle, and what it refuses."""

import csv
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from kills import assert_same_weights, command
from readmes import unexplained

from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.experiments import results_table
from tinytrain.experiments.planned import Planned
from tinytrain.run import Run
from tinytrain.train import fit
from tinytrain.train.resolve import decided

SMALL = "[model]\nname = 'resnet8'\nwidth = 0.25\n[augment]\ncrop = 0\n[optim]\nepochs = 1\n"


@pytest.fixture
def two_configs(tmp_path):
    (tmp_path / "low.toml").write_text(SMALL + "batch = 32\n")
    (tmp_path / "high.toml").write_text(SMALL + "batch = 32\nlr = 0.2\n")
    return ["low.toml", "high.toml"]


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob("*/*/*/*") if path.is_file()}


@pytest.mark.long
def test_the_table_is_what_the_runs_say(command_line, tmp_path, two_configs):
    words = ["compare", *two_configs, "--seeds", 2, "--out", "table", "--json", "data.train_images=256"]
    status, out, error = command_line(*words)
    assert status == 0, error
    order = [line.removesuffix(":") for line in error.splitlines() if line.startswith("table/")]
    assert order == [f"table/{name}/digits/seed{seed}" for seed in (0, 1) for name in ("low", "high")]
    top1, table = {}, list(csv.DictReader((tmp_path / "table/results.csv").open()))
    for name in ("low", "high"):
        runs = [json.loads((tmp_path / f"table/{name}/digits/seed{seed}/metrics.json").read_text()) for seed in (0, 1)]
        a, b = (100 * run["test"]["top1"] for run in runs)
        top1[name] = (a + b) / 2
        spread = abs(a - b) / 2**0.5  # of two numbers
        line = next(line for line in out.splitlines() if line.startswith(f"| {name} |"))
        assert line.startswith(f"| {name} | digits | 2 | {top1[name]:.2f} ± {spread:.2f} | ")
        rows = [row for row in table if row["config"] == name]
        assert [float(row["test_map"]) for row in rows] == [run["test"]["map"] for run in runs]
    points = f"| {top1['high'] - top1['low']:+.2f} |"
    assert points in (tmp_path / "table/results.md").read_text()
    history = list(csv.DictReader((tmp_path / "table/low/digits/seed1/history.csv").open()))
    steps = 256 // 32
    assert float(history[0]["seconds"]) == pytest.approx(steps * 32 / float(history[0]["images_per_second"]))
    assert float(table[2]["training_seconds"]) == pytest.approx(float(history[0]["seconds"]), abs=0.06)
    assert "tinytrain compare low.toml high.toml --seeds 2 --out table data.train_images=256" in out
    before = snapshot(tmp_path / "table")
    assert command_line(*words)[:2] == (0, out)
    assert snapshot(tmp_path / "table") == before


@pytest.mark.long
def test_a_killed_process_is_taken_over_and_the_command_goes_on(tmp_path, two_configs):
    words = ["compare", *two_configs, "--seeds", "2", "optim.epochs=4", "data.train_images=128"]
    process = subprocess.Popen(
        command(*words, "--workers", "2"), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("epoch 1/4") and sum(line.startswith("epoch 1/4") for line in lines) == 1:
            first = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
            os.kill(int(first), signal.SIGKILL)
    table = process.stdout.read()
    assert process.wait() == 0, "".join(lines)
    begun = [line.split("compare/")[1][:-2] for line in lines if line.rstrip().endswith(":")]
    (dead,) = {name for name in begun if begun.count(name) == 2}  # of the killed process, then of the other
    assert sorted({*begun}) == [f"{name}/digits/seed{seed}" for name in ("high", "low") for seed in (0, 1)]
    assert len(begun) == 5
    assert f"tinytrain: worker 0 (process {first}) was killed by SIGKILL; the others continue\n" in lines
    assert table.strip() == (tmp_path / "compare/results.md").read_text().strip()
    assert [line["seed"] for line in csv.DictReader((tmp_path / "compare/results.csv").open())] == ["0", "0", "1", "1"]
    assert not list(tmp_path.rglob(".lock*"))
    config = Run(tmp_path / "compare" / dead).config()
    assert_same_weights(Run(tmp_path / "compare" / dead), fit.fit(config, tmp_path / "undisturbed"))


def test_a_run_of_another_config_is_refused(command_line, tmp_path, two_configs):
    folder = tmp_path / "compare/high/digits/seed0"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(SMALL + "batch = 16\n[data]\nspec = 'digits'\n")
    status, out, error = command_line("compare", *two_configs)
    assert (status, out) == (2, "")
    assert "compare/high/digits/seed0" in error
    assert "optim.lr = 0.2: it was started with 0.05" in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "compare/low").exists()


def test_the_keys_of_a_method_that_no_run_uses_make_no_difference(tmp_path):
    (tmp_path / "config.toml").write_text("[optim]\nlr = 0.2\n")
    run = Run(tmp_path)
    other = configs.load(None, ["optim.lr=0.2", "distill.teacher=elsewhere"])
    run.refuse_other_config(other)
    other.method = "distill"
    with pytest.raises(UserError, match="method = 'distill'"):
        run.refuse_other_config(other)
    (tmp_path / "config.toml").write_text(configs.dump(other))
    with pytest.raises(UserError, match=r"distill\.teacher"):
        run.refuse_other_config(configs.load(None, ["method=distill", "optim.lr=0.2", "distill.teacher=here"]))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "compare needs config files, received none"),
        (["nowhere.toml"], "no config file 'nowhere.toml'"),
        (["low.toml", "--seeds", "0"], "--seeds 0 is out of range: expected a whole number from 1"),
        (["low.toml", "--seeds", "two"], "--seeds two is not a number"),
        (["low.toml", "seed=3"], "use --seeds N"),
        (["low.toml", "--data", "digits,digit"], "low.toml: unknown dataset 'digit'"),
        (["low.toml", "--data", "folder:nowhere"], "low.toml: no folder 'nowhere'"),
        (["low.toml", "low.toml"], "would share the folder 'compare/low/digits/seed0'"),
        (["low.toml", "--data", "folder:a/x,folder:b/x"], "would share the folder 'compare/low/x/seed0'"),
        (["low.toml", "optim.epoch=3"], "did you mean 'optim.epochs'"),
        (
            ["low.toml", "--resolutions", "16;24"],
            "--resolutions 16;24 is not a list of pixels: expected numbers such as 96,128,160",
        ),
        (["low.toml", "--resolutions", "16,16"], "--resolutions names 16 twice"),
        (["low.toml", "--resolutions", "16,9999"], "model.resolution = 9999 is out of range: expected 8 to 1,024"),
        (["low.toml", "--resolutions", "16,24", "model.resolution=16"], "use only one of the two"),
    ],
)
def test_a_mistake_is_one_sentence_and_trains_nothing(command_line, tmp_path, two_configs, words, sentence):
    status, out, error = command_line("compare", *words)
    assert (status, out) == (2, "")
    assert sentence in error
    assert not (tmp_path / "compare").exists()


def row(config, data, seed, top1):
    return {
        "config": config,
        "data": data,
        "seed": seed,
        "task": "classify",
        "test_top1": top1,
        "test_map": top1 / 2,
        "epochs": 10 + seed,
        "training_seconds": 60.0,
        "training_cpu_seconds": 90.0,
        "search_epochs": 30 + 3 * seed if config == "b" else 0,
        "search_seconds": 90.0 if config == "b" else 0,
    }


def test_the_average_is_of_the_means_of_the_datasets():
    runs = [row("a", "x", 0, 0.5), row("a", "x", 1, 0.6), row("a", "y", 0, 0.9), row("b", "x", 0, 0.7)]
    rows = results_table.summary(runs, ["a", "b"], {"a": ["x", "y"], "b": ["x", "y"]})
    named = {(line["config"], line["data"]): line for line in rows}
    assert list(named) == [("a", "x"), ("a", "y"), ("a", "average"), ("b", "x")]  # b is not through with y
    assert named["a", "average"]["test_top1"] == pytest.approx(0.725)  # of 0.55 and 0.9; of the runs it would be 0.667
    assert named["a", "x"]["test_top1_deviation"] == pytest.approx(0.0707107)
    assert named["a", "y"]["test_top1_deviation"] is None
    assert named["b", "x"]["points"] == pytest.approx(20)  # on seed 0, the only one that b has
    assert named["a", "average"]["points"] == 0
    text = results_table.as_markdown(rows, "how")
    assert (
        "| a | x | 2 | 55.00 ± 7.07 | +0.00 |  |  | 27.50 ± 3.54 | 10.5 ± 0.7 | 1.0 ± 0.0 | 1.5 ± 0.0 |  |  |" in text
    )
    assert "| b | x | 1 | 70.00 | +20.00 |  |  | 35.00 | 10.0 | 1.0 | 1.5 | 30.0 | 1.5 |" in text
    both = results_table.summary([row("b", "x", seed, 0.5) for seed in (0, 1)], ["b"], {"b": ["x"]})
    # The deviations are those of 10, 11 and of 30, 33: 1/√2 and 3/√2.
    assert "| 10.5 ± 0.7 | 1.0 ± 0.0 | 1.5 ± 0.0 | 31.5 ± 2.1 | 1.5 ± 0.0 |" in results_table.as_markdown(both, "how")


def test_a_difference_to_the_first_has_the_interval_of_its_pairs():
    tops = {"a": [0.5, 0.6, 0.4], "b": [0.55, 0.64, 0.46], "c": [0.58]}
    runs = [row(name, "x", seed, top1) for name, values in tops.items() for seed, top1 in enumerate(values)]
    runs += [row("a", "y", seed, 0.3) for seed in range(2)]
    runs += [row("b", "y", seed, top1) for seed, top1 in enumerate([0.33, 0.32])]
    rows = results_table.summary(runs, [*tops], {"a": ["x", "y"], "b": ["x", "y"], "c": ["x"]})
    named = {(line["config"], line["data"]): line for line in rows}
    # Differences 5, 4 and 6 points: 5 ± 4.3027 · 1 / √3.
    assert (named["b", "x"]["points_low"], named["b", "x"]["points_high"]) == pytest.approx((2.516, 7.484), abs=1e-3)
    assert named["c", "x"]["points_low"] is named["c", "x"]["points_high"] is None  # one seed
    # The two seeds that are through with both datasets: (5 + 3) / 2 and (4 + 2) / 2, 3.5 ± 12.706 · 0.5.
    average = named["b", "average"]
    assert (average["points_low"], average["points_high"]) == pytest.approx((-2.853, 9.853), abs=1e-3)
    text = results_table.as_markdown(rows, "how")
    assert "| b | x | 3 | 55.00 ± 9.00 | +5.00 | +2.52 to +7.48 | higher (3 seeds) |" in text
    assert "| b | average | 2 | 43.75 | +3.75 | -2.85 to +9.85 | cannot be told apart (2 seeds) |" in text
    assert "| c | x | 1 | 58.00 | +8.00 |  |  |" in text  # one seed: no spread, no interval, no verdict
    assert {line["verdict"] for line in rows if line["config"] == "a"} == {""}  # it is what the others are compared to


def test_detectors_have_a_table_of_their_own():
    """AP of the second seed is undefined: the mean is of the others, and nothing is said of a spread."""
    detector = {"task": "detect", "config": "d", "data": "v", "test_ap50_voc07": 0.9}
    detector |= {
        "epochs": 3,
        "training_seconds": 60.0,
        "training_cpu_seconds": "",
        "search_epochs": 0,
        "search_seconds": 0.0,
    }
    runs = [detector | {"seed": 0, "test_ap50": 0.5, "test_ap": 0.25}, row("a", "x", 0, 0.5)]
    runs += [detector | {"seed": 1, "test_ap50": 0.7, "test_ap": None}]
    rows = results_table.summary(runs, ["a", "d"], {"a": ["x"], "d": ["v"]})
    named = {line["config"]: line for line in rows}
    assert (named["d"]["test_ap50"], named["d"]["test_ap"]) == (pytest.approx(0.6), 0.25)
    assert named["d"]["points"] is None  # the baseline is of another task
    first, second, footer = results_table.as_markdown(rows, "how").split("\n\n")
    assert first.startswith("| config | data | seeds | test top-1 % |")
    assert second.startswith(
        "| config | data | seeds | test AP50 % | to the first | 95 % interval | verdict | test AP % |"
    )
    assert "| d | v | 2 | 60.00 ± 14.14 |  |  |  | 25.00 | 3.0 ± 0.0 | 1.0 ± 0.0 |  |" in second
    assert footer == "how"


def test_a_file_of_runs_of_two_tasks_has_the_columns_of_both(tmp_path):
    results_table.write_csv(
        tmp_path / "results.csv", [{"config": "a", "test_top1": 0.5}, {"config": "d", "test_ap50": 1}]
    )
    assert list(csv.reader((tmp_path / "results.csv").open())) == [
        ["config", "test_top1", "test_ap50"],
        ["a", "0.5", ""],
        ["d", "", "1"],
    ]


@pytest.mark.long
def test_a_config_is_trained_at_each_resolution_and_the_chart_shows_the_cost(command_line, tmp_path, two_configs):
    words = ["compare", "low.toml", "--resolutions", "16,24", "--out", "table", "--json", "data.train_images=64"]
    status, out, error = command_line(*words)
    assert status == 0, error
    result = json.loads(out.splitlines()[-1])
    assert [(run["config"], run["resolution"]) for run in result["runs"]] == [("low-16", 16), ("low-24", 24)]
    assert Run(tmp_path / "table/low-24/digits/seed0").config().model.resolution == 24
    assert result["runs"][0]["macs"] < result["runs"][1]["macs"]
    assert result["figures"] == ["table/macs.png"]
    (tmp_path / "table/unheard-of").touch()
    assert unexplained(tmp_path / "table") == ["unheard-of"]
    assert (tmp_path / "table/macs.png").stat().st_size > 5000
    assert "tinytrain compare low.toml --resolutions 16,24 --seeds 1" in out


@pytest.mark.long
def test_at_equal_time_the_cheaper_config_has_the_epochs_that_were_measured(command_line, tmp_path):
    for name, width in (("narrow", 0.25), ("wide", 1.0)):
        (tmp_path / f"{name}.toml").write_text(SMALL.replace("width = 0.25", f"width = {width}"))
    words = ["compare", "narrow.toml", "wide.toml", "--budget", "time", "--out", "t", "optim.batch=32"]
    words += ["data.train_images=64", "--json"]
    status, out, error = command_line(*words)
    assert status == 0, error
    known = json.loads((tmp_path / "t/budget.json").read_text())
    narrow, wide = known["arms"]
    seconds = 2 * wide["step_cpu_seconds"]  # of its epoch: 64 images are two steps
    assert known["cpu_seconds"]["digits"] == pytest.approx(seconds)
    assert (wide["epochs"], narrow["epochs"]) == (1, round(seconds / (2 * narrow["step_cpu_seconds"])))
    rows = {row["config"]: row for row in csv.DictReader((tmp_path / "t/results.csv").open())}
    assert {name: int(row["epochs"]) for name, row in rows.items()} == {"narrow": narrow["epochs"], "wide": 1}
    history = list(csv.DictReader((tmp_path / "t/wide/digits/seed0/history.csv").open()))
    assert float(rows["wide"]["training_cpu_seconds"]) == pytest.approx(float(history[0]["cpu_seconds"]), abs=0.06)
    assert float(history[0]["cpu_seconds"]) > 0
    assert "All are trained for the same processor time, by measured steps (budget.json)" in out
    assert "tinytrain compare narrow.toml wide.toml --budget time --seeds 1 --out t" in out
    before = snapshot(tmp_path / "t")
    assert command_line(*words)[:2] == (0, out)
    assert snapshot(tmp_path / "t") == before


def test_what_a_file_says_is_not_taken_for_a_default(command_line, two_configs, monkeypatch):
    """What is usual for boxes takes the place of what nobody chose, so `fit` is told what was chosen."""
    chosen = []

    def note(config, folder, resume, fit_check, typed):
        chosen.append(typed)
        raise UserError("enough")

    monkeypatch.setattr(fit, "fit", note)
    command_line("compare", "high.toml", "optim.momentum=0.9")
    keys = {"model.name", "model.width", "augment.crop", "optim.epochs", "optim.batch", "optim.lr", "optim.momentum"}
    assert chosen == [keys]
    config = configs.load(None, ["optim.batch=64"])
    assert "optim.batch" in decided(config, "detect", ["optim.batch"])
    assert "optim.batch" not in decided(config, "detect", ["optim.lr"])
    assert "optim.lr" not in decided(config, "detect", None)  # as by default
    assert decided(config, "classify", ["optim.lr"]) == set(configs.keys())
    assert "optim.epochs" not in decided(config, "classify", ["optim.batch"])


def finished_run(folder, search=None):
    """A run folder with the figures that a table takes, its search.json if it searched."""
    folder.mkdir()
    run, figures = Run(folder), {"top1": 0.5, "map": 0.4}
    rest = {"params": 1, "macs": 2, "epochs": 2, "best_epoch": 1}
    run.metrics_path.write_text(json.dumps({"val": figures, "test": figures} | rest))
    run.model_path.touch()
    run.config_path.write_text("")
    run.history_path.write_text("epoch,seconds,cpu_seconds\n1,30.0,55.5\n2,31.04,57.0\n")
    if search:
        run.search_path.write_text(json.dumps(search))
    return run


def test_what_the_search_took_stands_apart_from_the_training(tmp_path):
    trials = [{"epochs": 6}, {"epochs": 0}, {"epochs": 1}]
    searches = {
        "none": None,
        "tpe": {"trials": trials, "epochs": 7, "seconds": 12.34},
        "range": {"trials": [], "epochs": 2, "seconds": 5},
        "without the sum": {"trials": trials, "seconds": 12.34},  # as older runs have it
    }
    runs = {name: finished_run(tmp_path / name, search) for name, search in searches.items()}
    rows = [results_table.run_row(Planned(name, "x", 0, Config(), run.folder, tmp_path)) for name, run in runs.items()]
    results_table.write_csv(tmp_path / "results.csv", rows)
    written = list(csv.DictReader((tmp_path / "results.csv").open()))
    effort = [(line["epochs"], line["training_seconds"], line["training_cpu_seconds"]) for line in written]
    assert effort == [("2", "61.0", "112.5")] * 4
    effort = [(line["search_epochs"], line["search_seconds"]) for line in written]
    assert effort == [("0", "0.0"), ("7", "12.3"), ("2", "5"), ("7", "12.3")]


def test_a_run_of_before_processor_time_was_recorded_has_none_in_the_table(tmp_path):
    run = finished_run(tmp_path / "old")
    run.history_path.write_text("epoch,seconds,cpu_seconds\n1,30.0,\n2,31.0,40.0\n")  # an older one that went on
    old = results_table.run_row(Planned("old", "x", 0, Config(), run.folder, tmp_path))
    assert (old["training_seconds"], old["training_cpu_seconds"]) == (61.0, "")
    assert "| 2.0 | 1.0 |  |  |  |" in results_table.as_markdown(
        results_table.summary([old], ["old"], {"old": ["x"]}), ""
    )


def test_a_training_that_fails_names_its_config(command_line, two_configs, monkeypatch):
    tried = []

    def fail(config, *_, **__):
        tried.append(config.optim.lr)
        raise UserError("too few images")

    monkeypatch.setattr(fit, "fit", fail)
    error = command_line("compare", *two_configs)[2]
    assert "2 of 2 runs failed" in error
    assert "low.toml: too few images" in error
    assert len(tried) == 2  # the second config does not wait for the first
