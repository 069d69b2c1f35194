"""Where a run comes from (origin.json): the version and commits of tinytrain that trained it, its data's classes."""

import json
import subprocess
from importlib.metadata import version
from typing import Any

from tinytrain import rooms
from tinytrain.run import Run, write_json


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
            "classes": classes,
        },
    )


def read(run: Run) -> dict[str, Any]:
    """Returns {"tinytrain", "commits", "classes"} of a run; {} of one that has none, from before they were kept."""
    return json.loads(run.origin_path.read_text()) if run.origin_path.is_file() else {}


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
