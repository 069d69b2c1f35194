"""docs/extending.md and docs/new-board.md, done by the letter in a copy of the project: their tests must pass there."""

import os
import shlex
import shutil
import subprocess
import sys

import documented
import pytest
from conftest import REPOSITORY

PAGES = ("extending.md", "new-board.md")
PARTS = ("tinytrain", "tests", "firmware", "configs", "docs")


def page(name):
    return (REPOSITORY / "docs" / name).read_text()


@pytest.fixture(scope="module")
def laid(tmp_path_factory):
    """Returns (the copy, the files in it that a page brought or changed)."""
    root = tmp_path_factory.mktemp("copy")
    for part in PARTS:
        ignored = shutil.ignore_patterns("__pycache__", "build", "model")
        shutil.copytree(REPOSITORY / part, root / part, ignore=ignored)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / file, root)
    return root, {file for name in PAGES for file in documented.lay(page(name), root)}


def run(root, *words):
    variables = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=root, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_pages_bring_what_they_say(laid):
    root, files = laid
    package = {
        *("models/ds_cnn.py", "datasets/npz.py", "methods/r_drop.py", "methods/lookahead.py"),
        *(
            "tasks/ordinal/__init__.py",
            "tasks/ordinal/task.py",
            "train/optimizers/lion.py",
            "deploy/targets/cmake.py",
            "config/dataset_catalog.py",
        ),
    }
    tests = {
        *("tests/methods/test_r_drop.py", "tests/methods/test_lookahead.py", "tests/tasks/test_ordinal.py"),
        *("tests/train/test_lion.py", "tests/deploy/test_cmake_target.py"),
    }
    assert {f"tinytrain/{file}" for file in package} | tests <= files
    assert any(file.endswith("/boards/nucleo_f767zi.h") for file in files)
    python = [file for file in files if file.endswith(".py")]
    run(root, "ruff", "format", "--check", *python)
    run(root, "ruff", "check", *python)


@pytest.mark.long
def test_the_tests_of_the_pages_pass_on_their_examples(laid):
    """All commands of pytest -q in one process: to start it takes longer than most of the tests."""
    root, _ = laid
    typed = [shlex.split(line) for name in PAGES for line in documented.commands(page(name), "pytest")]
    typed = [words for words in typed if "-q" in words]
    assert len(typed) >= 8
    files = sorted({word for words in typed for word in words if word.endswith(".py")})
    chosen = " or ".join(words[words.index("-k") + 1] for words in typed)
    found = run(root, "pytest", "-q", "-rps", "-p", "no:cacheprovider", *files, "-k", chosen, "-m", "not long")
    passed = {
        line.split()[1].partition("[")[0] for line in found.splitlines() if line.startswith(("PASSED ", "SKIPPED "))
    }
    assert {test for name in PAGES for test in documented.promised(page(name))} <= passed, found


@pytest.mark.long
def test_the_examples_break_no_test_of_what_is_there(laid):
    root, _ = laid
    run(root, "pytest", "-q", "-p", "no:cacheprovider", "tests/test_import_levels.py", "tests/deploy/test_boards.py")
    listed = run(root, "tinytrain", "list")
    assert all(f"  {name} " in listed for name in ("ds_cnn", "npz", "r_drop", "nucleo_f767zi", "r_drop.weight"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("`a/b.py`:\n\n```diff\n first\n+second\n```\n", "line 3: not once in a/b.py"),
        ("`a/b.py`:\n\n```diff\n once\n+second\n```\n", ""),
        ("In `a/b.py`, and so on.\n\n```diff\n+second\n```\n", "line 3: no line before"),
        ("`a/b.py`:\n\n```python\nx = 1\n```\n", "line 3: a/b.py is there already"),
        ("`a/c.py`:\n\n```python\nx = 1\n```\n", ""),
    ],
)
def test_a_page_that_does_not_fit_the_tree_is_told(tmp_path, text, sentence):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.py").write_text("first\nonce\nfirst\n")
    if sentence:
        with pytest.raises(AssertionError, match=sentence):
            documented.lay(text, tmp_path)
    else:
        documented.lay(text, tmp_path)
        wanted = {"b.py": "first\nonce\nsecond\nfirst\n"} if "diff" in text else {"c.py": "x = 1\n"}
        assert all((tmp_path / "a" / name).read_text() == content for name, content in wanted.items())
