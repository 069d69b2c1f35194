"""Charts of an export: the arena over time, RAM and flash by part, time by operator, quantization noise by layer."""

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

ROWS_SHOWN = 20  # bars at most in a horizontal chart
_BAR_HEIGHT, _AXIS_HEIGHT = 17, 62  # pixels
KIB = 1024


def arena(name: str, memory: MemoryMap, rows: list[Row]) -> Chart:
    """Returns a chart of the arena over time.

    Each buffer is a brick: as wide as the operators that need it, as high as its bytes, where the planner puts it.

    Args:
        name: of the export, unique in the page.
        memory: the buffers.
        rows: the operators in the order they run.
    """
    layers = ", ".join(rows[number - 1].layer for number in memory.peak_operators)
    alt = (
        f"Activations in the arena over {len(rows)} operators: at most {memory.live_bytes.max():,} bytes at once, "
        f"at {memory.peak_step} ({layers})"
    )
    sizes = [(svg.WIDE, 330), (svg.PHONE, 330)]
    return svg.chart(f"arena-{name}", alt, sizes, lambda figure, _: _draw_arena(figure, memory))


def _draw_arena(figure: Figure, memory: MemoryMap) -> None:
    axes = svg.axes(figure)
    axes.set_xlabel("operator")
    axes.set_ylabel("KiB from the start of the arena")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for place, (offset, buffer) in enumerate(memory.blocks):
        at_peak = buffer.first <= memory.peak <= buffer.last
        color = svg.SERIES[2] if place in memory.rows else svg.SERIES[1] if buffer.scratch else svg.SERIES[0]
        corner, width = (buffer.first - 0.5, offset / KIB), buffer.last - buffer.first + 1
        brick = Rectangle(corner, width, buffer.size_bytes / KIB, facecolor=color, edgecolor=svg.PANEL, linewidth=0.8)
        brick.set_alpha(0.9 if at_peak else 0.45)
        axes.add_patch(brick)
    axes.set_xlim(-0.5, len(memory.live_bytes) - 0.5)
    axes.set_ylim(0, 1.14 * memory.head_bytes / KIB)
    axes.axhline(memory.head_bytes / KIB, color=svg.MUTED, linewidth=1, linestyle=":")
    axes.axvline(memory.peak, color=svg.INK, linewidth=1, linestyle="--")
    in_right_half = memory.peak > len(memory.live_bytes) / 2
    axes.annotate(
        f"peak at {memory.peak_step}: {memory.live_bytes.max():,} bytes",
        (memory.peak, 1.07 * memory.head_bytes / KIB),
        xytext=(-5 if in_right_half else 5, 0),
        textcoords="offset points",
        ha="right" if in_right_half else "left",
        va="center",
    )
    colors = {"tensor (full color: at the peak)": svg.SERIES[0]}
    colors |= {"scratch of kernels": svg.SERIES[1]} if memory.compiled else {"scratch of CMSIS-NN": svg.SERIES[1]}
    colors |= {"rows of fused operators": svg.SERIES[2]} if memory.rows else {}
    _legend(figure, colors)


def _legend(figure: Figure, colors: dict[str, str], columns: int = 2) -> None:
    """Puts a legend below a chart on the left."""
    handles = [Patch(color=color) for color in colors.values()]
    figure.legend(handles, list(colors), loc="outside lower left", ncols=columns, columnspacing=1, borderpad=0)


Part = tuple[str, int]  # name, bytes


def usage(name: str, title: str, parts: list[Part], limit: int) -> Chart:
    """Returns one bar that shows how much of a memory is used, by part.

    Args:
        name: of the chart, unique in the page.
        title: the memory, "RAM" or "Flash".
        parts: what uses it.
        limit: its size in bytes.
    """
    used = sum(size for _, size in parts)
    listed = ", ".join(f"{part} {size:,}" for part, size in parts)
    alt = f"{title}: {used:,} of {limit:,} bytes ({listed})"
    height = 92 + 16 * -(-(len(parts) + 1) // 2)
    return svg.chart(f"parts-{name}", alt, [(svg.HALF, height), (svg.PHONE, height)], _draw_usage(title, parts, limit))


def _draw_usage(title: str, parts: list[Part], limit: int) -> Callable[[Figure, int], None]:
    used = sum(size for _, size in parts)

    def draw(figure: Figure, width: int) -> None:
        axes = svg.axes(figure)
        axes.grid(visible=False)
        axes.set_title(f"{title}: {used / KIB:,.0f} of {limit / KIB:,.0f} KiB, {100 * used / limit:.0f} %")
        axes.barh(0, limit / KIB, color=svg.LINE, height=0.8)
        start = 0.0
        for number, (_, size) in enumerate(parts):
            axes.barh(0, size / KIB, left=start, color=svg.SERIES[number], height=0.8)
            start += size / KIB
        if used > limit:
            axes.axvline(limit / KIB, color=svg.SERIES[3], linewidth=2)
        axes.set_xlim(0, max(limit, used) / KIB)
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 4, 8, 10]))
        colors = {f"{part} {size / KIB:,.1f}": svg.SERIES[number] for number, (part, size) in enumerate(parts)}
        _legend(figure, colors | ({f"free {(limit - used) / KIB:,.1f}": svg.LINE} if used <= limit else {}))

    return draw


