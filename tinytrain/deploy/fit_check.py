"""Whether a model fits a board, and which smaller one would."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tinytrain.config import plugins
from tinytrain.config.schema import Config, Export
from tinytrain.data import boxes
from tinytrain.deploy import boards, estimate, firmware, memory
from tinytrain.deploy.boards import Board
from tinytrain.deploy.compiled import engine
from tinytrain.deploy.compiled.plan import Plan
from tinytrain.deploy.decode import of_config
from tinytrain.deploy.decode.boxes import Decoder
from tinytrain.deploy.firmware import Sizes
from tinytrain.deploy.kernels import choice
from tinytrain.deploy.memory import Memory
from tinytrain.errors import DoesNotFit
from tinytrain.nn import pretrained
from tinytrain.quantize import convert, cosine_head
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip
from tinytrain.train import task as tasks
from tinytrain.train.resolve import copied


def on_board(sizes: Sizes, board: Board) -> Memory:
    """Returns what linked or estimated `sizes` take of the memory of `board`."""
    limit_bytes = board.ram_limit_bytes(sizes.stack_bytes)
    return Memory(sizes.arena_bytes, sizes.ram_bytes, limit_bytes, sizes.flash_bytes, board.flash_bytes)


def estimated(
    model: Model, arena_bytes: int, board: Board, decoder: Decoder | None = None, plan: Plan | None = None
) -> Memory:
    """Returns the memory of a firmware on `board` without linking it; the arguments are as of `firmware.estimate`."""
    return on_board(firmware.estimate(model, arena_bytes, board, decoder, plan), board)


def too_large(network: str, needed: Memory, board: Board, remedy: str) -> DoesNotFit:
    """Returns the error for a model that does not fit, with the numbers and what would fit.

    Args:
        network: what the message calls the model.
        needed: what it takes.
        board: the board.
        remedy: what would fit, in words.
    """
    return DoesNotFit(f"{network} does not fit {board.name}: it needs {needed.excess()}; {remedy}")


class BoardCheck:
    """What the board or microcontroller `mcu` has room for, as `train.fit` asks it."""

    def __init__(self, mcu: str) -> None:
        self.mcu = mcu

    def __call__(self, model: keras.Model, config: Config, classes: int) -> None:
        """Raises DoesNotFit unless the untrained `model` of `config` fits."""
        refuse_if_too_large(model, config, classes, self.mcu)

    def largest(self, build: Callable[[int], tuple[keras.Model, Config]], classes: int, sides: Sequence[int]) -> int:
        """Returns the first of `sides`, in pixels, largest first, whose network fits; the last if none does.

        Estimates leave most of them out; one that remains is converted, as estimates are wrong by a few percent.
        """
        board, (smallest, config) = boards.load(self.mcu), build(sides[-1])
        compiled = not engine.certain_reason(config.export, board)
        fits = _like(once_trained(smallest, config, classes, board), smallest, compiled)
        for side in sides[:-1]:
            model, config = build(side)
            if (
                fits(*estimate.arena_and_model_bytes(model, compiled))
                and once_trained(model, config, classes, board).fits
            ):
                return side
        return sides[-1]


def _like(needed: Memory, model: keras.Model, compiled: bool) -> Callable[[int, int], bool]:
    """Returns whether (arena_bytes, model_bytes) of a network fit where `model` takes what is `needed`."""
    _, model_bytes = estimate.arena_and_model_bytes(model, compiled)
    beside_arena = needed.ram_bytes - needed.arena_bytes  # stack and the like, the same for a smaller network
    beside_model = needed.flash_bytes - model_bytes

    def fits(arena_bytes: int, model_bytes: int) -> bool:
        ram, flash = arena_bytes + beside_arena, model_bytes + beside_model
        return ram <= needed.ram_limit_bytes and flash <= needed.flash_limit_bytes

    return fits


def refuse_if_too_large(model: keras.Model, config: Config, classes: int, mcu: str) -> None:
    """Raises DoesNotFit unless the untrained `model`, converted to int8, fits the board or microcontroller `mcu`.

    The error names the nearest smaller width and resolution that fit, found by estimate and proven by conversion.

    Args:
        model: the network with its head.
        config: the run, without "auto".
        classes: the number of classes.
        mcu: the name of a board or microcontroller.
    """
    board, model = boards.load(mcu), cosine_head.without_norm(model)
    needed = once_trained(model, config, classes, board)
    if not needed.fits:
        network = f"{config.model.name} of width {config.model.width:g} at {config.model.resolution} pixels"
        raise too_large(network, needed, board, remedy(model, needed, config, classes, board))


def remedy(model: keras.Model, needed: Memory, config: Config, classes: int, board: Board) -> str:
    """Returns the nearest smaller width and resolution with which the network of `config` fits `board`, in words."""
    options = pretrained.architecture_options(config.model) | {"classes": classes} | pretrained.build_options(model)
    architecture = plugins.load("models", config.model.name).build
    names = [str(number) for number in range(classes)]
    compiled = not engine.certain_reason(config.export, board)

    def build(width: float, resolution: int) -> keras.Model:
        smaller = copied(config)
        smaller.model.width, smaller.model.resolution, smaller.model.weights = width, resolution, ""
        return tasks.of(smaller, names).head(architecture(**options | {"width": width, "resolution": resolution}))

    return nearest_that_fit(
        build,
        float(config.model.width),
        int(config.model.resolution),
        _like(needed, model, compiled),
        lambda smaller: once_trained(smaller, config, classes, board).fits,
        multiple=max(map(int, config.detect.strides)) if config.task in boxes.TASKS else 8,
        compiled=compiled,
    )


def nearest_that_fit(
    build: Callable[[float, int], keras.Model],
    width: float,
    resolution: int,
    fits: Callable[[int, int], bool],
    verify: Callable[[keras.Model], bool] | None = None,
    multiple: int = 8,
    compiled: bool = False,
) -> str:
    """Returns the nearest smaller width and the nearest smaller resolution that fit, as the end of a sentence.

    Where neither alone does (flash depends on the width, RAM on both), it is a smaller width with a smaller resolution.
    Widths are searched in steps of 0.05, resolutions in steps of `multiple` pixels down to 16.

    Args:
        build: (width, resolution) → the network.
        width: of the network that does not fit.
        resolution: of that network, in pixels.
        fits: (arena_bytes, model_bytes) → whether an estimate fits the board.
        verify: whether a network fits when it is converted; it decides where estimates are wrong.
        multiple: what resolutions are multiples of, in pixels.
        compiled: whether the compiled engine runs the network.
    """
    widths = [step / 20 for step in range(math.ceil(width * 20 - 1e-9) - 1, 0, -1)]
    resolutions = list(range((resolution - 1) // multiple * multiple, 15, -multiple))

    def first(candidates: Sequence[Any], build_one: Callable[[Any], keras.Model]) -> Any:
        """Returns the first of `candidates`, largest first, that fits: by halving, then verified going down."""
        low, high = 0, len(candidates)
        while low < high:
            middle = (low + high) // 2
            low, high = (
                (low, middle)
                if fits(*estimate.arena_and_model_bytes(build_one(candidates[middle]), compiled))
                else (middle + 1, high)
            )
        return next((c for c in candidates[low:] if verify is None or verify(build_one(c))), None)

    nearest = [
        ("model.width", first(widths, lambda smaller: build(smaller, resolution))),
        ("model.resolution", first(resolutions, lambda smaller: build(width, smaller))),
    ]
    alternatives = [f"{key}={value:g}" for key, value in nearest if value is not None]
    if not alternatives and resolutions:
        thin = next(
            (
                width
                for width in widths
                if fits(*estimate.arena_and_model_bytes(build(width, resolutions[-1]), compiled))
            ),
            None,
        )
        side = thin and first(resolutions, lambda smaller: build(thin, smaller))
        alternatives = [f"model.width={thin:g} with model.resolution={side:g}"] if side else []
    return "nearest that fits: " + " or ".join(alternatives) if alternatives else "no smaller width and resolution fit"


def once_trained(model: keras.Model, config: Config, classes: int, board: Board) -> Memory:
    """Returns the memory that the network `model` of `config` takes on `board` once it is trained."""
    stripped = strip(convert.convert_untrained(model))
    decoder = of_config.untrained(config, classes, stripped) if config.task in boxes.TASKS else None
    chosen = engine.choose(stripped, config.export, board)
    return of_engine(stripped, chosen, config.export, board, decoder)


def of_engine(
    stripped: Model, chosen: engine.Engine, settings: Export, board: Board, decoder: Decoder | None = None
) -> Memory:
    """Returns the memory that a stripped model takes on `board`.

    Args:
        stripped: the model.
        chosen: what runs it.
        settings: the section [export].
        board: the board.
        decoder: that of a detector.
    """
    if chosen.plan:
        return estimated(stripped, chosen.plan.arena_bytes, board, decoder, chosen.plan)
    derived = choice.held(stripped, settings.kernels, board)
    return estimated(derived.model, memory.arena_bytes(stripped, derived), board, decoder)
