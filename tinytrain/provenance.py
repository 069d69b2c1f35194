"""Where a run comes from (origin.json): what trained it, on which machine, and its data's classes."""

import platform
import subprocess
import sys
from importlib.metadata import version
from typing import Any

from tinytrain import machine
from tinytrain.config import plugins
from tinytrain.errors import escaped
from tinytrain.files import read_json, write_json
from tinytrain.run import Run

NOT_EQUAL = "the weights will not be those, to the last bit, of a run that stayed on one"
PACKAGES = ("tensorflow", "keras", "numpy")  # what the weights of a run depend on, beside Python


def record(run: Run, classes: list[str]) -> None:
    """Writes origin.json into `run`; of a run that goes on, adds the commit and the machine that it goes on with.

    Another kind of machine than the last one is told to standard error in one line.
    """
    known = read(run)
    machines, here = known.get("machines", []), machine.describe(run.config())
    if machines and (changed := machine.differences(machines[-1], here)):
        print(escaped(f"this is another kind of machine than before ({changed}): {NOT_EQUAL}"), file=sys.stderr)
    commits = known.get("commits", [])
    own = commit()
    write_json(
        run.origin_path,
        {
            "tinytrain": version("tinytrain"),
            "commits": commits if own in commits else [*commits, own],
            "packages": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            "machines": machines if here in machines[-1:] else [*machines, here],
            "classes": classes,
        },
    )


def read(run: Run) -> dict[str, Any]:
    """Returns {"tinytrain", "commits", "packages", "machines", "classes"} of a run; older runs have fewer, or none."""
    return read_json(run.origin_path) if run.origin_path.is_file() else {}


def commit() -> str:
    """Returns the commit of the repository that tinytrain runs from, "-dirty" after it if files changed, or ""."""
    git = ["git", "-C", str(plugins.PACKAGE)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", "__init__.py"], capture_output=True, check=True)
        described = subprocess.run(
            [*git, "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()