def times(name: str, rows: list[Row], how_timed: str) -> Chart:
    """Returns a bar for the time of each operator, in the order they run, with the horizontal axis of `arena`."""
    slowest, total = max(rows, key=lambda row: row.ms), sum(row.ms for row in rows)
    alt = (
        f"Time by operator, {how_timed}: {total:.1f} ms, most in {slowest.kind} of {slowest.layer}, {slowest.ms:.2f} ms"
    )
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
    shares = {kind: sum(row.ms for row in rows if row.kind == kind) / total for kind in colors}
    legend = {f"{kind} {100 * share:.1f} %": colors[kind] for kind, share in shares.items()}
    _legend(figure, legend, columns=5 if width > svg.PHONE else 1)


def kind_colors(rows: list[Row]) -> dict[str, str]:
    """Returns {kind of operator: color} in the order of first use; many kinds share colors."""
    kinds = dict.fromkeys(row.kind for row in rows)
    return {kind: svg.SERIES[number % len(svg.SERIES)] for number, kind in enumerate(kinds)}


def longest(name: str, rows: list[Row]) -> Chart:
    """Returns a bar for each of the operators that take longest, with its name and its share of the time."""
    shown = sorted(rows, key=lambda row: -row.ms)[:ROWS_SHOWN]
    total = sum(row.ms for row in rows)
    listed = ", ".join(f"{row.layer} {row.ms:.2f} ms" for row in shown[:5])
    height = _AXIS_HEIGHT + _BAR_HEIGHT * len(shown)

    def draw(figure: Figure, width: int) -> None:
        axes, colors = svg.axes(figure, grid="x"), kind_colors(rows)
        positions = range(len(shown))
        bars = axes.barh(positions, [row.ms for row in shown], color=[colors[row.kind] for row in shown], height=0.75)
        axes.bar_label(bars, [_percent(row.ms / total) for row in shown], fontsize=10, color=svg.MUTED, padding=2)
        _label_bars(axes, [f"{row.number} {row.layer}" for row in shown], width)
        axes.set_xlabel("ms")
        axes.margins(x=0.12)

    alt = f"The {len(shown)} operators that take longest: {listed}"
    return svg.chart(f"longest-{name}", alt, [(svg.HALF, height), (svg.PHONE, height)], draw)


def _percent(share: float) -> str:
    """Returns the label of a bar, "" for a share that rounds to 0."""
    return f"{100 * share:.1f} %" if share >= 0.0005 else ""


def noise(name: str, layers: list[dict[str, Any]]) -> Chart:
    """Returns the signal-to-noise ratios of the worst layers: for the noise of each layer, and for all noise up to it.

    Args:
        name: of the export, unique in the page.
        layers: the rows of `quantize.error_analysis.layers`, worst first.
    """
    shown = layers[:ROWS_SHOWN]
    worst = shown[0]
    alt = (
        f"Signal to noise of the {len(shown)} worst of {len(layers)} layers, worst first: {worst['layer']} adds noise "
        f"at {worst['own_db']:.1f} dB"
    )
    height = _AXIS_HEIGHT + _BAR_HEIGHT * len(shown) + 20
    return svg.chart(f"noise-{name}", alt, [(svg.HALF, height), (svg.PHONE, height)], _draw_noise(shown))


def _draw_noise(shown: list[dict[str, Any]]) -> Callable[[Figure, int], None]:
    def draw(figure: Figure, width: int) -> None:
        axes = svg.axes(figure, grid="x")
        positions = list(range(len(shown)))
        axes.barh(positions, [row["own_db"] for row in shown], color=svg.SERIES[0], height=0.7)
        axes.plot([row["total_db"] for row in shown], positions, "D", color=svg.SERIES[1], markersize=5)
        _label_bars(axes, [row["layer"] for row in shown], width)
        axes.set_xlabel("dB, less is worse; 6 dB are one bit")
        _legend(figure, {"noise that the layer adds": svg.SERIES[0], "all noise up to there": svg.SERIES[1]})

    return draw


def _label_bars(axes: Axes, names: list[str], width: int) -> None:
    """Writes names beside the bars of a horizontal chart, shortened to fit, and puts the first bar on top."""
    limit = 28 if width > svg.PHONE else 23
    axes.set_yticks(range(len(names)), [name if len(name) <= limit else name[: limit - 1] + "…" for name in names])
    axes.tick_params(axis="y", labelsize=10, labelcolor=svg.INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
