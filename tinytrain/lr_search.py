"""The search for the learning rate before a training (methods.md C.5)."""

from tinytrain.config import Config
from tinytrain.run import Run
from tinytrain.splits import Split

RANGES = {"efficientnet_b0": (0.001, 0.01)}  # as published, by architecture; the others have that of MobileNetV3
USUAL_RANGE = (0.005, 0.029)
USUAL_EPOCHS = {"tpe": 6, "grid": 9}


def usual_range(name: str) -> tuple[float, float]:
    """Returns the lowest and the highest learning rate that the paper searches for an architecture."""
    return RANGES.get(name, USUAL_RANGE)


def find(run: Run, config: Config, data: Split) -> float:
    """Returns the learning rate that [search] of `config` finds."""
    raise NotImplementedError
