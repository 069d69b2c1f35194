"""`tinytrain report`: reads runs, writes one HTML file about them."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from tinytrain import files
from tinytrain.errors import UserError
from tinytrain.files import write_text
from tinytrain.reporting import page, runs

PAGE_BYTES = 1_200_000  # about, of one run with pictures of boxes; of one with classes a quarter


def report(folders: Sequence[PathLike[str] | str], out: Path | str = "report.html") -> dict[str, Any]:
    """Writes a self-contained HTML file about one run or several; returns {"out", "bytes", "runs": [{"name", "run"}]}.

    What a run does not have (an export, a diagnosis, its data) is left out, and the page says which command brings it.

    Args:
        folders: runs or their folders, finished or not.
        out: the file to write; an existing one is replaced.

    Raises:
        UserError: no run in a folder, a file in it that cannot be read, or `out` cannot be written.
    """
    out = Path(out)
    if not folders:
        raise UserError("report needs at least one RUN, a folder that `tinytrain fit` wrote")
    if out.is_dir() or not out.absolute().parent.is_dir():
        what = "is a folder" if out.is_dir() else f"would be in '{out.parent}', which is not a folder"
        raise UserError(f"cannot write '{out}': it {what}; name another file with --out")
    files.require_space(out.parent, PAGE_BYTES, "the report", "name another file with --out")
    subjects = runs.read([Path(folder) for folder in folders])
    html = page.render(subjects)
    write_text(out, html)
    listed = [{"name": subject.name, "run": str(subject.run.folder)} for subject in subjects]
    return {"out": str(out), "bytes": len(html.encode()), "runs": listed}
