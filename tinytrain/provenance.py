"""The provenance of a run (origin.json): the code and the machines that trained it, and the classes of its data."""

import platform
import subprocess
import sys
from importlib.metadata import version
from typing import Any

from tinytrain import distribution, machine
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.errors import escaped
from tinytrain.files import read_json, write_json
from tinytrain.run import Run

NOT_EQUAL = "the weights will not be equal, to the last bit, to those of a run that stayed on one machine"
PACKAGES = ("tensorflow", "keras", "numpy")  # that the weights of a run depend on, beside Python


def record(run: Run, classes: list[str], workers: int = 1) -> None:
    """Writes origin.json into `run`; for a resumed run, adds the current commit, machine and number of workers.

    If the machine or the number differs from the last one, a line on standard error says so.
    """
    recorded = read(run)
    _note_other_workers(recorded.get("workers", [1])[-1] if recorded else workers, workers, run.config())
    machines, current_machine = recorded.get("machines", []), machine.describe(run.config())
    if machines and (changed := machine.differences(machines[-1], current_machine)):
        print(escaped(f"this machine is of another kind than before ({changed}): {NOT_EQUAL}"), file=sys.stderr)
    commits = recorded.get("commits", [])
    current_commit = commit()
    write_json(
        run.origin_path,
        {
            "tinytrain": distribution.version(),
            "commits": commits if current_commit in commits else [*commits, current_commit],
            "packages": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            "machines": _appended(machines, current_machine),
            "workers": _appended(recorded.get("workers", []), workers),
            "classes": classes,
        },
    )


def _appended(values: list, value: Any) -> list:
    """Returns the values with another one at the end, unless it is the last one already."""
    return values if value in values[-1:] else [*values, value]


def _note_other_workers(before: int, now: int, config: Config) -> None:
    """Prints a line if a run goes on with another number of workers than before."""
    if before == now:
        return
    equal = "equal up to rounding to" if config.optim.sync_batch_norm else "different from"
    why = "" if config.optim.sync_batch_norm else ", as BatchNorm sees a worker's own images (optim.sync_batch_norm)"
    print(
        f"this run was trained by {before} worker{'s' * (before > 1)} before, now by {now}: its weights will be "
        f"{equal} those of a run that stayed with {before}{why}",
        file=sys.stderr,
    )


def read(run: Run) -> dict[str, Any]:
    """Returns {"tinytrain", "commits", "packages", "machines", "workers", "classes"}; older runs lack some of them."""
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
