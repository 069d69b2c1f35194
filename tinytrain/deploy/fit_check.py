"""Whether a model fits a board, and what would if it does not."""

import keras

from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.deploy import boards, firmware, memory
from tinytrain.deploy.boards import Board
from tinytrain.deploy.firmware import Sizes
from tinytrain.deploy.memory import Memory
from tinytrain.errors import DoesNotFit
from tinytrain.nn import pretrained
from tinytrain.quantize import convert, cosine_head
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip


def on_board(sizes: Sizes, board: Board) -> Memory:
    """Returns what linked or estimated `sizes` take of the memory of `board`."""
    limit_bytes = board.ram_limit_bytes(sizes.stack_bytes)
    return Memory(sizes.arena_bytes, sizes.ram_bytes, limit_bytes, sizes.flash_bytes, board.flash_bytes)


def estimated(model: Model, arena_bytes: int, board: Board) -> Memory:
    """Returns the memory of an int8 .tflite on `board` without linking it."""
    return on_board(firmware.estimate(model, arena_bytes, board), board)


def too_large(what: str, needed: Memory, board: Board, remedy: str) -> DoesNotFit:
    """Returns the error for a model that does not fit, with the numbers and what would fit."""
    return DoesNotFit(f"{what} does not fit {board.name}: it needs {needed.excess()}; {remedy}")


def refuse_if_too_large(model: keras.Model, config: Config, classes: int, word: str) -> None:
    """Raises DoesNotFit unless the untrained `model`, converted to int8, fits the board `word`.

    The error names the nearest smaller width and resolution that fit, found by estimate and proven by conversion.
    """
    board, model = boards.load(word), cosine_head.without_norm(model)
    needed = once_trained(model, board)
    if not needed.fits:
        what = f"{config.model.name} of width {config.model.width:g} at {config.model.resolution} pixels"
        raise too_large(what, needed, board, remedy(model, needed, config, classes, board))


def remedy(model: keras.Model, needed: Memory, config: Config, classes: int, board: Board) -> str:
    """Returns the nearest smaller width and resolution with which the network of `config` fits `board`, in words."""
    build = plugins.load("models", config.model.name).build
    options = pretrained.architecture_options(config.model) | {"classes": classes} | pretrained.build_options(model)
    _, model_bytes = memory.estimate(model)
    beside_arena = needed.ram_bytes - needed.arena_bytes  # stack and the like, the same for a smaller network
    beside_model = needed.flash_bytes - model_bytes

    def fits(arena_bytes: int, model_bytes: int) -> bool:
        ram, flash = arena_bytes + beside_arena, model_bytes + beside_model
        return ram <= needed.ram_limit_bytes and flash <= needed.flash_limit_bytes

    return memory.suggest(
        lambda width, resolution: build(**options | {"width": width, "resolution": resolution}),
        float(config.model.width),
        int(config.model.resolution),
        fits,
        lambda smaller: once_trained(smaller, board).fits,
    )


def once_trained(model: keras.Model, board: Board) -> Memory:
    """Returns the memory that `model` takes on `board` once it is trained."""
    stripped = strip(convert.convert_untrained(model))
    return estimated(stripped, memory.target_arena_bytes(stripped), board)
