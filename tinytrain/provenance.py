"""The provenance of a run (origin.json): the code and the machines that trained it, and the classes of its data."""

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
PACKAGES = ("tensorflow", "keras", "numpy")  # that the weights of a run depend on, beside Python


def record(run: Run, classes: list[str]) -> None:
    """Writes origin.json into `run`; for a resumed run, adds the current commit and machine.

    If the machine differs from the last one, a line on standard error says so.
    """
    recorded = read(run)
    machines, current_machine = recorded.get("machines", []), machine.describe(run.config())
    if machines and (changed := machine.differences(machines[-1], current_machine)):
        print(escaped(f"this is another kind of machine than before ({changed}): {NOT_EQUAL}"), file=sys.stderr)
    commits = recorded.get("commits", [])
    current_commit = commit()
    write_json(
        run.origin_path,
        {
            "tinytrain": version("tinytrain"),
            "commits": commits if current_commit in commits else [*commits, current_commit],
            "packages": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            "machines": machines if current_machine in machines[-1:] else [*machines, current_machine],
            "classes": classes,
        },
    )


def read(run: Run) -> dict[str, Any]:
    """Returns {"tinytrain", "commits", "packages", "machines", "classes"}; older runs lack some or all of them."""
    return read_json(run.origin_path) if run.origin_path.is_file() else {}


def commit() -> str:
    """Returns the commit that tinytrain runs from, with "-dirty" if files have changed, or "" outside of Git."""
    git = ["git", "-C", str(plugins.PACKAGE)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", "__init__.py"], capture_output=True, check=True)
        described = subprocess.run(
            [*git, "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()
