"""Charts of an export: the arena over time, RAM and flash by part, time by operator, noise by layer."""

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from tinytrain.reporting import svg
from tinytrain.reporting.memory_map import MemoryMap
from tinytrain.reporting.operators import Row
from tinytrain.reporting.svg import Chart

ROWS_SHOWN = 20
_ROW, _MARGIN = 17, 62  # pixels of a bar, and of the axis below
KIB = 1024


def arena(name: str, found: MemoryMap, rows: list[Row]) -> Chart:
    """Returns the picture of the arena: a brick for each buffer, as wide as it lives, where the planner puts it."""
    peak = rows[found.peak - 1]
    alt = (
        f"Activations in the arena over {len(rows)} operators: at most {found.live_bytes.max():,} bytes at once, "
        f"while operator {peak.number} ({peak.kind} of {peak.layer}) runs"
    )
    return svg.chart(f"arena-{name}", alt, [(svg.WIDE, 330), (svg.PHONE, 330)], lambda f, _: _draw_arena(f, found))


def _draw_arena(figure: Figure, found: MemoryMap) -> None:
    axes = svg.axes(figure)
    axes.set_xlabel("operator")
    axes.set_ylabel("KiB from the start of the arena")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for offset, buffer in found.blocks:
        at_peak = buffer.first <= found.peak <= buffer.last
        color = svg.SERIES[1] if buffer.scratch else svg.SERIES[0]
        corner, width = (buffer.first - 0.5, offset / KIB), buffer.last - buffer.first + 1
        brick = Rectangle(corner, width, buffer.size_bytes / KIB, facecolor=color, edgecolor=svg.PANEL, linewidth=0.8)
        brick.set_alpha(0.9 if at_peak else 0.45)
        axes.add_patch(brick)
    axes.set_xlim(-0.5, len(found.live_bytes) - 0.5)
    axes.set_ylim(0, 1.14 * found.head_bytes / KIB)
    axes.axhline(found.head_bytes / KIB, color=svg.MUTED, linewidth=1, linestyle=":")
    axes.axvline(found.peak, color=svg.INK, linewidth=1, linestyle="--")
    late = found.peak > len(found.live_bytes) / 2
    axes.annotate(
        f"peak at operator {found.peak}: {found.live_bytes.max():,} bytes",
        (found.peak, 1.07 * found.head_bytes / KIB),
        xytext=(-5 if late else 5, 0),
        textcoords="offset points",
        ha="right" if late else "left",
        va="center",
    )
    _legend(figure, {"tensor (full color: at the peak)": svg.SERIES[0], "scratch of CMSIS-NN": svg.SERIES[1]})


def _legend(figure: Figure, colors: dict[str, str], columns: int = 2) -> None:
    """Puts a legend below a chart, on its left."""
    handles = [Patch(color=color) for color in colors.values()]
    figure.legend(handles, list(colors), loc="outside lower left", ncols=columns, columnspacing=1, borderpad=0)


Part = tuple[str, int]  # what, bytes


def parts(name: str, title: str, found: list[Part], limit: int) -> Chart:
    """Returns one bar of what is used of `limit` bytes, by part."""
    used = sum(size for _, size in found)
    listed = ", ".join(f"{what} {size:,}" for what, size in found)
    alt = f"{title}: {used:,} of {limit:,} bytes ({listed})"
    height = 92 + 16 * -(-(len(found) + 1) // 2)
    return svg.chart(f"parts-{name}", alt, [(svg.HALF, height), (svg.PHONE, height)], _draw_parts(title, found, limit))


def _draw_parts(title: str, found: list[Part], limit: int) -> Callable[[Figure, int], None]:
    used = sum(size for _, size in found)

    def draw(figure: Figure, width: int) -> None:
        axes = svg.axes(figure)
        axes.grid(visible=False)
        axes.set_title(f"{title}: {used / KIB:,.0f} of {limit / KIB:,.0f} KiB, {100 * used / limit:.0f} %")
        axes.barh(0, limit / KIB, color=svg.LINE, height=0.8)
        start = 0.0
        for number, (_, size) in enumerate(found):
            axes.barh(0, size / KIB, left=start, color=svg.SERIES[number], height=0.8)
            start += size / KIB
        if used > limit:
            axes.axvline(limit / KIB, color=svg.SERIES[3], linewidth=2)
        axes.set_xlim(0, max(limit, used) / KIB)
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 4, 8, 10]))
        colors = {f"{what} {size / KIB:,.1f}": svg.SERIES[number] for number, (what, size) in enumerate(found)}
        _legend(figure, colors | ({f"free {(limit - used) / KIB:,.1f}": svg.LINE} if used <= limit else {}))

    return draw


