"""The ImageNet weights that keras.applications publishes: for which networks, in which files, for which pixels.

Keras looks for a file in KERAS_HOME/models (by default ~/.keras/models) and downloads it if it is missing. The networks
are built from the file here, never with weights="imagenet", so that a file copied there by hand works as well.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinytrain.config.schema import Model
from tinytrain.errors import UserError

NETWORK_TIMEOUT_S = 10
STORAGE = "https://storage.googleapis.com"


@dataclass(frozen=True)
class Published:
    """The published weights of one architecture, and the pixels that they were trained on.

    The network takes `pixel_scale`·pixel + `pixel_offset`. It may have preprocessing layers of its own; `scale` is
    applied after them. Offsets and scales are for red, green and blue.
    """

    application: str  # a function of keras.applications
    url: str  # of the folder
    file: Callable[[float, int], str]  # (width, resolution) -> file name
    widths: tuple[float, ...] = (1.0,)
    resolutions: tuple[int, ...] = (224,)
    md5: dict[float, str] = field(default_factory=dict)  # by width; Keras has none for MobileNet and MobileNetV2
    with_classifier: bool = False  # only the file with the classifier holds the head of MobileNetV3
    pixel_scale: float = 1.0
    pixel_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    reverse_channels: bool = False
    build_options: dict[str, Any] = field(default_factory=dict)


PUBLISHED = {
    "mobilenet_v1": Published(
        application="MobileNet",
        url=f"{STORAGE}/tensorflow/keras-applications/mobilenet",
        file=lambda width, side: f"mobilenet_{_tenths(width)}_{side}_tf_no_top.h5",
        widths=(0.25, 0.5, 0.75, 1.0),
        resolutions=(128, 160, 192, 224),
        pixel_scale=1 / 127.5,
        pixel_offset=(-1.0, -1.0, -1.0),
    ),
    "mobilenet_v2": Published(
        application="MobileNetV2",
        url=f"{STORAGE}/tensorflow/keras-applications/mobilenet_v2",
        file=lambda width, side: f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{width}_{side}_no_top.h5",
        widths=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
        resolutions=(96, 128, 160, 192, 224),
        pixel_scale=1 / 127.5,
        pixel_offset=(-1.0, -1.0, -1.0),
    ),
    # Width 0.75 is published, too, but with other channel counts: there the expanded channels are a multiple of the
    # rounded input channels, here the multiple is rounded.
    "mobilenet_v3_large": Published(
        application="MobileNetV3Large",
        url=f"{STORAGE}/tensorflow/keras-applications/mobilenet_v3",
        file=lambda width, side: f"weights_mobilenet_v3_large_{side}_{width}_float.h5",
        md5={1.0: "59e551e166be033d707958cf9e29a6a7"},
        with_classifier=True,
    ),
    "mobilenet_v3_small": Published(
        application="MobileNetV3Small",
        url=f"{STORAGE}/tensorflow/keras-applications/mobilenet_v3",
        file=lambda width, side: f"weights_mobilenet_v3_small_{side}_{width}_float.h5",
        md5={1.0: "8768d4c2e7dee89b9d02b2d03d65d862"},
        with_classifier=True,
    ),
    # Its Normalization layer divides by the square root of the standard deviation. Keras corrects this with a second
    # Rescaling layer, which it adds with weights="imagenet" but not with the path of the same file.
    "efficientnet_b0": Published(
        application="EfficientNetB0",
        url=f"{STORAGE}/keras-applications",
        file=lambda width, side: "efficientnetb0_notop.h5",
        md5={1.0: "50bc09e76180e00e4465e1a485ddc09d"},
        scale=(0.229**-0.5, 0.224**-0.5, 0.225**-0.5),
    ),
    "resnet50": Published(
        application="ResNet50",
        url=f"{STORAGE}/tensorflow/keras-applications/resnet",
        file=lambda width, side: "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        md5={1.0: "4d473c1dd8becc155b73f8504c6f6626"},
        pixel_offset=(-123.68, -116.779, -103.939),
        reverse_channels=True,
        build_options={"stride_on": "1x1"},
    ),
}


def published(config: Model) -> Published:
    """Returns the row of PUBLISHED for a [model] section.

    Raises:
        UserError: no weights are published for the architecture, the width or the channels; it lists what there is.
    """
    published = PUBLISHED.get(config.name)
    if published is None:
        raise UserError(
            f"no ImageNet weights are published for {config.name}: model.weights=imagenet is for "
            f"model.name = {', '.join(sorted(PUBLISHED))}"
        )
    if config.width not in published.widths:
        widths = ", ".join(f"{width:g}" for width in published.widths)
        raise UserError(
            f"{config.name} is published for width{'s' if len(published.widths) > 1 else ''} {widths}; "
            f"received model.width = {config.width:g}"
        )
    if config.channels != 3:
        raise UserError(
            f"model.weights=imagenet is for color images: it needs model.channels=3, received {config.channels}"
        )
    return published


def published_resolution(published: Published, width: float, resolution: int) -> int:
    """Returns the resolution, in pixels, nearest to `resolution` at which weights of this width were trained.

    Args:
        published: the row of the architecture.
        width: one of its widths.
        resolution: in pixels.
    """
    sides = published.resolutions if width <= 1 else (224,)  # MobileNetV2 1.3 and 1.4 have no others
    return min(sides, key=lambda side: abs(side - resolution))


def application(published: Published, width: float, resolution: int) -> keras.Model:
    """Returns the network of keras.applications with its published weights, downloaded if they are missing."""
    side = published_resolution(published, width, resolution)
    path = _file(published.file(width, side), published.url, published.md5.get(width))
    alpha = {"alpha": width} if published.application.startswith("Mobile") else {}
    build = getattr(keras.applications, published.application)
    try:
        return build(input_shape=(side, side, 3), include_top=published.with_classifier, weights=str(path), **alpha)
    except Exception as error:  # h5py and Keras raise many kinds for a wrong or truncated file
        raise UserError(
            f"'{path}' does not hold the published weights ({one_line(error)}): "
            f"fetch it again from {published.url}/{path.name}"
        ) from None


def rescaling(application: keras.Model, published: Published) -> tuple[list[float], list[float]]:
    """Returns (scale, offset), for each channel, that map y = (pixel - 128)/128 to the first convolution's input."""
    scale, offset = np.full(3, published.pixel_scale), np.array(published.pixel_offset)
    for layer in application.layers:
        if isinstance(layer, keras.layers.Rescaling):
            scale, offset = scale * layer.scale, offset * layer.scale + layer.offset
        elif isinstance(layer, keras.layers.Normalization):
            mean, variance = (weight.astype("float64").reshape(-1) for weight in layer.get_weights()[:2])
            scale, offset = scale / np.sqrt(variance), (offset - mean) / np.sqrt(variance)
    scale, offset = scale * published.scale, offset * published.scale
    return (128 * scale).tolist(), (128 * scale + offset).tolist()


