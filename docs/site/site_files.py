"""What MkDocs calls while it builds the site: the pages lie where they lie in the repository, so that their links hold.

A page is README.md, docs/kernels.md or firmware/README.md in the repository and on the site; beside them the site gets
the files that they link to. Anchors are those of GitHub (`page_links.slug`).
"""

import re
from typing import Any

import page_links
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPOSITORY = page_links.REPOSITORY
ITEM, TEXT = re.compile(r"([-*]|\d+\.) "), re.compile(r"[^\s|#<>]")  # how a line of them begins


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Makes anchors by the rule by which the links are checked."""
    config.mdx_configs["toc"] = {**config.mdx_configs.get("toc", {}), "slugify": page_links.slug}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages and the files that they link to."""
    pages = page_links.pages()
    for name in [*pages, *sorted(_linked(pages) - set(pages))]:
        files.append(File.generated(config, name, abs_src_path=str(REPOSITORY / name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts an empty line between text and a list, which GitHub shows as one without it and Python-Markdown does not."""
    lines: list[str] = []
    in_code = False
    for line in markdown.split("\n"):
        above = lines[-1] if lines else ""
        if not in_code and ITEM.match(line) and TEXT.match(above) and not ITEM.match(above):
            lines.append("")
        in_code ^= line.lstrip().startswith("```")
        lines.append(line)
    return "\n".join(lines)


def on_page_content(html: str, **_: Any) -> str:
    r"""Shows `\|` in a table as GitHub does, in code, too: as a bar that ends no cell."""
    return re.sub(r"<td.*?</td>", lambda cell: cell[0].replace("\\|", "|"), html, flags=re.DOTALL)


def _linked(pages: list[str]) -> set[str]:
    """Returns the files that pages link to, as paths in the repository."""
    found = set()
    for page in pages:
        for target in page_links.links((REPOSITORY / page).read_text("utf-8")):
            path = (REPOSITORY / page).parent / target.partition("#")[0]
            if not page_links.is_external(target) and path.is_file():
                found.add(path.resolve().relative_to(REPOSITORY.resolve()).as_posix())
    return found
