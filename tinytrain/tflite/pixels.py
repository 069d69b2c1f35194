"""What an 8-bit pixel is to a .tflite made elsewhere: range, order of channels, mean and deviation.

A network does not say what it takes a pixel for. It does say which real values its int8 input can hold, and these are
what pixels 0 to 255 became when it was calibrated: 0 to 255 itself (MLPerf Tiny's ResNet-8), 0 to 1 (its MobileNetV1),
-1 to 1 (Keras). The nearest usual range is taken or, where none is near, the input's own, with a hint. The keys of
[export] say it outright.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytrain.config.schema import Export
from tinytrain.errors import UserError
from tinytrain.tflite import int8_values
from tinytrain.tflite.model import Tensor

USUAL_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0), (-1.0, 127 / 128), (-0.5, 0.5), (-128.0, 127.0))
NEAR = 0.1  # of the span: calibration images need not hold the darkest and the brightest pixel
BEYOND = 0.02  # of the span: but no pixel lies outside the range, rounding aside
# Ranges of known preprocessings by mean and deviation: what the three channels span together, and the keys for it.
_PREPARED = {
    (-123.68, 255 - 103.939): "export.channel_order=bgr export.mean=[103.939,116.779,123.68]",
    (-0.485 / 0.229, (1 - 0.406) / 0.225): (
        "export.input_range=0..1 export.mean=[0.485,0.456,0.406] export.std=[0.229,0.224,0.225]"
    ),
}


@dataclass(frozen=True)
class Pixels:
    """The network takes (low + pixel · (high - low) / 255 - mean) / std.

    mean, std: one value, or one for each channel in the network's order (`bgr`); pixels are in the order
    R, G, B. hint: "" if the range is given or usual, else what may have been meant.
    """

    low: float
    high: float
    bgr: bool = False
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    hint: str = ""

    def tables(self, tensor: Tensor) -> np.ndarray:
        """Returns (1 or channels, 256) int8: the int8 input of each pixel, for each channel where they differ."""
        scale = (self.high - self.low) / 255
        count = max(len(self.mean), len(self.std))
        pairs = zip(self.mean * (count // len(self.mean)), self.std * (count // len(self.std)), strict=True)
        return np.array([int8_values.pixel_values(tensor, scale / std, (self.low - mean) / std) for mean, std in pairs])

    def to_input(self, images: np.ndarray, tensor: Tensor) -> np.ndarray:
        """Returns uint8 images (N, H, W, C) in the order R, G, B as the network's int8 input."""
        tables = self.tables(tensor)
        images = images[..., ::-1] if self.bgr else images
        return tables[np.arange(images.shape[-1]) % len(tables), images]

    def report(self) -> dict[str, Any]:
        """Returns the keys of the section "input" of report.json."""
        return {
            "pixel_0": self.low,
            "pixel_255": self.high,
            "channel_order": "bgr" if self.bgr else "rgb",
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def __str__(self) -> str:
        """Returns such as "pixels 0 to 255 as -1 to 1"."""
        more = [f"minus {_words(self.mean)}"] if any(self.mean) else []
        more += [f"divided by {_words(self.std)}"] if set(self.std) != {1.0} else []
        more += ["channels in the order B, G, R"] if self.bgr else []
        return ", ".join([f"pixels 0 to 255 as {self.low:g} to {self.high:g}", *more])


KEYS = ("input_range", "channel_order", "mean", "std")  # of [export]
RUN = Pixels(-1.0, 127 / 128)  # what a network trained here takes


def of(tensor: Tensor, export: Export) -> Pixels:
    """Returns what pixels are to the int8 input `tensor`: as the keys of [export] say, else read off its range.

    Raises:
        UserError: a key is malformed, or is for another number of channels than the input has.
    """
    channels = tensor.shape[-1] if tensor.shape else 1
    bgr = export.channel_order == "bgr"
    if bgr and channels != 3:
        raise UserError(f"export.channel_order is 'bgr', but the input {tensor.shape} has {channels} channels, not 3")
    mean, std = _channels("mean", export.mean, channels), _channels("std", export.std, channels)
    if export.input_range:
        return Pixels(*_parsed(export.input_range), bgr, mean, std)
    if any(mean) or set(std) != {1.0}:
        return Pixels(0.0, 255.0, bgr, mean, std)
    return _read_off(tensor, bgr)


def keys_of(section: dict[str, Any]) -> dict[str, Any]:
    """Returns the keys of [export] that an export of ours was fed by, from the section "input" of its report.json."""
    if not {"pixel_0", "pixel_255"} <= set(section):
        return {}
    keys = {name: section[name] for name in KEYS if name in section}  # older reports have the range alone
    return {"input_range": f"{section['pixel_0']!r}..{section['pixel_255']!r}"} | keys


def is_default(export: Export) -> bool:
    """Returns whether no key of [export] says what pixels are to the network."""
    default = Export()
    return all(getattr(export, name) == getattr(default, name) for name in KEYS)


def _channels(name: str, value: float | list[float], channels: int) -> tuple[float, ...]:
    values = tuple(value) if isinstance(value, list) else (float(value),)
    if len(values) not in (1, channels) or not all(map(math.isfinite, values)):
        raise UserError(
            f"export.{name} is {list(values)}: expected one finite number, or one for each of the {channels} channels "
            "that the network takes, in its order"
        )
    return values


def _parsed(text: str) -> tuple[float, float]:
    try:
        low, high = (float(limit) for limit in text.split(".."))
    except ValueError:
        low = high = math.nan
    if not math.isfinite(low) or not math.isfinite(high) or low == high:
        raise UserError(
            f"export.input_range is '{text}': expected the network's values for pixels 0 and 255, such as 0..1 or -1..1"
        )
    return low, high


def _read_off(tensor: Tensor, bgr: bool) -> Pixels:
    low, high = ((limit - tensor.zero_point[0]) * tensor.scale[0] for limit in (-128, 127))

    def distance(known: tuple[float, float]) -> float:
        return max(abs(low - known[0]), abs(high - known[1])) / (known[1] - known[0])

    def can_be(known: tuple[float, float]) -> bool:
        slack = BEYOND * (known[1] - known[0])
        return distance(known) <= NEAR and low >= known[0] - slack and high <= known[1] + slack

    if usual := [known for known in USUAL_RANGES if can_be(known)]:
        return Pixels(*min(usual, key=distance), bgr)
    prepared = min(_PREPARED, key=distance)
    like = f"it looks like {_PREPARED[prepared]}" if distance(prepared) <= NEAR else "the range is taken as it is"
    hint = (
        f"the range of its input, {low:.4g} to {high:.4g}, is not a usual one for pixels (0 to 1, -1 to 1, 0 to 255): "
        f"set export.input_range, channel_order, mean and std as in its training; {like}"
    )
    return Pixels(low, high, bgr, hint=hint)


def _words(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)
