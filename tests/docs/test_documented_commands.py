"""Every command in README, docs and firmware has a row in docs/commands.md, and is one that the project understands."""

from dataclasses import replace
from pathlib import Path

import check_commands
import command_plan
import commands_page
import documented_commands
import markdown_commands
import page_folder
import pytest
from command_plan import Table
from commands_page import Row
from conftest import REPOSITORY

ROW_KEY = ("a.md", "make demo")


def test_blocks_of_sh_and_spans_are_commands_in_their_order():
    markdown = """Type `make test`, or\n`tinytrain list
boards` (not `tinytrain.fit(config)`, `make`, `a | b`):

```sh
# all of it
tinytrain fit --data folder:PATH   model.width=0.35  # a comment
make -C DIR \\
  flash

pip install x#y
```
```text
make output
```
```
make nothing
```
| `python benchmarks/cost.py` | `TFLM_DIR=… make demo` | `tinytrain list a\\|b` | `make test` |
"""
    assert markdown_commands.commands(markdown) == [
        "make test",
        "tinytrain list boards",
        "tinytrain fit --data folder:PATH model.width=0.35",
        "make -C DIR flash",
        "pip install x#y",
        "python benchmarks/cost.py",
        "TFLM_DIR=… make demo",
        "tinytrain list a|b",
    ]


@pytest.mark.parametrize("markdown", ["```sh\nmake test\n", "text\n\n```text"])
def test_a_block_without_end_is_refused(markdown):
    with pytest.raises(ValueError, match="not closed"):
        markdown_commands.commands(markdown)


def test_pages_of_all_folders_are_read_but_not_those_that_programs_write():
    assert {"README.md", "docs/command-line.md", "firmware/README.md"} <= set(markdown_commands.pages())
    assert not {"docs/commands.md", "docs/reference.md"} & set(markdown_commands.pages())


def test_every_documented_command_has_its_row_and_names_only_what_exists():
    found = check_commands.problems(Table.read(), documented_commands.load())
    assert not found, "\n".join(found)


ROW = Row("a.md", "make demo", "exact", "ok", "1", "2026-01-01", "abc")


@pytest.mark.parametrize(
    ("row", "entry", "problem"),
    [
        (ROW, "", ""),
        (None, "", "has no row"),
        (replace(ROW, result="failed with exit status 2"), "", "did not run well: failed with exit status 2"),
        (replace(ROW, date=""), "", "did not run well"),
        (replace(ROW, how="as `make clean`"), "", "in another way now than the row says (as `make clean`)"),
        (ROW, "status = 2", "in another way now than the row says (exact)"),
        (replace(ROW, how="not run: takes an hour"), "not_run = 'takes an hour'", "was not run, but the row has"),
        (Row(*ROW_KEY, "not run: slow"), "not_run = 'slow'", "no reason is given"),
        (Row(*ROW_KEY, "not run: takes an hour"), "not_run = 'takes an hour'", ""),
        (Row(*ROW_KEY, "by test tests/a.py::b"), "by_test = 'tests/a.py::b'", "left to tests/a.py::b, which does not"),
        (Row(*ROW_KEY, "for b.md"), "elsewhere = 'b.md'", "did not run elsewhere"),
    ],
)
def test_a_row_that_is_not_current_is_noticed(row, entry, problem):
    table = Table(f'[[command]]\npage = "a.md"\ntext = "make demo"\n{entry}')
    found = check_commands.command_problem(*ROW_KEY, table, {} if row is None else {ROW_KEY: row})
    assert (problem in found) if problem else (found == "")


def test_an_entry_for_a_command_that_no_page_has_is_noticed(monkeypatch):
    monkeypatch.setattr(documented_commands, "FOUND", {"a.md": ["make demo"]})
    table = Table('[[command]]\npage = "a.md"\ntext = "make tea"\nnot_run = "nobody asked for it"')
    (problem,) = check_commands.problems(table, {ROW_KEY: ROW})
    assert problem == "a.md: `make tea` has an entry in documented_commands.toml, but stands on no page"


@pytest.mark.parametrize(
    "text",
    [
        "tinytrain fti",
        "tinytrain fit --dta x",
        "tinytrain fit [--resum]",
        "tinytrain export runs/a optim.epoch=3",
        "make demos",
        "make test-al",
        "make -C DIR/firmware BORD=x",
        "make -C DIR/firmware TFLM_DIR=x flush",
        "python benchmarks/cost.py --fast",
        "pytest tests/test_nothing.py",
    ],
)
def test_what_does_not_exist_is_noticed(text):
    assert check_commands.word_problem(text)


@pytest.mark.parametrize(
    "text", ["tinytrain fit --out", "tinytrain fit optim.epochs=many", "true && tinytrain list --classes x"]
)
def test_what_the_command_line_would_refuse_is_noticed(text):
    assert "is refused" in check_commands.call_problem(text)


def test_a_page_is_run_in_its_own_folder(monkeypatch, tmp_path):
    commands = ["test -f README.md && ls cells/*/* images.csv", "touch made", "test -f made", "exit 3", "pwd; exit 2"]
    monkeypatch.setattr(documented_commands, "FOUND", {"docs/page.md": commands})
    monkeypatch.setattr(documented_commands, "TABLE_PAGE", tmp_path / "commands.md")
    table = Table(
        """made_run = []
        [page."docs/page.md"]
        before = ["test ! -e made"]
        [[command]]
        page = "*"
        text = "exit 3"
        status = 3
        """
    )
    rows = {("docs/page.md", "gone"): Row("docs/page.md", "gone", "exact", "ok")}
    documented_commands.run_page("docs/page.md", table, rows, tmp_path / "made", timeout=60)
    written = commands_page.read((tmp_path / "commands.md").read_text())
    assert [row.command for row in written] == commands
    assert [row.result for row in written] == ["ok", "ok", "ok", "ok", "failed with exit status 2"]
    assert [row.how for row in written] == ["exact", "exact", "exact", "exact, whose exit status is 3", "exact"]
    assert not (REPOSITORY / "made").exists()


