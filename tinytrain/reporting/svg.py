"""Charts as SVG inside the page: drawn by Matplotlib, colored and lettered by the page's CSS.

Matplotlib knows a fixed color only, the page has a light and a dark look. So each color here stands for a CSS variable,
which takes its place in the SVG; texts stay texts and take the page's font. One unit of an SVG is one CSS pixel.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DPI = 72  # of Matplotlib's SVG, whatever else is asked for
WIDE, HALF, SMALL, PHONE = 1120, 550, 365, 364  # pixels: whole width, two and three in a row, and a phone's whole width
_VARIABLES = ("ink", "muted", "line", "panel", *(f"c{number}" for number in range(1, 9)))
_COLORS = {name: f"#0a0b{number:02x}" for number, name in enumerate(_VARIABLES)}
INK, MUTED, LINE, PANEL = (_COLORS[name] for name in ("ink", "muted", "line", "panel"))
SERIES = [_COLORS[f"c{number}"] for number in range(1, 9)]

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 1,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.linewidth": 1.8,
    "patch.linewidth": 0,
}


@dataclass(frozen=True)
class Chart:
    """A picture and the text that stands for it where it cannot be seen."""

    svg: Markup
    alt: str


def chart(name: str, alt: str, sizes: Sequence[tuple[int, int]], draw: Callable[[Figure, int], None]) -> Chart:
    """Returns a chart drawn at one size, or at two: for a wide page and for a phone, of which CSS shows one.

    Args:
        name: of the chart, unique in the page: the identities inside the SVG are made from it.
        alt: what it shows, in words.
        sizes: (width, height) in pixels, the wide one first.
        draw: fills a figure of the given width.
    """
    roles = ["both"] if len(sizes) == 1 else ["wide", "phone"]
    drawn = [_svg(f"{name}-{role}", alt, role, size, draw) for role, size in zip(roles, sizes, strict=True)]
    return Chart(Markup("\n").join(drawn), alt)


def axes(figure: Figure, grid: str = "y") -> Axes:
    """Returns the only axes of a figure, with a grid across "x", "y" or "both"."""
    found = figure.add_subplot()
    found.grid(axis=grid)  # type: ignore[arg-type]
    found.tick_params(length=0)
    return found


def _svg(name: str, alt: str, role: str, size: tuple[int, int], draw: Callable[[Figure, int], None]) -> Markup:
    width, height = size
    file = io.StringIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has more fonts
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")
        draw(figure, width)
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    head = Markup('<svg class="chart {}" role="img" aria-label="{}" viewBox="0 0 {} {}" style="--width:{}px">').format(
        role, alt, width, height, width
    )
    # Matplotlib escapes its texts
    return head + Markup(_cleaned(file.getvalue())) + Markup("</svg>")


def _cleaned(svg: str) -> str:
    """Returns what is inside the <svg> of a file of Matplotlib's, with CSS variables for colors and the page's font."""
    body = svg[svg.index("</metadata>") + len("</metadata>") : svg.rindex("</svg>")]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)  # would be the page's
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r" ?font-family: [^;\"]*;?", "", body)
    body = body.replace("xlink:href", "href")
    for name, color in _COLORS.items():
        body = body.replace(color, f"var(--{name})")
    body = re.sub(r"(-?\d+\.\d\d)\d+", r"\1", body)  # a hundredth of a pixel is enough
    return re.sub(r"\s*\n\s*", "\n", body).strip()
