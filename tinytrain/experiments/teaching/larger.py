"""Which network teaches: a larger one that takes the same images.

The rule. A teacher has at least LEAST_RATIO times the multiply-accumulates of the student; of those that have, the
first of these:
1. a network whose published ImageNet weights are in Keras' folder: the student's architecture, then MobileNetV2, the
   narrowest first; color images only;
2. up to SMALL_IMAGES pixels, ResNet-8, the narrowest of WIDTHS first (docs/training-methods.md has the measurement);
3. the student's architecture, the narrowest of WIDTHS first.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import keras

from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.nn import imagenet, macs
from tinytrain.nn.build import build_model
from tinytrain.train.resolve import copied

LEAST_RATIO = 4.0
WIDTHS = (1.0, 1.5, 2.0, 3.0, 4.0)
SMALL_IMAGES, SMALL_TEACHER = 64, "resnet8"
SECOND_PUBLISHED = "mobilenet_v2"


@dataclass(frozen=True)
class Larger:
    """A teacher to train: keys of [model], and how many times the student's multiply-accumulates it has."""

    name: str
    width: float
    stem: str
    weights: str
    ratio: float

    @property
    def settings(self) -> dict[str, Any]:
        """{dotted key: value} of the config."""
        return {f"model.{key}": value for key, value in asdict(self).items() if key != "ratio"}

    def __str__(self) -> str:
        begun = ", starting from its published weights" if self.weights else ""
        return f"{self.name} {self.width:g}, {self.ratio:.1f} times the student's MACs{begun}"


def choose(known: Config, classes: int, count: Callable[[Config, int], int] | None = None) -> Larger:
    """Returns the teacher of a student.

    Args:
        known: the student's config, without "auto".
        classes: how many there are.
        count: returns the MACs of the network of a config; by default its network is built.

    Raises:
        UserError: there is none that is large enough.
    """
    count = count or network_macs
    own = count(known, classes)
    for name, width, stem, weights in _candidates(known):
        config = copied(known)
        for key, value in (("name", name), ("width", width), ("stem", stem)):
            configs.set_key(config, f"model.{key}", value)
        if (ratio := count(config, classes) / own) >= LEAST_RATIO:
            return Larger(name, width, stem, weights, ratio)
    raise UserError(
        f"--teacher auto knows no network with {LEAST_RATIO:g} times the MACs of {known.model.name} of width "
        f"{known.model.width:g}, {own:,}: train one and give its folder, --teacher RUN"
    )


def _candidates(known: Config) -> Iterator[tuple[str, float, str, str]]:
    """Yields (name, width, stem, weights) in the order of the rule."""
    model = known.model
    for name in dict.fromkeys((model.name, SECOND_PUBLISHED)):
        published = imagenet.PUBLISHED.get(name)
        if published and model.channels == 3:
            widths = [width for width in published.widths if _is_there(published, width, int(model.resolution))]
            yield from ((name, width, model.stem, "imagenet") for width in widths)
    if int(model.resolution) <= SMALL_IMAGES:
        yield from ((SMALL_TEACHER, width, "cifar", "") for width in WIDTHS)
    yield from ((model.name, width, model.stem, "") for width in WIDTHS)


def _is_there(published: imagenet.Published, width: float, resolution: int) -> bool:
    side = imagenet.published_resolution(published, width, resolution)
    return (imagenet.folder() / published.file(width, side)).is_file()


def network_macs(config: Config, classes: int) -> int:
    """Returns the multiply-accumulates of the untrained network of a config."""
    config = copied(config)
    config.model.weights = ""
    network = build_model(config, classes)
    keras.utils.clear_session()
    return macs.count(network)
