"""benchmarks/all_tables.py: every table of a page has its program, and is written with its commit."""

import importlib.util
import re
import subprocess
import sys

import page_links
import pytest
from conftest import REPOSITORY

FAKE = """import os, sys
with open("calls", "a") as file:
    file.write("x")
print("beside\\n| a | b |\\n| --- | ---: |\\n| x | " + os.environ.get("FIGURE", "1") + " |\\nafter")
print("not to be read", file=sys.stderr)
sys.exit(int(os.environ.get("STATUS", "0")))
"""
TABLE = "| a | b |\n| --- | ---: |\n| x | 1 |"
PAGE = """# Page

<!-- table: fake -->
old
<!-- end of table -->

<!-- table: other -->
by another program
<!-- end of table -->
"""


@pytest.fixture(scope="module")
def all_tables():
    path = REPOSITORY / "benchmarks/all_tables.py"
    specification = importlib.util.spec_from_file_location("all_tables", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["all_tables"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "benchmarks/fake.py").write_text(FAKE)
    (tmp_path / "docs/page.md").write_text(PAGE)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "-A")
    committed(tmp_path, "first")
    return tmp_path


def git(folder, *words):
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    return subprocess.check_output(["git", "-C", str(folder), *identity, *words], text=True).strip()


def committed(folder, subject):
    git(folder, "commit", "--quiet", "--all", "--message", subject)
    return git(folder, "rev-parse", "--short", "HEAD")


def benchmark(module, **options):
    return module.Benchmark(
        **{"script": "fake", "kind": "counted", "page": "docs/page.md", "tables": ("fake",)} | options
    )


def run(module, repository, *benchmarks, kinds=("counted",)):
    folder = repository / "results"
    return module.run_all(benchmarks, kinds, folder, module.commit(repository), repository)


def calls(repository):
    path = repository / "calls"
    return len(path.read_text()) if path.is_file() else 0


def test_a_table_is_written_into_its_place_with_command_and_commit(all_tables, repository):
    assert run(all_tables, repository, benchmark(all_tables, words="--images 4")) == 0
    page = (repository / "docs/page.md").read_text()
    at = git(repository, "rev-parse", "--short", "HEAD")
    begin, end = page.split(TABLE)
    assert begin == "# Page\n\n<!-- table: fake -->\n\n"
    written, rest = end.split("<!-- end of table -->\n", 1)
    assert re.fullmatch(rf"\n\n\(`benchmarks/fake.py --images 4` at {at}, \d{{4}}-\d\d-\d\d\)\n\n", written)
    assert rest == PAGE.split("<!-- end of table -->\n", 1)[1]
    assert all_tables.written(page, "fake")[0] == at
    assert all_tables.written(page, "other") == ("", "")


def test_what_is_finished_is_not_run_again_until_the_code_changes(all_tables, repository, monkeypatch):
    run(all_tables, repository, benchmark(all_tables))
    committed(repository, "the page has its table")
    page = (repository / "docs/page.md").read_text()
    monkeypatch.setenv("FIGURE", "2")
    assert run(all_tables, repository, benchmark(all_tables)) == 0
    assert calls(repository) == 1
    assert (repository / "docs/page.md").read_text() == page
    (repository / "benchmarks/fake.py").write_text(FAKE + "# changed\n")
    with pytest.raises(ValueError, match=r"commit these first:\n M benchmarks/fake.py"):
        all_tables.commit(repository)
    at = committed(repository, "the program changes")
    run(all_tables, repository, benchmark(all_tables))
    assert calls(repository) == 2
    page = (repository / "docs/page.md").read_text()
    assert "| x | 2 |" in page
    assert all_tables.written(page, "fake")[0] == at
    run(all_tables, repository, benchmark(all_tables, words="--other"))
    assert calls(repository) == 3


