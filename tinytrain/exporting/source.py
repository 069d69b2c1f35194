"""What `tinytrain export` is given: a finished run or a .tflite file, with the overrides and flags that go with it."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.errors import UserError, escaped
from tinytrain.evaluation_data import measured
from tinytrain.exporting import int8_model
from tinytrain.exporting.int8_model import Int8Model
from tinytrain.run import Run
from tinytrain.tflite import pixels


def load(
    target: Path, overrides: Sequence[str], data: str | None, diagnose: bool, check: Callable[[Config], None]
) -> tuple[Int8Model, Config]:
    """Returns the int8 model of a run or a .tflite file, and the config that it is exported with.

    The arguments are those of `commands.export.export`; `check` refuses a config before the long work.

    Raises:
        UserError: an unfinished run, a .tflite that the firmware cannot run, or a flag or key of the other kind.
    """
    if target.is_file():
        return _of_file(target, overrides, data, diagnose, check)
    return _of_run(Run.open(target), overrides, data, diagnose, check)


def _of_file(
    path: Path, overrides: Sequence[str], data: str | None, diagnose: bool, check: Callable[[Config], None]
) -> tuple[Int8Model, Config]:
    config = measured.settings(path, overrides, data, "export", ("export.",))
    if not data and (about_images := [override for override in overrides if override.startswith("data.")]):
        raise UserError(f"{', '.join(about_images)}: applies only to images; give them with --data SPEC")
    if diagnose:
        raise UserError(f"--diagnose compares with the float model, but '{path}' is a .tflite without one")
    check(config)
    model = int8_model.from_file(path, config, data)
    if model.pixels.hint:
        print(escaped(f"tinytrain: '{path}': {model.pixels.hint}"), file=sys.stderr)
    return model, config


def _of_run(
    run: Run, overrides: Sequence[str], data: str | None, diagnose: bool, check: Callable[[Config], None]
) -> tuple[Int8Model, Config]:
    if data:
        raise UserError("--data is for a .tflite; a run is exported with the data it was trained on")
    config = _with_overrides(run.config(), overrides)
    if not pixels.is_default(config.export):
        names = ", ".join(pixels.KEYS)
        raise UserError(f"export.{names} are for a .tflite; a run takes pixels as in its training")
    check(config)
    run.metrics()  # refuses an unfinished run
    return int8_model.from_run(run, config, diagnose), config


def _with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    known = configs.keys()
    for override in overrides:
        key = override.partition("=")[0]
        if key in known and not key.startswith(("qat.", "export.")):
            raise UserError(
                f"export cannot change {key}: the run is already trained; it takes the keys of [qat] and [export]"
            )
    return configs.apply(config, overrides)