def folder() -> Path:
    """Returns the folder where Keras looks for published weights."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models"


def _file(name: str, url: str, md5: str | None) -> Path:
    """Returns the path of a published file, downloaded if it is not in Keras' folder yet."""
    path = folder() / name
    if path.exists():
        return path
    try:
        with network_timeout(), contextlib.redirect_stdout(sys.stderr):
            return Path(
                keras.utils.get_file(
                    name, f"{url}/{name}", cache_subdir="models", cache_dir=str(path.parents[1]), file_hash=md5
                )
            )
    except Exception as error:  # Keras raises its own plain Exception for a URLError
        reason = one_line(getattr(error.__context__, "reason", None) or error)
        raise UserError(
            f"model.weights=imagenet needs '{name}', which could not be downloaded ({reason}): "
            f"fetch {url}/{name} on another machine and put it into the folder {path.parent}"
        ) from None


@contextlib.contextmanager
def network_timeout() -> Iterator[None]:
    """Limits the wait for a silent network to NETWORK_TIMEOUT_S inside the block."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def one_line(error: object) -> str:
    """Returns the message of another library's error on one line, for use in a sentence."""
    return " ".join(str(error).split()) or type(error).__name__


def _tenths(width: float) -> str:
    """Returns a width as MobileNet's file names have it: 0.25 as "2_5", 1.0 as "1_0"."""
    return "1_0" if width == 1 else f"{10 * width:.1f}".replace(".", "_")
