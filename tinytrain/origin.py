"""Where a run comes from (origin.json): what trained it, and its data's classes."""

import platform
import subprocess
from importlib.metadata import version
from typing import Any

from tinytrain import rooms
from tinytrain.run import Run, read_json, write_json

PACKAGES = ("tensorflow", "keras", "numpy")  # what the weights of a run depend on, beside Python


def record(run: Run, classes: list[str]) -> None:
    """Writes origin.json into `run`; of a run that goes on, adds the commit that it goes on with."""
    known = read(run)
    commits = known.get("commits", [])
    own = commit()
    write_json(
        run.origin_path,
        {
            "tinytrain": version("tinytrain"),
            "commits": commits if own in commits else [*commits, own],
            "packages": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            "classes": classes,
        },
    )


def read(run: Run) -> dict[str, Any]:
    """Returns {"tinytrain", "commits", "packages", "classes"} of a run; older runs have fewer, or none of them."""
    return read_json(run.origin_path) if run.origin_path.is_file() else {}


def commit() -> str:
    """Returns the commit of the repository that tinytrain runs from, "-dirty" after it if files changed, or ""."""
    git = ["git", "-C", str(rooms.PACKAGE)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", "__init__.py"], capture_output=True, check=True)
        described = subprocess.run(
            [*git, "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()
