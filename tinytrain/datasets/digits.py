"""The 1,797 gray 8x8 images of handwritten digits in scikit-learn (UCI "Optical Recognition of Handwritten Digits").

They are real images and come with the installation, so that the demo and the tests need no network and no files.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from tinytrain.config.schema import Data
from tinytrain.data.source import Dataset, ImageSet
from tinytrain.errors import UserError


def load(argument: str, data: Data) -> Dataset:
    """Returns the digits as one set of images; `argument` must be empty."""
    from sklearn.datasets import load_digits

    if argument:
        raise UserError(f"'digits:{argument}' is not a dataset: digits takes no argument, use data.spec=digits")
    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), 0..16 in scikit-learn

    def images(prepare: Callable[[Image.Image], Any], numbers: np.ndarray) -> Iterator[Any]:
        return (prepare(Image.fromarray(pixels[number])) for number in numbers.tolist())

    names = [f"digit-{number:04d}" for number in range(len(pixels))]
    image_set = ImageSet(digits.target.astype(np.int64), names, "scikit-learn digits", images)
    return Dataset([str(digit) for digit in range(10)], {"all": image_set}, channels=1, side=32, flip=False)
