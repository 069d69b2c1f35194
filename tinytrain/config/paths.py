"""Paths that a config holds: what is there, ~ replaced, made absolute so that a run repeats from any folder."""

from pathlib import Path

from tinytrain.errors import UserError


def is_there(path: Path) -> bool:
    """Returns whether there is a file or folder of this name; no file system has one whose name is too long for it."""
    try:
        return path.exists()
    except OSError:  # too long, or below a folder that may not be read
        return False


def expanded(path: str) -> Path:
    """Returns a path with ~ and ~name replaced; raises UserError for a user that this machine does not know."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(
            f"'{path}' names the home of a user who does not exist here: write ./{path} for a file of this name"
        ) from None


def absolute_weights(weights: str) -> str:
    """Returns model.weights with the path of a file that is there made absolute, anything else as it is."""
    if weights in ("", "imagenet"):
        return weights
    path = expanded(weights)
    return str(path.absolute()) if is_there(path) else weights


def absolute_database(url: str) -> str:
    """Returns the URL of a database with the path of an SQLite file made absolute, anything else as it is."""
    scheme, prefix, path = url.partition("sqlite:///")
    is_file = not scheme and prefix and path and not path.startswith((":", "file:"))
    return prefix + str(expanded(path).absolute()) if is_file else url


def absolute_teacher(teacher: str, seed: int) -> str:
    """Returns distill.teacher with {seed} filled in; a path is made absolute, whether or not there is such a file."""
    teacher = teacher.replace("{seed}", str(seed))
    is_path = teacher and not teacher.startswith("applications:")
    return str(expanded(teacher).absolute()) if is_path else teacher
