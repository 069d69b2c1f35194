"""The least memory that a step of training takes, so that one that this machine cannot do is refused at once."""

import math
import os

import keras

from tinytrain.errors import UserError

_COPIES = 3  # of each weight: itself, its gradient, its velocity


def step_bytes(model: keras.Model, batch: int) -> int:
    """Returns the fewest bytes of one step: the outputs of convolutions and matrix products, and the weights.

    What a step holds beside these depends on what TensorFlow fuses.
    """
    maps = sum(
        math.prod(layer.output.shape[1:]) * (2 if "16" in layer.compute_dtype else 4)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense)
    )
    return batch * maps + 4 * _COPIES * model.count_params()


def machine_bytes() -> int:
    """Returns the memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def refuse_too_much(model: keras.Model, batch: int) -> None:
    """Raises UserError if a step of `batch` images needs more memory than the machine has."""
    needed, available = step_bytes(model, batch), machine_bytes()
    if needed > available:
        side = model.input_shape[1]
        raise UserError(
            f"a step of {batch:,} images at {side} pixels needs at least {needed / 1e9:,.1f} GB, but this machine has "
            f"{available / 1e9:,.1f} GB: lower optim.batch, model.resolution or model.width"
        )