def test_what_cannot_run_is_skipped_and_the_reason_told(all_tables, monkeypatch, capsys, repository):
    monkeypatch.delenv("TFLM_DIR", raising=False)
    monkeypatch.setenv("THERE", "1")
    reason = lambda **options: all_tables.reason_to_skip(benchmark(all_tables, **options), ("timed",), lambda: 0.4)  # noqa: E731
    assert reason(kind="trained") == "trained: not asked for, --kinds trained runs it"
    assert reason(kind="timed") == "other programs use 40% of the processor: run it again when the machine is idle"
    assert reason(kind="timed", needs=("THERE", "TFLM_DIR"), words="--x $GONE") == "not set: TFLM_DIR, GONE"
    assert (
        all_tables.reason_to_skip(benchmark(all_tables, kind="timed", needs=("THERE",)), ("timed",), lambda: 0.0) == ""
    )
    assert run(all_tables, repository, benchmark(all_tables, kind="trained")) == 0
    assert "skipped benchmarks/fake.py: trained" in capsys.readouterr().out
    assert calls(repository) == 0
    assert (repository / "docs/page.md").read_text() == PAGE


def test_a_program_that_prints_another_number_of_tables_fails(all_tables, repository, capsys):
    both = (benchmark(all_tables, tables=("fake", "other")), benchmark(all_tables, words="--again"))
    assert run(all_tables, repository, *both) == 1
    assert (
        "failed benchmarks/fake.py: printed 1 tables in place of 2 and ended with status 0" in capsys.readouterr().out
    )
    assert TABLE in (repository / "docs/page.md").read_text()  # of the second


def test_a_missed_aim_is_told_and_its_table_written(all_tables, repository, monkeypatch, capsys):
    monkeypatch.setenv("STATUS", "1")
    assert run(all_tables, repository, benchmark(all_tables)) == 1
    assert "benchmarks/fake.py ended with status 1" in capsys.readouterr().out
    assert TABLE in (repository / "docs/page.md").read_text()


def test_a_place_that_is_missing_or_twice_there_is_told_before_anything_runs(all_tables, repository):
    asked = [benchmark(all_tables, tables=("fake", "", "other"))]
    assert all_tables.problems(asked, repository) == []
    for page, count in (("# Page\n", 0), (PAGE + PAGE, 2)):
        (repository / "docs/page.md").write_text(page)
        assert all_tables.problems(asked, repository) == [
            f"docs/page.md has {count} places for the table '{name}': expected one" for name in ("fake", "other")
        ]


def test_the_list_says_which_tables_are_older(all_tables, repository):
    run(all_tables, repository, benchmark(all_tables))
    at = git(repository, "rev-parse", "--short", "HEAD")
    both = (benchmark(all_tables), benchmark(all_tables, tables=("other",), kind="timed"))
    heading, *lines = all_tables.listed(both, at, repository)
    assert [line.split() for line in lines] == [
        ["fake", "docs/page.md", "counted", at],
        ["other", "docs/page.md", "timed", "unknown", "not", "of", at],
    ]
    assert heading.split() == ["table", "page", "kind", "commit"]


def test_tables_are_found_in_what_a_program_prints(all_tables):
    text = f"a | b\n| not | one |\n\n{TABLE}\n| y | 2 |\nend\n{TABLE}"
    assert all_tables.printed_tables(text) == [f"{TABLE}\n| y | 2 |", TABLE]


def test_every_place_of_our_pages_has_its_program_and_the_reverse(all_tables):
    named = [(each.page, name) for each in all_tables.BENCHMARKS for name in each.tables if name]
    pages = {page: (REPOSITORY / page).read_text("utf-8") for page in page_links.pages()}
    assert sorted(named) == sorted((page, name) for page, text in pages.items() for name in all_tables.places(text))
    assert all(text.count("<!-- table: ") == len(all_tables.places(text)) for text in pages.values())
    for each in all_tables.BENCHMARKS:
        assert (REPOSITORY / f"benchmarks/{each.script}.py").is_file()
        assert each.kind in all_tables.KINDS
