"""The chart of figures against MACs: points and curves, by hand."""

import numpy as np
import pytest

from tinytrain.experiments import macs_chart
from tinytrain.experiments.macs_chart import Point


def test_runs_with_the_same_macs_are_a_point_and_points_stand_by_rising_macs():
    """The sample deviation of 1 and 3 is √2."""
    measured = [("b", 9, 5.0), ("a", 40, 3.0), ("a", 10, 1.0), ("a", 10, 3.0)]
    curves = macs_chart.curves(measured)
    assert list(curves) == ["b", "a"]
    assert curves["a"] == [Point(10, 2.0, pytest.approx(2**0.5)), Point(40, 3.0, 0.0)]
    assert curves["b"] == [Point(9, 5.0, 0.0)]


def test_each_dataset_has_a_panel_with_its_curves():
    lines = {"a": [Point(1_000_000, 2.0, 0.0), Point(3_000_000, 4.0, 0.0)], "b": [Point(2_000_000, 1.0, 0.0)]}
    figure = macs_chart.draw({"x": ("AP50 / %", lines), "y": ("top-1 / %", {"a": lines["a"]})}, "title")
    first, second = figure.axes
    assert (first.get_title(), first.get_xlabel(), first.get_ylabel()) == ("x", "MACs / million", "AP50 / %")
    assert second.get_ylabel() == "top-1 / %"
    assert [container.get_label() for container in first.containers] == ["a", "b"]
    np.testing.assert_array_equal(first.containers[0].lines[0].get_xydata(), [[1, 2], [3, 4]])
