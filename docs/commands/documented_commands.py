"""Runs the commands of README.md, docs and firmware, and writes into docs/commands.md when each last ran, and how.

Each page has a fresh folder (page_folder.py), in which its commands run in their order. documented_commands.toml says
what stands for placeholders, what shortens a command and what cannot be run here. The page is written after every
command: an interrupted run loses nothing. Rows of commands that no page has any more go, rows of pages that do not run
now stay. A command that needs TFLM_DIR keeps its row where that is not set. With --missing only pages run of which a
command lacks its row, failed or is to run in another way now, without their benchmarks that have run. Exit status 1 if
a command failed.

    [TFLM_DIR=…] python docs/commands/documented_commands.py [--page NAME]… [--missing] [--timeout SECONDS]
"""

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import commands_page
import page_folder
from command_plan import Plan, Table
from commands_page import Row
from markdown_commands import OWN_PAGE, REPOSITORY, commands, pages

Rows = dict[tuple[str, str], Row]
TABLE_PAGE = REPOSITORY / OWN_PAGE
WITHOUT_TFLM = "not run: TFLM_DIR is not set"
FOUND = {page: commands((REPOSITORY / page).read_text()) for page in pages()}


def run(line: str, folder: Path, timeout: float) -> tuple[int, str]:
    """Runs a line in bash; returns its exit status and what it printed last, 124 if it took more than `timeout` s."""
    command = ["timeout", str(timeout), "bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(
        command,
        cwd=folder,
        env=page_folder.environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stdout


def outcome(plan: Plan, folder: Path, timeout: float) -> str:
    """Runs the lines of a plan and returns "ok" or what failed; prints what the failed line printed."""
    for line in plan.lines:
        status, output = run(line, folder, timeout)
        if status != plan.status:
            print("\n".join(output.splitlines()[-30:]), flush=True)
            return f"failed with exit status {status}"
    return "ok"


def row_of(plan: Plan, folder: Path, timeout: float) -> Row:
    """Runs a plan, if there is anything to run, and returns its row."""
    how = plan.how(bool(os.environ.get("TFLM_DIR")))
    if not plan.lines:
        return Row(plan.page, plan.text, how)
    start = time.monotonic()
    result = outcome(plan, folder, timeout)
    seconds = f"{time.monotonic() - start:.0f}"
    return Row(plan.page, plan.text, how, result, seconds, datetime.date.today().isoformat(), commit())


def commit() -> str:
    """Returns the commit of the repository, "-dirty" after it if a file other than docs/commands.md has changed."""
    git = ["git", "-C", str(REPOSITORY)]
    name = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
    changed = subprocess.check_output([*git, "status", "--porcelain", "--", ".", f":!{OWN_PAGE}"], text=True)
    return f"{name}-dirty" if changed else name


def planned(table: Table, page: str, text: str, rows: Rows) -> Plan | Row:
    """Returns what is done for a command, or its row if nothing can be: TFLM_DIR or a placeholder's value lacks."""
    try:
        plan = table.plan(page, text)
    except ValueError as error:
        return Row(page, text, f"not run: {error}", "failed")
    if plan.needs_tflm and not os.environ.get("TFLM_DIR"):
        return rows.get((page, text), Row(page, text, WITHOUT_TFLM))
    return plan


def run_page(page: str, table: Table, rows: Rows, made: Path, timeout: float, missing: bool = False) -> None:
    """Runs the commands of a page in a fresh folder, with `missing` no benchmark again; puts their rows into `rows`."""
    with tempfile.TemporaryDirectory(prefix="documented-") as temporary:
        folder = Path(temporary) / "tinytrain"
        page_folder.make(folder)
        for target in table.page(page).get("made", []):
            shutil.copytree(made_run(made, table, timeout), folder / target)
        page_folder.write_files(folder, table.page(page).get("files", {}), REPOSITORY / page)
        for line in table.page(page).get("before", []):
            check(line, folder, timeout)
        for text in FOUND[page]:
            plan = planned(table, page, text, rows)
            if missing and "python benchmarks/" in text and is_current(plan, rows.get((page, text))):
                continue
            print(f"{page}: {text}", flush=True)
            rows[page, text] = plan if isinstance(plan, Row) else row_of(plan, folder, timeout)
            print(f"    {rows[page, text].how} {rows[page, text].result} {rows[page, text].seconds}", flush=True)
            save(rows)


def made_run(made: Path, table: Table, timeout: float) -> Path:
    """Returns a run of one epoch with an export in it, made at the first call."""
    folder = made / "tinytrain"
    if not (folder / "runs").exists():
        page_folder.make(folder)
        for line in table.made_run:
            check(line, folder, timeout)
    return folder / "runs" / "made"


def check(line: str, folder: Path, timeout: float) -> None:
    """Runs a line that prepares a folder; raises RuntimeError with what it printed if it fails."""
    status, output = run(line, folder, timeout)
    if status:
        raise RuntimeError(f"`{line}` failed: {output}")


def load() -> Rows:
    """Returns the rows of docs/commands.md by page and command."""
    text = TABLE_PAGE.read_text() if TABLE_PAGE.is_file() else ""
    return {(row.page, row.command): row for row in commands_page.read(text)}


def save(rows: Rows) -> None:
    """Writes docs/commands.md: the rows of commands that are on a page now, in the order of the pages."""
    wanted = [(page, text) for page, texts in FOUND.items() for text in texts]
    TABLE_PAGE.write_text(commands_page.write([rows[key] for key in wanted if key in rows]))


def is_complete(page: str, table: Table, rows: Rows) -> bool:
    """Whether every command of a page has its row."""
    return all(is_current(planned(table, page, text, rows), rows.get((page, text))) for text in FOUND[page])


def is_current(plan: Plan | Row, row: Row | None) -> bool:
    """Whether a row is there, did not fail, and says how the command would be run now."""
    return row is not None and not row.failed and row.how in ways(plan)


def ways(plan: Plan | Row) -> tuple[str, ...]:
    """Returns what a row may say about how it was run."""
    return (plan.how,) if isinstance(plan, Row) else (plan.how(tflm=False), plan.how(tflm=True))


def chosen(names: list[str]) -> list[str]:
    """Returns the pages of these names, all for none; a name is a page's path, without .md or docs/ too."""
    full = [next((page for page in (name, f"{name}.md", f"docs/{name}.md") if page in FOUND), "") for name in names]
    if "" in full:
        sys.exit(f"no page '{names[full.index('')]}': expected one of {', '.join(FOUND)}")
    return [page for page in FOUND if not names or page in full]


def main() -> None:
    """Runs the pages that were asked for, by default all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--page", action="append", default=[], help="only this page, such as README or docs/bench.md")
    parser.add_argument(
        "--missing", action="store_true", help="only pages that are not complete, and no benchmark again"
    )
    parser.add_argument("--timeout", type=float, default=900, help="seconds that a command may take")
    options = parser.parse_args()
    table, rows = Table.read(), load()
    with tempfile.TemporaryDirectory(prefix="documented-made-") as made:
        for page in chosen(options.page):
            if not (options.missing and is_complete(page, table, rows)):
                run_page(page, table, rows, Path(made), options.timeout, options.missing)
    save(rows)
    failed = [row for key, row in rows.items() if row.failed and key[1] in FOUND.get(key[0], [])]
    for row in failed:
        print(f"{row.page}: `{row.command}` {row.result}: {row.how}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
