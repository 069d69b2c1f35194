"""A loss by int8 is told in words, with what most of it is due to."""

import export_reports
import pytest

from tinytrain.exporting.accuracy import fall
from tinytrain.exporting.text import summary


def accuracy(floating, finetuned, int8, **more):
    return {"float": floating, "float_finetuned": finetuned, "int8": int8, "images": 72, **more}


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        (
            accuracy(0.8, 0.8, 0.8, val=accuracy(0.8405, 0.5755, 0.5756)),
            "int8 is 26.5 points below the float model on the val images, because of the fine-tune (26.5)",
        ),
        (
            accuracy(0.8, None, 0.7, val=None),
            "int8 is 10.0 points below the float model on the test images, because of quantization: --diagnose shows "
            "where",
        ),
        (
            accuracy(0.8, 0.79, 0.7, val=None),
            "points below the float model on the test images, because of quantization",
        ),
        (accuracy(0.9, 0.5, 0.5, val=accuracy(0.8, 0.79, 0.785)), ""),  # val speaks, and half a point is nothing
        (accuracy(None, None, None, val=None), ""),
        (accuracy(0.8, 0.72, 0.7, val=None), "on the test images, mostly because of the fine-tune (8.0)"),
        (accuracy(0.8, None, 0.8 - 4 / 72, val=None), ""),  # 4 images: chance
        (accuracy(0.8, None, 0.8 - 5 / 72, val=None), "int8 is 6.9 points below the float model"),
    ],
)
def test_a_loss_of_more_than_two_points_is_told(tmp_path, figures, sentence):
    text = summary(export_reports.report(accuracy=figures), tmp_path)
    assert ("WARNING" in text) == bool(sentence)
    assert sentence in text


@pytest.mark.parametrize(("balanced", "shown"), [(0.5, True), (0.796, False), (None, False)])
def test_uneven_classes_do_not_hide_behind_the_largest(tmp_path, balanced, shown):
    text = summary(export_reports.report(accuracy=accuracy(0.8, None, 0.8, int8_balanced=balanced, val=None)), tmp_path)
    assert ("int8 80.00 % top-1 (int8 50.00 % with all classes counted equally) on 72 images" in text) == shown


def test_few_images_can_hold_boxes_enough_for_a_warning(tmp_path):
    figures = accuracy(0.8, None, 0.75, val=None)  # 3.6 of 72 images
    assert [bool(fall(figures, task)) for task in ("classify", "detect")] == [False, True]


def test_a_noisy_layer_is_only_to_be_looked_at_where_accuracy_was_lost(tmp_path):
    layer = {"layer": "head", "operator": "Conv2D", "own_db": 18.9, "total_db": 16.5, "weights_db": 47.4}
    layer |= {"low": 0.0, "high": 4.42, "bulk_share": 0.15}
    diagnosis = {"layers": [layer], "classes": []}
    lines = summary(export_reports.report(diagnosis=diagnosis), tmp_path).splitlines()
    below = lines[next(number for number, line in enumerate(lines) if "18.9" in line) + 1]
    assert below.endswith("may cost accuracy: look at it only if the line accuracy shows a loss")
