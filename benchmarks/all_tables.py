"""Runs the benchmarks whose tables stand in the pages, in one go, and writes the tables into their places.

    TFLM_DIR=… python benchmarks/all_tables.py [--kinds counted,timed] [--only NAME] [--out FOLDER] [--list]

The place of a table in a page lies between two comments, and nothing is written by hand there:

    <!-- table: workers -->
    <!-- end of table -->

A program prints its tables as Markdown; what else it prints goes to FOLDER/NAME.txt. What is finished is kept in FOLDER
with its commit, so that a stopped run goes on. The commit is the last one that changed anything but a page. There are
three kinds: `counted` figures are the same on a busy machine, `timed` ones need an idle one, and `trained` ones take
hours. What cannot run is skipped, and the last lines say why.
"""

import argparse
import datetime
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinytrain import files, tables

REPOSITORY = Path(__file__).parents[1]
KINDS = ("counted", "timed", "trained")
BUSY_SHARE, WATCHED_S = 0.1, 5.0  # of the processor, by others, and for how long it is watched
PLACE = re.compile(r"(<!-- table: ([\w-]+) -->\n)(.*?)(<!-- end of table -->\n)", re.DOTALL)
CAPTION = re.compile(r"^\(`benchmarks/.*` at (\w+), ([\d-]+)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Benchmark:
    """A program and its tables: `tables` names each that it prints, in their order, "" for one that is on no page.

    In `words`, $NAME is a variable of the environment, as in a shell; `needs` are further variables.
    """

    script: str
    kind: str
    page: str
    tables: tuple[str, ...]
    words: str = ""
    needs: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What is typed in the repository, without "python"."""
        return f"benchmarks/{self.script}.py {self.words}".rstrip()

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables of the environment without which it cannot run."""
        return (*self.needs, *re.findall(r"\$(\w+)", self.words))


TFLM = ("TFLM_DIR",)
BENCHMARKS = (
    Benchmark("candidates", "counted", "docs/choosing-a-model.md", ("candidates",)),
    Benchmark("latency_model", "counted", "docs/latency.md", ("latency-model",)),
    Benchmark("cost", "counted", "docs/quantization.md", ("cost",), needs=TFLM),
    Benchmark("memory", "counted", "docs/engine.md", ("memory", ""), needs=TFLM),
    Benchmark("kernels", "counted", "docs/kernels.md", ("kernels",), "--images 4", (*TFLM, "TFLM_REFERENCE_DIR")),
    Benchmark("tinytl_memory", "counted", "docs/training-methods.md", ("tinytl-memory",)),
    Benchmark("training_cost", "timed", "docs/reproducing.md", ("training-cost",)),
    Benchmark("workers", "timed", "docs/many-machines.md", ("workers",), "--rounds 2"),
    Benchmark("augment", "timed", "docs/augmentation.md", ("augment",)),
    Benchmark("regime_speed", "timed", "docs/augmentation.md", ("regime-speed",)),
    Benchmark("shards", "timed", "docs/large-data.md", ("shards",)),
    Benchmark("netaug", "timed", "docs/training-methods.md", ("netaug",), "--torch-python $TORCH_PYTHON"),
    Benchmark("train_speed", "timed", "docs/training-speed.md", ("train-speed",), "--quick"),
    Benchmark(
        "defaults",
        "trained",
        "docs/training-methods.md",
        ("defaults",),
        "--cifar10 $CIFAR10_FOLDER --bccd $BCCD_FOLDER",
    ),
    Benchmark(
        "initial_weights",
        "trained",
        "docs/training-methods.md",
        ("initial-weights",),
        "--data cifar10=folder:$CIFAR10_FOLDER cells=folder:$CELLS_FOLDER",
    ),
)


@dataclass(frozen=True)
class Result:
    """What a benchmark printed: its tables in Markdown, at a commit, on a day."""

    commit: str
    date: str
    command: str
    status: int
    tables: list[str]


def printed_tables(text: str) -> list[str]:
    """Returns the tables in Markdown that a text holds, in their order."""
    found = re.findall(r"^\|.*\n\|[ :|-]+\|\n(?:\|.*\n?)*", text, re.MULTILINE)
    return [table.rstrip("\n") for table in found]


def places(page: str) -> list[str]:
    """Returns the names of the tables that a page has places for."""
    return [match[2] for match in PLACE.finditer(page)]


def with_table(page: str, name: str, table: str, result: Result) -> str:
    """Returns a page with a table in its place, and under it its command, commit and date."""
    content = f"\n{table}\n\n(`{result.command}` at {result.commit}, {result.date})\n\n"
    return PLACE.sub(lambda place: place[1] + (content if place[2] == name else place[3]) + place[4], page)


def written(page: str, name: str) -> tuple[str, str]:
    """Returns commit and date of the table that is in a place now, "" for one that this program did not write."""
    (content,) = (place[3] for place in PLACE.finditer(page) if place[2] == name)
    caption = CAPTION.search(content)
    return (caption[1], caption[2]) if caption else ("", "")


def problems(benchmarks: Sequence[Benchmark], repository: Path = REPOSITORY) -> list[str]:
    """Returns what is wrong with the places of the tables, a line each, before anything is measured."""
    found = []
    for benchmark in benchmarks:
        there = places((repository / benchmark.page).read_text("utf-8"))
        counts = {name: there.count(name) for name in benchmark.tables if name}
        found += [
            f"{benchmark.page} has {count} places for the table '{name}': expected one"
            for name, count in counts.items()
            if count != 1
        ]
    return found


def commit(repository: Path = REPOSITORY) -> str:
    """Returns the last commit that changed anything but a page.

    Raises:
        ValueError: something else than a page is changed and not committed.
    """
    git, others = ["git", "-C", str(repository)], ["--", ".", ":!*.md"]
    changed = subprocess.check_output([*git, "status", "--porcelain", "--untracked-files=no", *others], text=True)
    if changed:
        raise ValueError(f"a table would be of no commit; commit these first:\n{changed.rstrip()}")
    return subprocess.check_output([*git, "log", "-1", "--format=%h", *others], text=True).strip()


def busy_share() -> float:
    """Returns the share of the processor that is in use, by whatever runs now."""

    def ticks() -> tuple[int, int]:
        counts = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return counts[3] + counts[4], sum(counts)  # idle and waiting for a disk, all

    begin = ticks()
    time.sleep(WATCHED_S)
    end = ticks()
    return 1 - (end[0] - begin[0]) / max(end[1] - begin[1], 1)


def reason_to_skip(benchmark: Benchmark, kinds: Sequence[str], busy: Callable[[], float] = busy_share) -> str:
    """Returns why a benchmark cannot run now, "" if it can."""
    if benchmark.kind not in kinds:
        return f"{benchmark.kind}: not asked for, --kinds {benchmark.kind} runs it"
    if lacking := [name for name in benchmark.variables if not os.environ.get(name)]:
        return f"not set: {', '.join(lacking)}"
    if benchmark.kind == "timed" and (share := busy()) > BUSY_SHARE:
        return f"other programs use {share:.0%} of the processor: run it again when the machine is idle"
    return ""


def kept(benchmark: Benchmark, folder: Path, at: str) -> Result | None:
    """Returns the result of a finished run of the same command at the same commit, None if there is none."""
    path = folder / f"{benchmark.script}.json"
    result = Result(**json.loads(path.read_text())) if path.is_file() else None
    return result if result and (result.commit, result.command) == (at, benchmark.command) else None


def run(benchmark: Benchmark, folder: Path, at: str, repository: Path = REPOSITORY) -> Result:
    """Runs a benchmark and keeps what it printed in `folder`.

    Raises:
        RuntimeError: it printed another number of tables than it has names for.
    """
    words = [os.path.expandvars(word) for word in shlex.split(benchmark.command)]
    variables = os.environ | {"PYTHONPATH": str(repository), "TINYTRAIN_PROGRESS": "0"}
    done = subprocess.run(
        [sys.executable, *words], cwd=repository, env=variables, stdout=subprocess.PIPE, text=True, check=False
    )
    (folder / f"{benchmark.script}.txt").write_text(done.stdout)
    found, wanted = printed_tables(done.stdout), len(benchmark.tables)
    if len(found) != wanted:
        raise RuntimeError(f"printed {len(found)} tables in place of {wanted} and ended with status {done.returncode}")
    result = Result(at, datetime.date.today().isoformat(), benchmark.command, done.returncode, found)
    files.write_json(folder / f"{benchmark.script}.json", result.__dict__)
    return result


def write(benchmark: Benchmark, result: Result, repository: Path = REPOSITORY) -> None:
    """Writes the tables of a benchmark into its page."""
    path = repository / benchmark.page
    text = path.read_text("utf-8")
    for name, table in zip(benchmark.tables, result.tables, strict=True):
        if name:
            text = with_table(text, name, table, result)
    files.write_text(path, text)


def listed(benchmarks: Sequence[Benchmark], at: str, repository: Path = REPOSITORY) -> list[str]:
    """Returns a line for each table: its page and kind, and of which commit it is."""
    rows = [("table", "page", "kind", "commit", "")]
    for benchmark in benchmarks:
        text = (repository / benchmark.page).read_text("utf-8")
        for name in filter(None, benchmark.tables):
            of, _ = written(text, name)
            rows.append((name, benchmark.page, benchmark.kind, of or "unknown", "" if of == at else f"not of {at}"))
    return tables.aligned(rows, ["<"] * 4 + [""], between="  ")


def run_all(benchmarks: Sequence[Benchmark], kinds: Sequence[str], folder: Path, at: str, repository: Path) -> int:
    """Runs what can run and is not finished, writes the pages, and says what was skipped.

    Returns 1 if a benchmark failed, or ended with another status than 0, as one that misses its aim does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    skipped, failed = [], []
    for benchmark in benchmarks:
        result = kept(benchmark, folder, at)
        if result is None:
            if reason := reason_to_skip(benchmark, kinds):
                skipped.append(f"skipped {benchmark.command}: {reason}")
                continue
            print(f"{benchmark.command} …", flush=True)
            try:
                result = run(benchmark, folder, at, repository)
            except RuntimeError as error:
                failed.append(f"failed {benchmark.command}: {error}")
                continue
        write(benchmark, result, repository)
        if result.status:
            failed.append(f"{benchmark.command} ended with status {result.status}: {folder / benchmark.script}.txt")
    print("\n".join([*skipped, *failed]) or "every table that was asked for is of this commit")
    return 1 if failed else 0


def main() -> int:
    """Runs what is asked for; exit status 2 for a mistake."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="counted,timed", help="of counted, timed and trained")
    parser.add_argument("--only", default="", help="a part of the names of programs or tables")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs/tables", help="where results are kept")
    parser.add_argument("--list", action="store_true", help="run nothing, say of which commit each table is")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    chosen = [each for each in BENCHMARKS if any(options.only in name for name in (each.script, *each.tables))]
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"no kind is {', '.join(sorted(unknown))}: expected of {', '.join(KINDS)}")
    if not chosen:
        parser.error(f"no program or table has '{options.only}' in its name")
    if wrong := problems(chosen):
        parser.error("; ".join(wrong))
    try:
        at = commit()
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        print("\n".join(listed(chosen, at)))
        return 0
    return run_all(chosen, kinds, options.out, at, REPOSITORY)


if __name__ == "__main__":
    sys.exit(main())
