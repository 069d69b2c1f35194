"""Keeps the messages of C++ libraries off the terminal."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tinytrain import heap, progress
from tinytrain.errors import UserError


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back what the block writes to file descriptor 2, and prints it only if the block raises.

    Python's sys.stderr still reaches the terminal. TINYTRAIN_VERBOSE=1 lets everything through.
    """
    if os.environ.get("TINYTRAIN_VERBOSE"):
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    python_stderr = sys.stderr
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(terminal), "w", buffering=1) as passed:
        os.dup2(held.fileno(), 2)
        sys.stderr = passed
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            sys.stderr = python_stderr
            _hand_back(passed, python_stderr)
            os.dup2(terminal, 2)
            os.close(terminal)


def _hand_back(passed: TextIO, stderr: TextIO) -> None:
    """Gives `stderr` to the handlers of loggers that were made inside the block and write to `passed`."""
    for logger in [logging.root, *map(logging.getLogger, list(logging.root.manager.loggerDict))]:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is passed:
                handler.setStream(stderr)


def import_tensorflow(at_once: bool = False) -> None:
    """Imports TensorFlow, Keras and KerasCV without their start-up messages, showing that it does.

    Args:
        at_once: show it now rather than after some seconds.

    Raises:
        UserError: the program has imported tensorflow_model_optimization, after which KerasCV cannot be imported.
    """
    if "tensorflow_model_optimization" in sys.modules and "keras_cv" not in sys.modules:
        raise UserError(
            "tensorflow_model_optimization was imported before tinytrain's functions, and turned TensorFlow to Keras 2;"
            " name one first, as in `import tinytrain; tinytrain.fit`, and import it after that"
        )
    # Where workers train together, TensorFlow prints pages about one that ends; ours is a sentence (`collectives`).
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if os.environ.get("TF_CONFIG") else "2")
    # tensorflow_model_optimization sets it, and processes that are started after that inherit it: KerasCV would use
    # Keras 2 and its own backend, and print a message. A setting of the user is meant for other programs.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    if "keras_cv" in sys.modules:
        return
    heap.keep()
    with progress.stage("importing TensorFlow", at_once=at_once), quiet(), _missing("matplotlib", "sklearn"):
        import tensorflow as tf

        tf.config.list_physical_devices()
        import keras_cv  # noqa: F401

        from tinytrain import onednn  # which imports TensorFlow

        onednn.mend()


@contextmanager
def _missing(*packages: str) -> Iterator[None]:
    """Lets the block import as if `packages` were not installed, unless they were imported before.

    Keras imports them, if they are there, for parts that tinytrain does not use. That was a third of the processor
    time of the whole import.
    """
    hidden = [name for name in packages if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # as documented: an import of it raises ImportError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
