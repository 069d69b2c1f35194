"""Every command in README, docs and firmware has a row in docs/commands.md, and is one that the project understands."""

import re
import shlex
from pathlib import Path

import command_plan
import commands_page
import documented_commands
import markdown_commands
import page_folder
import pytest
from command_plan import Table
from commands_page import Row
from conftest import REPOSITORY

from tinytrain.cli import main
from tinytrain.cli.flags import COMMANDS
from tinytrain.config import load, schema

TABLE = Table.read()
ROWS = documented_commands.load()
FOUND = [(page, text) for page, texts in documented_commands.FOUND.items() for text in texts]
MAKEFILES = [(REPOSITORY / name).read_text() for name in ("Makefile", "firmware/platform/Makefile")]
IDS = [f"{page}: {text[:60]}" for page, text in FOUND]


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


def test_pages_of_all_folders_are_read_but_not_the_table_itself():
    assert {"README.md", "docs/command-line.md", "firmware/README.md"} <= set(markdown_commands.pages())
    assert "docs/commands.md" not in markdown_commands.pages()


@pytest.mark.parametrize(("page", "text"), FOUND, ids=IDS)
def test_a_documented_command_has_a_row_that_says_how_it_is_run_and_did_not_fail(page, text):
    assert (page, text) in ROWS, "run it: make documented-commands PAGE=…"
    row, plan = ROWS[page, text], TABLE.plan(page, text)
    without_tflm = plan.needs_tflm and row.how == documented_commands.WITHOUT_TFLM
    assert without_tflm or row.how in documented_commands.ways(plan), "it would be run in another way now: run it"
    ran = (row.result, bool(row.seconds), bool(row.date), bool(row.commit))
    if plan.lines and not without_tflm:
        assert ran == ("ok", True, True, True)
        return
    assert ran == ("", False, False, False)
    if without_tflm:
        return
    if plan.by_test:
        file, name = plan.by_test.split("::")
        assert f"def {name}(" in (REPOSITORY / file).read_text()
    elif plan.elsewhere:
        assert ROWS[plan.elsewhere, text].result == "ok"
    else:
        assert len(plan.not_run.split()) > 2


def test_the_table_of_what_is_run_has_nothing_that_no_page_says():
    on_any = {("*", text) for _, text in FOUND}
    names = {("*", f"tinytrain {name}") for name in COMMANDS} | {("*", f"make {name}") for name in ("test", "check")}
    assert set(TABLE.entries) <= {*FOUND, *on_any, *names, ("*", "make browser"), ("*", "make firmware-tools")}


@pytest.mark.parametrize(("page", "text"), FOUND, ids=IDS)
def test_a_documented_command_has_flags_keys_and_targets_that_exist(page, text):
    plan = TABLE.plan(page, text)
    if text.startswith("pytest") and TABLE.page(page).get("before"):
        return  # its files are those that the page tells to write
    _check_words(text)
    for line in plan.lines or [TABLE.substituted(page, text)]:
        _check_words(line)
        for words in _tinytrain_calls(line):
            _check_call(words)


@pytest.mark.parametrize(
    "text",
    [
        "tinytrain fti",
        "tinytrain fit --dta x",
        "tinytrain fit [--resum]",
        "tinytrain export runs/a optim.epoch=3",
        "make demos",
        "make -C DIR/firmware BORD=x",
        "make -C DIR/firmware TFLM_DIR=x flush",
        "python benchmarks/cost.py --fast",
        "pytest tests/test_nothing.py",
    ],
)
def test_what_does_not_exist_is_noticed(text):
    with pytest.raises(AssertionError):
        _check_words(text)


def _check_words(text):
    """Fails for a flag, key, make target or script in a command, or in a usage line, that does not exist."""
    if called := re.search(r"tinytrain ([a-z]+)", text):
        assert called[1] in COMMANDS
        known = {*COMMANDS[called[1]].flags, "json", "help"}
        assert set(re.findall(r"--([a-z]+)", text)) <= known
        assert set(re.findall(r"(?<![\w$/])([a-z_]+(?:\.[a-z_]+)?)=", text)) <= set(load.keys())
    if script := re.search(r"benchmarks/\w+\.py", text):
        source = (REPOSITORY / script[0]).read_text()
        assert all(f'"{flag}"' in source for flag in re.findall(r"--[a-z-]+", text))
    if made := re.search(r"make (?!-n)(.*)", text):
        words = re.sub(r"-C \S+|-\w+", "", made[1]).split()
        assert all(any(_knows(makefile, word) for makefile in MAKEFILES) for word in words), words
    if text.startswith("pytest"):
        assert all((REPOSITORY / file).is_file() for file in re.findall(r"tests/[\w/]+\.py", text))


def _knows(makefile, word):
    name, variable, _ = word.partition("=")
    return bool(re.search(rf"\b{name} *\??:?=|\$\({name}\b" if variable else rf"^\.PHONY:.* {name}\b", makefile, re.M))


def _tinytrain_calls(line):
    """Yields the words after each `tinytrain` of a line."""
    for part in re.split(r"&&|\|\||;", line) if "tinytrain" in line else ():
        words = shlex.split(part)
        names = [number for number, word in enumerate(words) if word.removeprefix(".venv/bin/") == "tinytrain"]
        yield from (words[number + 1 :] for number in names)


def _check_call(words):
    if words in (["--help"], ["--version"]):
        return
    values, rest = main._parse(COMMANDS[words[0]], words[1:]) if "--help" not in words else (None, [])
    assert values is None or values.json is False
    load.apply(schema.Config(), [word for word in rest if "=" in word])


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