def test_a_block_of_a_page_becomes_a_file(tmp_path):
    (tmp_path / "page.md").write_text("```python\nfirst\n```\n```toml\na = 1\n\nb = 2\n```\n```python\nsecond\n```\n")
    files = {"new/net.py": "python 2", "a.toml": "toml 1"}
    page_folder.write_files(tmp_path, files, tmp_path / "page.md")
    assert (tmp_path / "new/net.py").read_text() == "second\n"
    assert (tmp_path / "a.toml").read_text() == "a = 1\n\nb = 2\n"


def test_a_command_that_takes_too_long_fails(tmp_path):
    assert documented_commands.run("sleep 60", tmp_path, timeout=0.2)[0] == 124


def test_without_tflm_a_command_that_needs_it_keeps_its_row(monkeypatch):
    monkeypatch.delenv("TFLM_DIR", raising=False)
    table, key = Table('words = {"TFLM_DIR=…" = "TFLM_DIR=$TFLM_DIR"}'), ("docs/page.md", "TFLM_DIR=… make -C DIR")
    row = Row(*key, "exact (with TFLM)", "ok", "1", "2026-01-01", "abc")
    short = Table('words = {"TFLM_DIR=…" = "TFLM_DIR=$TFLM_DIR", DIR = "d"}')
    assert documented_commands.planned(short, *key, {key: row}) == row
    assert documented_commands.planned(short, *key, {}).how == "not run: TFLM_DIR is not set"
    assert documented_commands.planned(table, *key, {}).result == "failed"  # nothing stands for DIR


def test_missing_runs_a_page_again_without_its_benchmarks_that_ran(monkeypatch, tmp_path):
    ran = []
    texts = ["python benchmarks/latency_model.py", "python benchmarks/augment.py", "make a", "make b"]
    monkeypatch.setattr(documented_commands, "FOUND", {"a.md": texts})
    monkeypatch.setattr(documented_commands, "TABLE_PAGE", tmp_path / "commands.md")
    monkeypatch.setattr(documented_commands, "run", lambda line, *_: (ran.append(line), (0, ""))[1])
    monkeypatch.setattr(page_folder, "make", lambda folder: None)
    rows = {("a.md", text): Row("a.md", text, "exact", "ok", "1", "2026-01-01", "abc") for text in texts}
    rows["a.md", texts[1]] = Row("a.md", texts[1], "as `python benchmarks/augment.py --fast`", "ok")
    table = Table("")
    assert not documented_commands.is_complete("a.md", table, rows)
    documented_commands.run_page("a.md", table, rows, tmp_path, 60, missing=True)
    assert ran == texts[1:]
    assert documented_commands.is_complete("a.md", table, rows)
    rows["a.md", "make b"] = Row("a.md", "make b", "exact", "failed with exit status 2")
    assert not documented_commands.is_complete("a.md", table, rows)


def test_words_are_replaced_and_commands_shortened():
    table = Table(
        """words = {RUN = "runs/a", "RUN…" = "runs/a runs/b", BOARD = "stm32f746"}
        shorten = {"--resume" = "", "tinytrain fit" = "optim.epochs=1", "benchmarks/" = "--quick"}
        [[command]]
        page = "a.md"
        text = "tinytrain fit"
        short = ""
        """
    )

    def lines(text):
        return table.plan("a.md", text).lines

    assert lines("make BOARD=x RUN/export-BOARD RUN…") == ("make BOARD=x runs/a/export-stm32f746 runs/a runs/b",)
    assert lines("tinytrain fit c.toml") == ("tinytrain fit c.toml optim.epochs=1",)
    assert lines("tinytrain fit --out a --resume") == ("tinytrain fit --out a --resume",)
    assert lines("tinytrain fit") == ("tinytrain fit",)
    assert lines("python benchmarks/cost.py --quick") == ("python benchmarks/cost.py --quick",)
    assert table.plan("a.md", "tinytrain list").how(tflm=True) == "exact"
    assert table.plan("a.md", "tinytrain bench RUN").how(tflm=True) == "as `tinytrain bench runs/a` (with TFLM)"
    for text in ("make DIR", "tinytrain list [keys]", "make …", "tinytrain export MODEL.tflite"):
        with pytest.raises(ValueError, match="nothing stands for"):
            table.plan("a.md", text)


def test_an_unknown_key_of_the_table_is_refused():
    with pytest.raises(ValueError, match="'make x' has nor_run"):
        _ = Table('[[command]]\npage = "a.md"\ntext = "make x"\nnor_run = "why"').entries


def test_the_table_page_is_read_back_as_it_was_written():
    rows = [
        Row("README.md", "tinytrain list [a|b]", "as `a | b`, then `c`", "ok", "3", "2026-01-01", "abc"),
        Row("docs/a.md", "make test", "not run: takes an hour"),
    ]
    assert commands_page.read(commands_page.write(rows)) == rows
    assert Path(command_plan.TABLE).is_file()
