"""benchmarks/paper_claims.py: the rows of the docs from folders of `tinytrain reproduce`, written by hand."""

import json
import re

import pytest
from benchmark_modules import benchmark

from tinytrain.experiments.papers import record
from tinytrain.experiments.papers import tables as paper_tables

claims = benchmark("paper_claims")
DECAY = {"arm": "decay 5e-4", "against": "no decay", "paper": 10.62, "deviation": 1.0, "seeds": 3}
DECAY |= {"ours": 5.0, "low": 2.516, "high": 7.484, "verdict": "same sign (95 % interval +2.52 to +7.48)"}
ONE_SEED = {"arm": "decay 1e-4", "against": "no decay", "paper": 5.41, "deviation": None, "seeds": 1}
ONE_SEED |= {"ours": -0.5, "low": None, "high": None, "verdict": "nothing can be said"}
NOT_RUN = ONE_SEED | {"ours": None, "seeds": 0, "verdict": None}


@pytest.fixture
def folder(tmp_path):
    """Returns a function that writes the table.json of a folder below OUT."""

    def write(name, table, comparisons, **others):
        said = {"table": table, "column": "val top-1 %", "command": f"tinytrain reproduce {table} --out {name}"}
        said |= {"scale": "0.1", "data": ["imageet"], "seeds": 3, "budget": "epochs", "planned": 9, "finished": 9}
        said |= {"commits": ["abc1234"], "comparisons": comparisons, "best": 43.21, "chance": 1.0} | others
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / record.NAME).write_text(json.dumps(said))
        return tmp_path

    return write


def printed(out, capsys, *words):
    claims.main([str(out), *words])
    return capsys.readouterr().out


def cells(text, name):
    """The cells of the rows of a table's folders, in their order."""
    found, current = [], ""
    for line in text.splitlines():
        row = [cell.strip() for cell in line.strip()[1:-1].split("|")] if line.startswith("|") else [""]
        current = row[0].partition(" ")[0] or current
        if len(row) > 1 and current == name:
            found.append(row)
    return found


def test_each_arm_beside_its_baseline_has_a_row(folder, capsys):
    out = folder("all/decay", "seed003-table10", [ONE_SEED, DECAY, NOT_RUN | {"arm": "decay 1"}])
    first, second, third, *earlier = cells(printed(out, capsys), "seed003-table10")
    claim = "weight decay raises the validation accuracy, 5e-4 more than 1e-4, at the same training accuracy."
    assert paper_tables.load("003/10").claim == claim
    assert first == [
        *("seed003-table10 (Tables 8 to 10)", claim, "decay 1e-4, against no decay", "scale 0.1; imageet", "1"),
        *("+5.41", "-0.50", "nothing can be said", "43.21 %, 43.2 × chance"),
        *("tinytrain reproduce seed003-table10 --out all/decay", "abc1234"),
    ]
    # 5 ± 4.3027 · 1 / √3 = 5 ± 2.48
    assert second == [
        "",
        "",
        "decay 5e-4, against no decay",
        "",
        "3",
        "+10.62",
        "+5.00 ± 2.48",
        "same sign",
        "",
        "",
        "",
    ]
    assert third == ["", "", "decay 1, against no decay", "", "", "+5.41", "", "not run", "", "", ""]
    known = [f"{row[3]}; commit {row[10]}" for row in earlier if row[7] == "not among these folders"]
    assert known == paper_tables.load("003/10").ran


def test_a_table_may_have_several_folders_and_one_without_any_says_so(folder, capsys):
    folder("a", "seed001-table6", [], planned=4, finished=3, best=None)
    out = folder(
        "b", "seed001-table6", [DECAY], data=["imageet", "food"], budget="time", commits=["abc1234", "def5678"]
    )
    text = printed(out, capsys)
    first, second = cells(text, "seed001-table6")[:2]
    assert (first[3], first[7]) == ("scale 0.1; imageet; 3 of 4 runs", "no two arms to compare")
    assert (second[3], second[10]) == ("scale 0.1; imageet, food; equal time", "abc1234, def5678")
    assert cells(text, "seed001-table5")[0][3:5] == ["AMD EPYC, 2 cores", ""]
    for table in map(paper_tables.load_file, paper_tables.folder().glob("*.toml")):
        row = cells(text, table.name)[0]
        assert (row[1], row[3] == "never run") == (table.claim, not table.ran and table.name != "seed001-table6")


def test_a_top1_far_above_guessing_is_counted(folder, capsys):
    folder("a", "seed003-table10", [DECAY], best=9.99, chance=1.0)
    folder("b", "seed003-table7", [DECAY], best=10.0, chance=1.0)
    out = folder("c", "seed002-figure5", [DECAY], best=None, chance=None)
    count = len(list(paper_tables.folder().glob("*.toml")))
    last = printed(out, capsys).splitlines()[-1]
    assert last == f"3 of {count} were run here, 1 with an arm that is 10 times better than guessing."


def test_the_lines_for_the_files_are_valid(folder, capsys):
    folder("a", "seed003-table10", [DECAY], seeds=1)
    out = folder("b", "seed003-table10", [DECAY], data=["x", "y"], budget="time", commits=["abc1234", "def5678"])
    (line,) = printed(out, capsys, "--ran").splitlines()
    name, _, entries = line.partition(": ran = ")
    assert (name, json.loads(entries)) == (
        "seed003-table10",
        [
            "scale 0.1; 1 seed; imageet; commit abc1234",
            "scale 0.1; 3 seeds; x, y; equal time; commit abc1234, def5678",
            *paper_tables.load("003/10").ran,
        ],
    )
    assert all(re.fullmatch(paper_tables.RAN, entry) for entry in json.loads(entries))


def test_folders_that_are_left_out_are_told(folder, tmp_path, capsys):
    (tmp_path / "old").mkdir()
    folder("mine", "seed009-table1", [DECAY])
    (tmp_path / "old/table.md").write_text("")
    with pytest.raises(SystemExit, match=r"has no table\.json below it"):
        claims.main([str(tmp_path)])
    told = capsys.readouterr().err
    assert f"'{tmp_path / 'old'}' has no table.json: run the command in its table.md again" in told
    assert f"'{tmp_path / 'mine'}' is of seed009-table1, which is not in configs/tables: left out" in told
