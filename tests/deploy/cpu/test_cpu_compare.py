"""How far outputs are apart, by hand: what is too far, and which of several outputs a comparison is about."""

import numpy as np
import pytest

from tinytrain.deploy.cpu import compare


def floats(*values):
    return np.array(values, np.float32).reshape(len(values), -1)


@pytest.mark.parametrize(("difference", "parts"), [(0.0, False), (0.0039, False), (0.0041, True), (np.nan, True)])
def test_float_outputs_are_too_far_apart_beyond_a_thousandth_of_the_largest(difference, parts):
    row = compare.of_float([floats(1.0, -4.0 + difference)], [floats(1.0, -4.0)])
    assert (row["images"], row["largest_output"], row["limit"], row["parts"]) == (2, 4.0, 1e-3, parts)
    assert row["largest_difference"] == pytest.approx(difference, abs=1e-6, nan_ok=True)


def test_of_several_float_outputs_the_furthest_counts_by_its_own_size():
    row = compare.of_float([floats(100.05), floats(2.004)], [floats(100.0), floats(2.0)])
    assert (row["largest_output"], row["parts"]) == (2.0, True)
    assert compare.of_float([floats(0.0)], [floats(0.0)])["parts"] is False


def test_int8_outputs_are_counted_by_image_and_measured_against_their_variance():
    references = [np.array([[0, 10], [20, 30], [40, 50]], np.int8)]
    outputs = [np.array([[0, 10], [20, 33], [44, 50]], np.int8)]
    row = compare.of_int8(outputs, references)
    variance = (400 * 2 / 3 * 2) / 2  # 0, 20, 40 and 10, 30, 50: 800 / 3 each
    assert (row["images"], row["different"], row["largest_steps"], row["parts"]) == (3, 2, 4, False)
    assert row["noise"] == pytest.approx((9 + 16) / 6 / variance)
    far = [(references[0][::-1]).copy()]
    assert compare.of_int8(far, references)["parts"]


def test_int8_outputs_that_differ_by_a_step_are_equal_whatever_the_signal():
    constant = np.zeros((4, 5), np.int8)
    row = compare.of_int8([constant + np.int8(1)], [constant])
    assert (row["different"], row["largest_steps"], row["parts"]) == (4, 1, False)
    assert compare.of_int8([constant + np.int8(2)], [constant])["parts"]


def test_only_models_that_are_too_far_are_wrong():
    comparisons = {
        "float": compare.of_float([floats(1.0, 2.5)], [floats(1.0, 2.0)]),
        "int8": compare.of_int8([np.zeros((1, 2), np.int8)], [np.zeros((1, 2), np.int8)]),
    }
    assert compare.wrong(comparisons, {"float": "Keras", "int8": "the int8 reference"}) == [
        "the float model is DIFFERENT from Keras: outputs differ by at most 0.5, the largest is 2, on 2 images"
    ]
    assert compare.in_words("int8", comparisons["int8"], "the int8 reference") == (
        "agrees with the int8 reference: outputs differ by at most 0 of 255 steps, 0 % of their variance, on 1 image"
    )
