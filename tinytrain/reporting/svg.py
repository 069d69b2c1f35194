"""Charts as SVG inside the page: drawn by Matplotlib, with colors and font from the page's CSS.

Matplotlib writes fixed colors, but the page has a light and a dark theme. So each color here is a placeholder that is
replaced by a CSS variable in the SVG. Texts stay texts and take the font of the page. A unit of an SVG is a CSS pixel.
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

DPI = 72  # which Matplotlib's SVG always has
WIDE, HALF, SMALL, PHONE = 1120, 550, 365, 364  # widths in pixels: full, two in a row, three in a row, a phone
_VARIABLES = ("ink", "muted", "line", "panel", *(f"c{number}" for number in range(1, 9)))
_COLORS = {name: f"#0a0b{number:02x}" for number, name in enumerate(_VARIABLES)}
INK, MUTED, LINE, PANEL = (_COLORS[name] for name in ("ink", "muted", "line", "panel"))
SERIES = [_COLORS[f"c{number}"] for number in range(1, 9)]

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # the name of a class may be $x$
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
    """A chart, and the text for readers who cannot see it."""

    svg: Markup
    alt: str


def chart(name: str, alt: str, sizes: Sequence[tuple[int, int]], draw: Callable[[Figure, int], None]) -> Chart:
    """Returns a chart drawn at one size, or at two: for a wide page and for a phone, of which CSS shows one.

    Args:
        name: of the chart, unique in the page; the ids inside the SVG are made from it.
        alt: what it shows, in words.
        sizes: (width, height) in pixels, the wide one first.
        draw: draws into a figure; its second argument is the width in pixels.
    """
    roles = ["both"] if len(sizes) == 1 else ["wide", "phone"]
    drawn = [_svg(f"{name}-{role}", alt, role, size, draw) for role, size in zip(roles, sizes, strict=True)]
    return Chart(Markup("\n").join(drawn), alt)


def axes(figure: Figure, grid: str = "y") -> Axes:
    """Adds the only axes of a figure, with grid lines for the axis "x", "y" or "both"."""
    subplot = figure.add_subplot()
    subplot.grid(axis=grid)  # type: ignore[arg-type]
    subplot.tick_params(length=0)
    return subplot


def short(name: str, most: int = 14) -> str:
    """Returns the name of a class as it stands in a chart."""
    return name if len(name) <= most else name[: most - 1] + "…"


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
    """Returns the content of the <svg> in a Matplotlib file, with CSS variables as colors and without fonts."""
    body = svg[svg.index("</metadata>") + len("</metadata>") : svg.rindex("</svg>")]
    # The style sheet of one chart would apply to the whole page.
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r" ?font-family: [^;\"]*;?", "", body)
    body = body.replace("xlink:href", "href")
    for name, color in _COLORS.items():
        body = body.replace(color, f"var(--{name})")
    # A hundredth of a pixel is enough; a number in a text stays as it is.
    body = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(-?\d+\.\d\d)\d+", r"\1", tag[0]), body)
    return re.sub(r"\s*\n\s*", "\n", body).strip()
