"""The table of docs/reproducing.md: the claims of the papers beside what `tinytrain reproduce` found here.

    python benchmarks/paper_claims.py OUT
    python benchmarks/paper_claims.py OUT --ran

Goes through all folders below OUT that `tinytrain reproduce` has written (their table.json), and prints Markdown: for
each folder a row for each arm beside its baseline, and a row for each table that was never run. Several folders may
hold the same table, on other data or at another scale. What follows the table counts the tables whose best arm is at
least ten times better than guessing. --ran prints the lines `ran` for configs/tables instead.
"""

import argparse
import json
import sys
from pathlib import Path

from tinytrain import tables as text_tables
from tinytrain.experiments.papers import tables as paper_tables

HEADER = ("table", "claim", "arm", "scale, data", "seeds", "paper", "ours ± 95 %", "verdict", "best arm")
HEADER += ("command", "commit")
NAME = "table.json"  # experiments/papers/record.py says what it holds
ENOUGH = 10  # times what guessing reaches


def records(out: Path, known: set[str]) -> dict[str, list[dict]]:
    """Returns {name of a table: what its folders below `out` say}; folders that are left out are told.

    These are the ones of tables that are not among the `known`, and those without table.json.
    """
    found: dict[str, list[dict]] = {}
    for path in sorted(out.rglob(NAME)):
        said = json.loads(path.read_text())
        if said["table"] in known:
            found.setdefault(said["table"], []).append(said)
        else:
            print(f"'{path.parent}' is of {said['table']}, which is not in configs/tables: left out", file=sys.stderr)
    for path in sorted(out.rglob("table.md")):
        if not path.with_name(NAME).exists():
            print(f"'{path.parent}' has no {NAME}: run the command in its table.md again", file=sys.stderr)
    return found


def ran(said: dict) -> str:
    """Returns the entry of `ran` in the table's file."""
    seeds = "1 seed" if said["seeds"] == 1 else f"{said['seeds']} seeds"
    budget = "; equal time" if said["budget"] == "time" else ""
    return f"scale {said['scale']}; {seeds}; {', '.join(said['data'])}{budget}; commit {', '.join(said['commits'])}"


def rows(table: paper_tables.Table, folders: list[dict]) -> list[tuple[str, ...]]:
    """Returns the rows of a table: those of each folder, one for each other run that its file knows, or "never run"."""
    about = {"table": label(table), "claim": table.claim}
    known = [row for said in folders for row in folder_rows(about, said)]
    for entry in others(table, folders):
        what, _, commit = entry.rpartition("; commit ")
        known.append(as_row(about | {"scale, data": what, "verdict": "not among these folders", "commit": commit}))
    return known or [as_row(about | {"scale, data": "never run"})]


def others(table: paper_tables.Table, folders: list[dict]) -> list[str]:
    """Returns the runs that the table's file knows and that none of the folders holds."""
    return [entry for entry in table.ran if entry not in map(ran, folders)]


def label(table: paper_tables.Table) -> str:
    """Returns "seed003-table4 (Tables 2 to 4)", or the name alone if the file holds that table or figure only."""
    several = table.heading.partition(": ")[0].partition(", ")[2]
    return f"{table.name} ({several})" if len(table.numbers) > 1 else table.name


def folder_rows(about: dict[str, str], said: dict) -> list[tuple[str, ...]]:
    """Returns a row for each arm beside its baseline, and one without arms if nothing can be compared."""
    unfinished = f"; {said['finished']} of {said['planned']} runs" if said["finished"] < said["planned"] else ""
    equal_time = "; equal time" if said["budget"] == "time" else ""
    once = about | {
        "scale, data": f"scale {said['scale']}; {', '.join(said['data'])}{equal_time}{unfinished}",
        "best arm": best(said),
        "command": said["command"],
        "commit": ", ".join(said["commits"]),
    }
    compared = [arm_cells(row) for row in said["comparisons"]] or [{"verdict": "no two arms to compare"}]
    return [as_row(cells | (once if number == 0 else {})) for number, cells in enumerate(compared)]


def arm_cells(row: dict) -> dict[str, str]:
    """Returns the cells of an arm beside its baseline."""
    cells = {"arm": f"{row['arm']}, against {row['against']}", "paper": f"{row['paper']:+.2f}"}
    if row["ours"] is None:
        return cells | {"verdict": "not run"}
    margin = "" if row["low"] is None else f" ± {(row['high'] - row['low']) / 2:.2f}"
    verdict = row["verdict"] if row["low"] is None else row["verdict"].partition(" (")[0]
    return cells | {"seeds": str(row["seeds"]), "ours ± 95 %": f"{row['ours']:+.2f}{margin}", "verdict": verdict}


def best(said: dict) -> str:
    """Returns the top-1 of the best arm, and how many times guessing that is."""
    if said["best"] is None:
        return ""
    return f"{said['best']:.2f} %, {said['best'] / said['chance']:.1f} × chance"


def as_row(cells: dict[str, str]) -> tuple[str, ...]:
    return tuple(cells.get(name, "") for name in HEADER)


def place(table: paper_tables.Table) -> tuple[str, bool, list[int]]:
    """Returns what the rows are sorted by: the paper, tables before figures, and their numbers."""
    return table.paper, bool(table.figure), table.numbers or [table.figure]


def summary(found: dict[str, list[dict]], count: int) -> str:
    """Returns a sentence: how many tables were run, and in how many an arm is well above guessing."""
    well = [
        name
        for name, folders in found.items()
        if any(said["best"] is not None and said["best"] >= ENOUGH * said["chance"] for said in folders)
    ]
    return (
        f"{len(found)} of {count} were run here, {len(well)} with an arm that is {ENOUGH} times better than guessing."
    )


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the folder that holds those of `tinytrain reproduce`")
    parser.add_argument("--ran", action="store_true", help="print the lines `ran` of the tables' files")
    arguments = parser.parse_args(words)
    tables = sorted(map(paper_tables.load_file, paper_tables.folder().glob("*.toml")), key=place)
    found = records(arguments.out, {table.name for table in tables})
    if not found:
        sys.exit(f"'{arguments.out}' has no {NAME} below it: expected folders that `tinytrain reproduce` wrote")
    if arguments.ran:
        for table in tables:
            if folders := found.get(table.name):
                print(f"{table.name}: ran = {json.dumps([*map(ran, folders), *others(table, folders)])}")
        return
    body = [row for table in tables for row in rows(table, found.get(table.name, []))]
    print(text_tables.markdown([HEADER, *body], "<<<<>>><<<<"))
    print(f"\n{summary(found, len(tables))}")


if __name__ == "__main__":
    main()
