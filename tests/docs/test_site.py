"""The site of `make docs`: every page is in its menu, it builds without a warning, and loads nothing from elsewhere."""

import html.parser
import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import page_links
import pytest
import yaml
from conftest import REPOSITORY

CONFIG = REPOSITORY / "docs/site/mkdocs.yml"


def leaves(entry):
    """Yields the pages of an entry of the menu."""
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from leaves(part)


def test_every_page_is_in_the_menu_once():
    menu = Counter(leaves(yaml.safe_load(CONFIG.read_text("utf-8"))["nav"]))
    assert menu == Counter(page_links.pages())


class Loaded(html.parser.HTMLParser):
    """Collects what a browser loads with a page: scripts, styles, pictures, frames."""

    def __init__(self):
        super().__init__()
        self.found, self.ids = set(), set()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        if tag in ("script", "img", "iframe", "source") and "src" in attributes:
            self.found.add(attributes["src"])
        if tag == "link" and attributes.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.found.add(attributes["href"])


def build(root, folder):
    """Builds the site of a repository with the words of `make docs`; returns exit status and what was said."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'tinytrain-mcu[docs]'")
    makefile = (REPOSITORY / "Makefile").read_text()
    words = re.search(r"^docs:.*\n\t.*\$\(BIN\)/mkdocs (.*)$", makefile, re.MULTILINE)[1]
    command = [sys.executable, "-m", "mkdocs", *words.split(), "--site-dir", str(folder)]
    variables = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    status, said = build(REPOSITORY, folder)
    assert status == 0, said
    return folder


def read(path):
    page = Loaded()
    page.feed(path.read_text("utf-8"))
    return page


def test_no_page_loads_anything_from_another_host(site):
    built = sorted(site.rglob("*.html"))
    assert len(built) > len(page_links.pages())  # and the one for a page that is not found
    for path in built:
        found = read(path).found
        assert found
        assert [name for name in found if page_links.is_external(name)] == []
        assert all((path.parent / name.partition("?")[0]).exists() or name.startswith("/") for name in found), path


def test_anchors_of_links_are_on_the_site(site):
    ids = read(site / "docs/command-line.html").ids
    wanted = page_links.anchors((REPOSITORY / "docs/command-line.md").read_text("utf-8"))
    assert len(wanted) > 10
    assert wanted <= ids


def test_a_bar_in_code_in_a_table_is_a_bar(site):
    assert "tinytrain completion bash|zsh|fish" in (site / "docs/commands.html").read_text("utf-8")


def test_a_list_right_under_text_is_a_list():
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'tinytrain-mcu[docs]'")
    import site_files

    code = "```text\nno:\n- list\n```\n"
    given = f"Findings:\n- a\n- b\n  goes on\n\n{code}**Bold:**\n1. one\n2. two\n"
    wanted = f"Findings:\n\n- a\n- b\n  goes on\n\n{code}**Bold:**\n\n1. one\n2. two\n"
    assert site_files.on_page_markdown(given) == wanted


def test_a_broken_link_stops_the_build(tmp_path):
    for page in page_links.pages():
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text("# Page\n")
    shutil.copytree(CONFIG.parent, tmp_path / "docs/site", ignore=shutil.ignore_patterns("__pycache__"))
    assert build(tmp_path, tmp_path / "built")[0] == 0
    (tmp_path / "docs/kernels.md").write_text("# Page\n[link](engine.md#gone)\n")
    status, said = build(tmp_path, tmp_path / "built")
    assert status == 1
    assert "does not contain an anchor '#gone'" in said
