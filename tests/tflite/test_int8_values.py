"""int8 values and what they stand for, by hand."""

import numpy as np

from tinytrain.tflite import int8_values
from tinytrain.tflite.model import Tensor


def tensor(scale, zero_point):
    return Tensor("t", (1, 4), "int8", (scale,), (zero_point,), constant=False)


def test_a_pixel_is_itself_minus_128():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    found = int8_values.to_int8(pixels)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, pixels.astype(int) - 128)


def test_real_values_are_the_steps_from_the_zero_point():
    found = int8_values.dequantize(np.array([-128, -3, 0, 127], np.int8), tensor(0.5, -3))
    np.testing.assert_array_equal(found, [-62.5, 0, 1.5, 65])


def test_pixels_of_another_range_are_rounded_half_up_and_cut_off():
    found = int8_values.pixel_values(tensor(2.0, -100), scale=1.0, offset=0.0)
    assert found[:4].tolist() == [-100, -99, -99, -98]  # 0, 0.5, 1, 1.5 steps above the zero point
    assert int8_values.pixel_values(tensor(1.0, 0), scale=1.0, offset=0.0)[[127, 128, 255]].tolist() == [127, 127, 127]
