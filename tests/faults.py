"""Plants faults, one at a time, in a copy of the project, and says which test of `make test` catches each.

The faults stand in tests/planted/*.toml, one file for each part of the project:

    [[fault]]
    name = "momentum without Nesterov"               unique
    file = "tinytrain/train/optimizers/sgd.py"       may be a pattern, such as firmware/**/crc32.cc
    old = 'use_nesterov=self.nesterov,'              stands exactly once in the file, or in all files of the pattern
    new = 'use_nesterov=False,'
    tests = "tests/train"                            a file or folder of tests …
    select = "sgd"                                   … and pytest -k, which of them should catch it; "" is all

Run `python tests/faults.py` to plant all of them and write docs/faults.md, `--only NAME` for some. The exit status is 1
if a fault slips through, and if it cannot be planted or its tests fail without it.
"""

import argparse
import dataclasses
import importlib
import multiprocessing.connection
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "faults.md"
MARKERS = "not long"  # the tests that `make test` runs
TIMEOUT_S = 900
FORK = multiprocessing.get_context("fork")
COLUMNS = ("fault", "file", "caught by", "seconds")
INTRODUCTION = """\
# Planted faults

`python tests/faults.py` plants each of these faults, one at a time, in a copy of the project and runs the tests of
`make test` that should notice. The table names the first test that failed, and the seconds until then on a busy machine
of two cores. Each of these tests passes without the fault. What is planted stands in `tests/planted`.
"""


@dataclass(frozen=True)
class Fault:
    """One fault: `old` becomes `new` in `file`, and the tests that `tests` and `select` choose should notice."""

    name: str
    file: str
    old: str
    new: str
    tests: str
    select: str = ""

    def target(self, root: Path) -> Path:
        """Returns the file below `root` to plant it in; raises ValueError unless `old` stands there exactly once."""
        places = [path for path in sorted(root.glob(self.file)) if path.is_file()]
        counts = {path: path.read_text("utf-8").count(self.old) for path in places}
        if not places:
            raise ValueError(f"there is no file {self.file}")
        if sum(counts.values()) != 1 or self.old == self.new:
            raise ValueError(
                f"the old text stands {sum(counts.values())} times in {self.file}, expected once: {self.old!r}"
            )
        return next(path for path, count in counts.items() if count)


@dataclass(frozen=True)
class Outcome:
    """What became of a fault: the first test that failed, "" if none did; `problem`: why that proves nothing."""

    fault: Fault
    file: str = ""
    test: str = ""
    seconds: float = 0.0
    problem: str = ""


def read(folder: Path = REPOSITORY / "tests" / "planted") -> list[Fault]:
    """Returns all faults, in the order of the files."""
    tables = [tomllib.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.toml"))]
    return [Fault(**row) for table in tables for row in table["fault"]]


def copy_project(target: Path) -> Path:
    """Copies the working tree, but for what git ignores, into the new folder `target`; returns it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target / name)
    return target


def import_libraries() -> None:
    """Imports what every test file needs, once: the processes that run tests are forks, and import nothing again."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for name in ("tensorflow", "keras_cv", "tf_keras", "optuna", "scipy.stats", "sklearn.metrics", "matplotlib.figure"):
        importlib.import_module(name)


class PytestRun:
    """pytest in a fork of this process, in the copy `root`; `end` waits for it.

    Everything of this project is imported in the fork, from the copy.
    """

    def __init__(self, root: Path, words: Sequence[str]) -> None:
        self.root, self.started = root, time.monotonic()
        self.log = root.with_suffix(".log")
        self.process = FORK.Process(target=self._run, args=(words,))
        self.process.start()

    def _run(self, words: Sequence[str]) -> None:
        os.setsid()
        with self.log.open("wb") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.chdir(self.root)
        os.environ.pop("TFLM_DIR", None)  # the tests of `make test` need none
        os.environ |= {"PYTHONPATH": str(self.root), "XDG_CACHE_HOME": str(self.root / ".cache")}
        sys.path[:] = [
            str(self.root),
            *(path for path in sys.path if not Path(path).is_relative_to(REPOSITORY / "tests")),
        ]
        options = ["-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", "-m", MARKERS]
        sys.exit(pytest.main([*options, *words]))

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self.started

    def end(self) -> tuple[int, list[str], str]:
        """Returns (status, the tests that failed, the end of what was printed) once it has ended, or has to."""
        self.process.join(max(TIMEOUT_S - self.seconds, 0))
        if self.process.is_alive():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.join()
        lines = self.log.read_text("utf-8", "replace").splitlines()
        failed = [
            line.partition(" ")[2].partition(" - ")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))
        ]
        return self.process.exitcode, failed, "\n".join(lines[-8:])