def times(name: str, rows: list[Row], how: str) -> Chart:
    """Returns a bar for each operator in the order they run, above the same axis as the arena's."""
    most, total = max(rows, key=lambda row: row.ms), sum(row.ms for row in rows)
    alt = f"Time by operator, {how}: {total:.1f} ms, most in {most.kind} of {most.layer}, {most.ms:.2f} ms"
    kinds = len({row.kind for row in rows})
    sizes = [(svg.WIDE, 210 + 16 * -(-kinds // 5)), (svg.PHONE, 210 + 16 * kinds)]
    return svg.chart(f"times-{name}", alt, sizes, lambda figure, width: _draw_times(figure, width, rows))


def _draw_times(figure: Figure, width: int, rows: list[Row]) -> None:
    axes = svg.axes(figure)
    colors = kind_colors(rows)
    axes.bar([row.number for row in rows], [row.ms for row in rows], 0.85, color=[colors[row.kind] for row in rows])
    axes.set_xlim(-0.5, len(rows) + 0.5)
    axes.set_xlabel("operator")
    axes.set_ylabel("ms")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    total = sum(row.ms for row in rows)
    spent = {kind: sum(row.ms for row in rows if row.kind == kind) / total for kind in colors}
    legend = {f"{kind} {100 * share:.1f} %": colors[kind] for kind, share in spent.items()}
    _legend(figure, legend, columns=5 if width > svg.PHONE else 1)


def kind_colors(rows: list[Row]) -> dict[str, str]:
    """Returns a color for each kind of operator, in the order of their first use; many kinds share colors."""
    kinds = dict.fromkeys(row.kind for row in rows)
    return {kind: svg.SERIES[number % len(svg.SERIES)] for number, kind in enumerate(kinds)}


def longest(name: str, rows: list[Row]) -> Chart:
    """Returns the operators that take longest, with their names and shares."""
    shown = sorted(rows, key=lambda row: -row.ms)[:ROWS_SHOWN]
    total = sum(row.ms for row in rows)
    listed = ", ".join(f"{row.layer} {row.ms:.2f} ms" for row in shown[:5])
    height = _MARGIN + _ROW * len(shown)

    def draw(figure: Figure, width: int) -> None:
        axes, colors = svg.axes(figure, grid="x"), kind_colors(rows)
        places = range(len(shown))
        bars = axes.barh(places, [row.ms for row in shown], color=[colors[row.kind] for row in shown], height=0.75)
        axes.bar_label(bars, [_percent(row.ms / total) for row in shown], fontsize=10, color=svg.MUTED, padding=2)
        _named(axes, [f"{row.number} {row.layer}" for row in shown], width)
        axes.set_xlabel("ms")
        axes.margins(x=0.12)

    alt = f"The {len(shown)} operators that take longest: {listed}"
    return svg.chart(f"longest-{name}", alt, [(svg.HALF, height), (svg.PHONE, height)], draw)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 else ""


def noise(name: str, layers: list[dict[str, Any]]) -> Chart:
    """Returns the signal-to-noise ratio of the worst layers: what each adds, and all that has come together there."""
    shown = layers[:ROWS_SHOWN]
    worst = shown[0]
    alt = (
        f"Signal to noise of the {len(shown)} worst of {len(layers)} layers, worst first: {worst['layer']} adds noise "
        f"at {worst['own_db']:.1f} dB"
    )
    height = _MARGIN + _ROW * len(shown) + 20
    return svg.chart(f"noise-{name}", alt, [(svg.HALF, height), (svg.PHONE, height)], _draw_noise(shown))


def _draw_noise(shown: list[dict[str, Any]]) -> Callable[[Figure, int], None]:
    def draw(figure: Figure, width: int) -> None:
        axes = svg.axes(figure, grid="x")
        places = list(range(len(shown)))
        axes.barh(places, [row["own_db"] for row in shown], color=svg.SERIES[0], height=0.7)
        axes.plot([row["total_db"] for row in shown], places, "D", color=svg.SERIES[1], markersize=5)
        _named(axes, [row["layer"] for row in shown], width)
        axes.set_xlabel("dB, less is worse; 6 dB are one bit")
        _legend(figure, {"noise that the layer adds": svg.SERIES[0], "all noise up to there": svg.SERIES[1]})

    return draw


def _named(axes: Axes, names: list[str], width: int) -> None:
    """Names the bars of a horizontal chart, the first one on top."""
    most = 28 if width > svg.PHONE else 23
    axes.set_yticks(range(len(names)), [name if len(name) <= most else name[: most - 1] + "…" for name in names])
    axes.tick_params(axis="y", labelsize=10, labelcolor=svg.INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
