"""Between int8 values of a .tflite and what they stand for."""

import numpy as np

from tinytrain.data.images import Images
from tinytrain.tflite.model import Tensor


def to_int8(images: Images) -> np.ndarray:
    """Returns uint8 pixels as the int8 input of our models: q = pixel - 128."""
    pixels = np.array(images)
    return np.bitwise_xor(pixels, np.uint8(128), out=pixels).view(np.int8)  # the same bits, and no wider array


def dequantize(outputs: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Returns int8 outputs in real units: (q - zero point)·scale."""
    return (outputs.astype(np.float32) - tensor.zero_point[0]) * np.float32(tensor.scale[0])


def pixel_values(tensor: Tensor, scale: float = 1 / 128, offset: float = -1.0) -> np.ndarray:
    """Returns (256,) int8: the quantized input for each 8-bit pixel, if the network takes `pixel * scale + offset`.

    The default is tinytrain's own input in [-1, 1); MLPerf Tiny's models take 0..255, scale 1 and offset 0.
    """
    real = np.arange(256, dtype=np.float64) * scale + offset
    steps = np.floor(real / np.float32(tensor.scale[0]) + 0.5)  # half up
    return np.clip(steps + tensor.zero_point[0], -128, 127).astype(np.int8)
