"""Who underfits, how long the same time is and what pays: numbers worked by hand, nothing is trained."""

import pytest

from tinytrain.experiments.teaching import outcome, rules


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        (0.60, 0.59, True),
        (0.60, 0.64, True),  # cropped training images are harder than those of val
        (0.60, 0.571, True),  # 2.9 points
        (0.60, 0.569, False),  # 3.1 points: it overfits
        (0.96, 0.95, False),  # it has fitted them
        (0.949, 0.93, True),
    ],
)
def test_who_underfits(train, val, expected):
    assert rules.underfits(train, val) is expected


@pytest.mark.parametrize(
    ("seconds", "budget", "start", "epochs"),
    [
        ([12, 10, 10, 10], 92, 0, 9),  # 2 s to compile, then 90 s of 10 s each
        ([12, 10, 10, 10], 91.9, 0, 8),
        ([12, 10, 10, 10], 92, 20, 7),  # 20 s for the search of a learning rate
        ([5, 1], 14, 0, 10),  # 4 s to compile, then 10 s
        ([3], 13, 0, 4),
        ([12, 10, 10, 10], 5, 0, 4),  # never fewer than it was
        ([1, 1], 1e9, 0, 10_000),  # the most that optim.epochs takes
    ],
)
def test_the_epochs_of_the_same_time(seconds, budget, start, epochs):
    assert rules.equal_time_epochs(seconds, budget, start) == epochs


def test_how_long_a_lesson_takes():
    # a teacher of 6 x 60 s; students of 60 and of 3.2 x 60 s, each with a forward pass of 6 / 3 x 60 s; and plain
    # training for as long as the teacher and the slower student
    lesson = 360 + (60 + 120) + (192 + 120) + (360 + 192 + 120)
    assert rules.expected_seconds(60, 6, True) == pytest.approx(lesson)
    assert rules.expected_seconds(60, 6, False) == pytest.approx(lesson + 60)


def test_what_chance_alone_does():
    assert rules.chance(0.5, 0.5, 200) == pytest.approx(1.96 * 0.05)  # of 200 images: sqrt(2 x 0.25 / 200)


def rows(**val):
    """Returns rows with these val top-1; the test images say the opposite."""
    return [
        {
            "arm": arm,
            "val_top1": top1,
            "test_top1": 1 - top1,
            "seconds_with_teacher": 100 + number,
            "run": f"out/{arm}",
        }
        for number, (arm, top1) in enumerate(val.items())
    ]


def test_a_teacher_that_pays():
    text = outcome.verdict(rows(plain=0.5, teacher=0.7, distilled=0.642, longer=0.63), 100_000)
    assert text == (
        "distilled is 1.2 points above plain training for the same time on val (64.2 and 63.0 %): use out/distilled."
    )


def test_a_teacher_that_does_not_pay():
    text = outcome.verdict(rows(plain=0.5, teacher=0.7, distilled=0.60, longer=0.63), 100_000)
    assert text == (
        "The teacher does not pay off here, as distilled is 3.0 points below plain training for the same time on val "
        "(60.0 and 63.0 %): use out/longer."
    )


def test_longer_training_that_overfits_is_not_used_either():
    compared = rows(plain=0.65, teacher=0.7, netaug_distilled=0.64, longer=0.6)
    assert outcome.used(compared)["run"] == "out/plain"
    text = outcome.verdict(compared, 100_000)
    assert text.startswith(
        "The teacher does not pay off here, as netaug_distilled is 4.0 points above plain training for"
    )
    assert text.endswith("use out/plain.")


def test_the_better_of_two_taught_students_is_compared():
    compared = rows(plain=0.5, teacher=0.7, distilled=0.66, netaug_distilled=0.4, longer=0.6)
    assert outcome.best_taught(compared)["arm"] == "distilled"
    assert outcome.verdict(compared, 100_000).startswith("distilled is 6.0 points above plain training for the same")


def test_equal_figures_go_to_what_took_less_time():
    compared = rows(plain=0.5, longer=0.6, teacher=0.9, distilled=0.6)
    assert outcome.used(compared)["run"] == "out/longer"
    assert "is as good as plain training for the same time" in outcome.verdict(compared, 10)


def test_without_longer_training_the_plain_student_had_the_same_time():
    assert "distilled is 10.0 points above plain" in outcome.verdict(rows(plain=0.5, distilled=0.6), 100_000)


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(100, 125, True), (125, 100, True), (100, 126, False), (134, 220, False)]
)
def test_which_times_are_the_same(first, second, expected):
    assert rules.is_same_time(first, second) is expected


def test_times_that_are_not_the_same_are_not_called_so():
    compared = rows(plain=0.5, teacher=0.7, distilled=0.66, longer=0.6)
    compared[2]["seconds_with_teacher"], compared[3]["seconds_with_teacher"] = 220, 134
    text = outcome.verdict(compared, 100_000)
    assert text.startswith("distilled is 6.0 points above plain training for 134 s instead of 220 s on val (66.0")
    assert "These times are not equal" in text
    assert "the same time" not in text


def test_few_val_images_and_a_poor_teacher_are_named():
    text = outcome.verdict(rows(plain=0.5, teacher=0.5, distilled=0.5, longer=0.55), 200)
    # 1.96 x sqrt((0.25 + 0.2475) / 200)
    assert "With 200 val images, chance alone can make a difference of up to 9.8 points." in text
    assert "The teacher itself is no better than the plain student (50.0 and 50.0 %)" in text
    assert "chance" not in outcome.verdict(rows(plain=0.5, teacher=0.6, distilled=0.7, longer=0.5), 200)


def test_the_warning_names_another_seed():
    assert "with other seeds (seed=8, …), each in another folder than 'out'" in outcome.anecdote(7, "out")
