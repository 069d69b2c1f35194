"""The last line of the training of a detector."""

from pathlib import Path

import pytest

from tinytrain.config.schema import Config
from tinytrain.tasks.detect.task import Detection


def result(per_class, val):
    test = {"ap50": 0.701, "per_class": {name: {"ap50": value} for name, value in per_class.items()}}
    test |= {"images": 72, "boxes": 945, "threshold": 0.14, "f1": 0.61}
    speed = {"params": 185_728, "macs": 35_526_400, "images_per_second": 64.2}
    return {"test": test, "val": {"ap50": val}, **speed}


@pytest.mark.parametrize(
    ("per_class", "val", "expected"),
    [
        (
            {"red": 0.603, "white": 0.97, "none here": None},
            0.725,
            " (red 60.3, white 97.0) on 72 images with 945 boxes, val AP50 72.5 %, ",
        ),
        (
            {"a": 0.5, "b": 0.4, "c": 0.3, "d": 0.2, "e": 0.1},
            None,
            " (lowest: e 10.0, d 20.0, c 30.0, b 40.0) on 72 images with 945 boxes, threshold",
        ),
        ({"only": 0.701}, 0.5, " on 72 images with 945 boxes, val AP50 50.0 %, threshold 0.14 (F1 0.61)"),
    ],
    ids=["two classes", "many", "one"],
)
def test_it_names_the_worst_classes_and_val(per_class, val, expected):
    line = Detection(Config(), ["a"]).line(Path("runs/boxes"), result(per_class, val))
    assert f"runs/boxes: test AP50 70.1 %{expected}" in line
