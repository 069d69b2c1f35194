"""Every link of README, docs, CONTRIBUTING and firmware leads to a file, and its anchor to a heading."""

import page_links
import pytest

MARKDOWN = """# A page: *the first*, `--dry-run`

[one](a.md#x) and [two
lines](b.md), `[no](code.md)`, ![picture](c.png "title"), [out](https://example.org/x.md)

```sh
[no](fenced.md)  # no heading
```

| [cell](d.md) | `a\\|b` |

## DIR, written by `export --cpu`
## Überblick 2.0
## [Linked](e.md) heading
## Überblick 2.0
<a id="own"></a> <img src="f.png" width="3">

[ref]: g.md
"""


def test_links_are_those_outside_of_code():
    wanted = ["a.md#x", "b.md", "c.png", "https://example.org/x.md", "d.md", "e.md", "f.png", "g.md"]
    assert page_links.links(MARKDOWN) == wanted


def test_anchors_are_those_of_github():
    """As github.com shows them for this page."""
    assert page_links.anchors(MARKDOWN) == {
        *("a-page-the-first---dry-run", "dir-written-by-export---cpu", "linked-heading", "own"),
        *("überblick-20", "überblick-20-1"),
    }


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("b.md", ""),
        ("b.md#there", ""),
        ("../README.md", ""),
        ("#here", ""),
        ("https://nowhere.invalid/x", ""),
        ("mailto:a@b.c", ""),
        ("c.md", "docs/a.md: 'c.md' does not exist"),
        ("b.md#gone", "docs/a.md: 'b.md#gone' has no such heading"),
        ("#gone", "docs/a.md: '#gone' has no such heading"),
        ("../../x.md", "docs/a.md: '../../x.md' leads out of the repository"),
        ("/b.md", "docs/a.md: '/b.md' leads out of the repository"),
    ],
)
def test_a_link_that_leads_nowhere_is_told(tmp_path, target, sentence):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("no links\n")
    (tmp_path / "docs/a.md").write_text(f"# Here\n[text]({target})\n")
    (tmp_path / "docs/b.md").write_text("# There\n")
    assert page_links.problems(tmp_path) == ([sentence] if sentence else [])


def test_every_link_of_our_pages_leads_somewhere():
    assert {"README.md", "CONTRIBUTING.md", "docs/kernels.md", "firmware/README.md"} <= set(page_links.pages())
    found = page_links.problems()
    assert not found, "\n".join(found)