class Planted:
    """A fault in the copy `root`, and the run of its tests; `outcome` takes it out again."""

    def __init__(self, fault: Fault, root: Path) -> None:
        self.fault, self.root, self.path = fault, root, fault.target(root)
        self.sound = self.path.read_text("utf-8")
        self.path.write_text(self.sound.replace(fault.old, fault.new), "utf-8")
        self.run = PytestRun(root, ["-x", fault.tests, *(["-k", fault.select] if fault.select else [])])

    def outcome(self) -> Outcome:
        """Waits for the tests and returns what became of the fault."""
        fault, file = self.fault, str(self.path.relative_to(self.root))
        status, failed, text = self.run.end()
        self.path.write_text(self.sound, "utf-8")
        if status == 0:
            return Outcome(fault, file, problem=f"slips through {fault.tests} -k '{fault.select}'")
        if status == 1 and failed and "::" in failed[0]:
            return Outcome(fault, file, failed[0], self.run.seconds)
        return Outcome(fault, file, problem=f"pytest ended with status {status} and no failed test:\n{text}")


def plant_all(faults: Sequence[Fault], jobs: int, folder: Path) -> list[Outcome]:
    """Plants each fault, `jobs` at a time, each in a copy of its own below `folder`; returns what became of them."""
    free = [copy_project(folder / f"copy{number}") for number in range(jobs)]
    waiting, running, outcomes = list(faults), [], []
    while waiting or running:
        while waiting and free:
            try:
                running.append(Planted(waiting[0], free[-1]))
                free.pop()
            except ValueError as error:
                outcomes.append(_told(Outcome(waiting[0], waiting[0].file, problem=str(error))))
            del waiting[0]
        multiprocessing.connection.wait([planted.run.process.sentinel for planted in running], timeout=1)
        for planted in [p for p in running if not p.run.process.is_alive() or p.run.seconds > TIMEOUT_S]:
            outcomes.append(_told(planted.outcome()))
            running.remove(planted)
            free.append(planted.root)
    return _without_broken_tests(outcomes, free[0])


def _told(outcome: Outcome) -> Outcome:
    what = outcome.problem or f"caught by {outcome.test} ({outcome.seconds:.0f} s)"
    print(f"{outcome.fault.name}: {what}", flush=True)
    return outcome


def _without_broken_tests(outcomes: list[Outcome], root: Path) -> list[Outcome]:
    """Returns `outcomes` with a problem for each test that fails without any fault, in the copy `root`, too."""
    tests = sorted({outcome.test for outcome in outcomes if outcome.test})
    broken = set(PytestRun(root, tests).end()[1]) if tests else set()
    return [
        dataclasses.replace(outcome, problem=f"{outcome.test} fails without the fault, too")
        if outcome.test in broken
        else outcome
        for outcome in outcomes
    ]


def rows_of(page: str) -> dict[str, str]:
    """Returns {name of a fault: its line} of the table in docs/faults.md."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    return {line.split("|")[1].strip(): line for line in lines[1:]}


def page(rows: dict[str, str]) -> str:
    """Returns the text of docs/faults.md."""
    head = ["| " + " | ".join(COLUMNS) + " |", "|---|---|---|---:|"]
    return INTRODUCTION + f"\n{len(rows)} faults:\n\n" + "\n".join([*head, *rows.values()]) + "\n"


def write_page(faults: list[Fault], outcomes: list[Outcome]) -> None:
    """Writes the table; faults that were not planted this time keep their rows."""
    rows = rows_of(PAGE.read_text("utf-8")) if PAGE.is_file() else {}
    for outcome in outcomes:
        test = outcome.test.replace("|", "\\|")
        cells = (outcome.fault.name, f"`{outcome.file}`", f"`{test}`", f"{outcome.seconds:.0f}")
        rows[outcome.fault.name] = "| " + " | ".join(cells) + " |"
    PAGE.write_text(page({fault.name: rows[fault.name] for fault in faults if fault.name in rows}), "utf-8")


def main() -> int:
    """Plants the faults; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", action="append", help="a fault, or a part of the names of several")
    parser.add_argument("--list", action="store_true", help="print the names of the faults and plant none")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (2)")
    options = parser.parse_args()
    faults = read()
    chosen = [fault for fault in faults if not options.only or any(word in fault.name for word in options.only)]
    if options.list:
        print("\n".join(f"{fault.name}: {fault.file}" for fault in chosen))
        return 0
    import_libraries()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = plant_all(chosen, options.jobs, Path(folder))
    failed = [outcome for outcome in outcomes if outcome.problem]
    write_page(faults, [outcome for outcome in outcomes if not outcome.problem])
    print(f"\n{len(outcomes) - len(failed)} of {len(outcomes)} faults are caught")
    for outcome in failed:
        print(f"NOT CAUGHT {outcome.fault.name} ({outcome.fault.file}): {outcome.problem}")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
