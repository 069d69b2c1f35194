"""The tables and the picture of a search, from trials that are made up."""

import pytest
from optuna.trial import TrialState, create_trial

from tinytrain.deploy.memory import Memory
from tinytrain.searching import finalists, picture, report
from tinytrain.searching.finalists import export_command
from tinytrain.searching.limits import Cost


def trial(number, int8, latency=10.0, ram=20_000, flash=90_000, reason=""):
    cost = Cost(1_000_000, 5000, Memory(10_000, ram, 98_304, flash, 524_288), latency, (latency - 1, latency + 5))
    known = {
        "network": {"name": "resnet8", "width": 0.5, "resolution": 32, "stem": "cifar"},
        "words": ["data.spec=digits", "model.name=resnet8", "optim.lr=0.04", "optim.label_smoothing=0.1"],
        "cost": cost.report(),
        "reason": reason,
        "int8": int8,
        "val": 0.9,
        "epochs": 9,
    }
    state = TrialState.PRUNED if reason else TrialState.COMPLETE
    frozen = create_trial(state=state, value=None if reason else 0.9, user_attrs=known)
    frozen.number = number
    return frozen


def final(number, int8_val, int8_test=0.5, qat_epochs=2.0, macs=1_000_000):
    return {
        "number": number,
        "macs": macs,
        "int8_val": int8_val,
        "int8_test": int8_test,
        "float_val": 0.9,
        "float_test": 0.9,
        "qat_epochs": qat_epochs,
    }


def test_the_front_is_what_no_other_beats_in_everything(tmp_path):
    trials = [
        trial(0, 0.90, latency=10.0, ram=20_000, flash=90_000),
        trial(1, 0.90, latency=11.0, ram=20_000, flash=90_000),  # as accurate, and slower
        trial(2, 0.80, latency=12.0, ram=30_000, flash=50_000),  # less flash
        trial(3, 0.70, latency=9.0, ram=30_000, flash=95_000),  # faster
        trial(4, 0.70, latency=10.0, ram=25_000, flash=95_000),  # beaten by 0
    ]
    table = report.rows(trials, [], tmp_path)
    assert [row["trial"] for row in report.front(table)] == [0, 2, 3]
    assert [row["trial"] for row in report.front(table, ["flash_bytes"])] == [0, 1, 2]


def test_a_latency_that_is_not_predicted_does_not_count(tmp_path):
    table = report.rows([trial(0, 0.9), trial(1, 0.9, ram=10_000)], [], tmp_path)
    for row in table:
        row["latency_ms"] = None
    assert [row["trial"] for row in report.front(table)] == [1]


def test_finalists_are_the_best_int8_networks_on_val_and_the_fewest_macs_of_equal_ones():
    trials = [trial(0, 0.7), trial(1, 0.9), trial(2, None, reason="its loss became infinite"), trial(3, 0.9)]
    trials[3].user_attrs["cost"]["macs"] = 500_000
    assert [one.number for one in finalists.best(trials, 2)] == [3, 1]
    assert [one.number for one in finalists.best(trials, 9)] == [3, 1, 0]


def test_test_images_do_not_decide():
    rows = [final(0, int8_val=0.8, int8_test=0.99), final(1, int8_val=0.9, int8_test=0.1)]
    assert finalists.winner(rows)["number"] == 1
    assert finalists.winner([final(0, 0.9, macs=2), final(1, 0.9, macs=1)])["number"] == 1


def test_the_winner_is_exported_as_it_was_measured(tmp_path):
    words = ["tinytrain", "export", str(tmp_path / "trial-003"), "--mcu", "nucleo_f401re"]
    assert export_command(tmp_path, final(3, 0.9), "nucleo_f401re", 2.0) == words
    assert export_command(tmp_path, final(3, 0.9, qat_epochs=0.0), "nucleo_f401re", 2.0) == [*words, "qat.epochs=0"]


def test_the_table_says_what_was_measured_and_what_was_not(tmp_path):
    trials = [
        trial(0, 0.8, reason="others are better"),
        trial(1, 0.9),
        trial(2, None, reason="its loss became infinite"),
    ]
    table = report.rows(trials, [final(1, 0.95, 0.93)], tmp_path)
    assert [row["int8_val"] for row in table] == [0.8, 0.9, None]
    assert [row["finalist_int8_val"] for row in table] == [None, 0.95, None]
    assert [row["ended"] for row in table] == ["others are better", "at its end", "its loss became infinite"]
    assert (table[1]["lr"], table[1]["label_smoothing"], table[1]["weight_decay"]) == ("0.04", "0.1", "")
    text = report.markdown(table, table[1], "top-1", "`tinytrain search`", ["tinytrain", "export", "trial-001"])
    assert "| 1 | resnet8 0.5 at 32 | 9 | 95.0 | 93.0 | 1,000,000 | 20,000 | 90,000 | 10 |" in text
    assert "95.0 %, with 20,000 bytes of RAM, 90,000 of flash and a predicted 10 ms; on test it has 93.0 %." in text
    assert "search.csv has all 3 trials, 2 of them without a fine-tune" in text


def test_the_margin_is_that_to_the_next_finalist(tmp_path):
    finals = [final(0, 0.90), final(1, 0.955), final(2, 0.94)]
    table = report.rows([trial(number, 0.9) for number in range(3)], finals, tmp_path)
    assert ", 1.5 points more than resnet8 0.5 at 32, the next of 3 finalists," in report.why(table, table[1], "top-1")


@pytest.mark.parametrize("predicted", [True, False])
def test_the_picture_has_a_panel_for_each_cost_and_a_name_for_each_network_of_the_front(tmp_path, predicted):
    trials = [trial(0, 0.9), trial(1, 0.8, latency=5.0, ram=10_000, flash=50_000), trial(2, 0.7, latency=20.0)]
    table = report.rows(trials, [final(0, 0.92)], tmp_path)
    for row in table:
        row["latency_ms"] = row["latency_ms"] if predicted else None
    figure = picture.draw(table, "top-1", "title", {"ram_bytes": 30_000.0})
    names = [axes.get_xlabel() for axes in figure.axes]
    assert names == [*(["predicted latency / ms"] if predicted else []), "RAM / KiB", "flash / KiB"]
    for axes in figure.axes:
        assert {text.get_text() for text in axes.texts} == {"0: resnet8 0.5 at 32", "1: resnet8 0.5 at 32"}
        boxes = [text.get_window_extent() for text in axes.texts]
        assert not boxes[0].overlaps(boxes[1])
