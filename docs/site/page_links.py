"""The pages of the documentation, and where their links lead. Paths and anchors follow GitHub's rules.

    python docs/site/page_links.py

Prints every link to a file or an anchor that does not exist, a line each; exit status 1 if there is any.
"""

import re
import sys
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
FENCED = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1[`~]*[ ]*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
INLINE = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]^]+\]:\s*<?(\S+?)>?\s*$", re.MULTILINE)
TAG = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)=\"([^\"]+)\"")
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$", re.MULTILINE)
NAMED = re.compile(r"<\w+\b[^>]*?\b(?:id|name)=\"([^\"]+)\"")


def pages(repository: Path = REPOSITORY) -> list[str]:
    """Returns the paths of all pages below the repository, README.md first."""
    found = [*map(repository.joinpath, TOP), *sorted((repository / "docs").glob("*.md"))]
    found += sorted((repository / "firmware").glob("*.md"))
    return [path.relative_to(repository).as_posix() for path in found if path.is_file()]


def links(markdown: str) -> list[str]:
    """Returns the targets of the links and pictures of a page, in their order; code has none."""
    text = CODE_SPAN.sub("", FENCED.sub("", markdown))
    found = [match for pattern in (INLINE, REFERENCE, TAG) for match in pattern.finditer(text)]
    return [match[1] for match in sorted(found, key=lambda match: match.start())]


def is_external(target: str) -> bool:
    """Returns whether a link leads out of the repository, to an address such as https://host/page."""
    return re.match(r"[a-z][a-z0-9+.-]*:|//", target) is not None


def slug(heading: str, separator: str = "-") -> str:
    """Returns the anchor of a heading: small letters, digits, `_` and `-`, a separator for each blank."""
    words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", separator)


def anchors(markdown: str) -> set[str]:
    """Returns what the links to a page can have after `#`: its headings, repeated ones with -1, -2, … and its ids."""
    text, seen, found = FENCED.sub("", markdown), Counter[str](), set[str]()
    for heading in HEADING.findall(text):
        name = slug(heading)
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found | set(NAMED.findall(text))


def problem(page: str, target: str, repository: Path = REPOSITORY) -> str:
    """Returns what is wrong with a link of a page, "" for nothing. What is on other hosts is not looked at."""
    if is_external(target):
        return ""
    name, _, anchor = target.partition("#")
    path = (repository / page).parent / name if name else repository / page
    if name.startswith("/") or not path.resolve().is_relative_to(repository.resolve()):
        return f"{page}: '{target}' leads out of the repository"
    if not path.exists():
        return f"{page}: '{target}' does not exist"
    if anchor and path.suffix == ".md" and anchor not in anchors(path.read_text("utf-8")):
        return f"{page}: '{target}' has no such heading"
    return ""


def problems(repository: Path = REPOSITORY) -> list[str]:
    """Returns what is wrong with the links of all pages, a line each."""
    texts = {page: (repository / page).read_text("utf-8") for page in pages(repository)}
    found = [problem(page, target, repository) for page, text in texts.items() for target in links(text)]
    return [line for line in found if line]


if __name__ == "__main__":
    wrong = problems()
    print("\n".join(wrong) or "every link leads to a file, and every anchor to a heading")
    sys.exit(bool(wrong))
