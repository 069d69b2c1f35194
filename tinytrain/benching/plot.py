"""The picture of `tinytrain bench`: how long each operator takes, in the order of the model, and each kind in all."""

from typing import IO, Any

from tinytrain.benching.text import operator_number

ROW_INCHES = 0.17
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")  # Okabe and Ito
_LABELLED_SHARE = 0.005  # a shorter bar's number would say 0


def draw(result: dict[str, Any], file: IO[bytes]) -> None:
    """Writes a PNG of the profile in bench.json: bars with their shares, a color for each kind."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    profile = result["profile"]
    rows, kinds = profile["operators"], profile["kinds"]
    colors = {name: _COLORS[min(i, len(_COLORS) - 1)] for i, name in enumerate(kinds)}
    figure = Figure(figsize=(9, 1.8 + ROW_INCHES * max(len(rows), 6)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(
        [row["index"] for row in rows],
        [row["counts"] for row in rows],
        color=[colors[row["name"].partition(" ")[0]] for row in rows],
        height=0.8,
    )
    texts = [f" {100 * row['share']:.1f} %" if row["share"] >= _LABELLED_SHARE else "" for row in rows]
    axes.bar_label(bars, texts, fontsize=7)
    axes.set_yticks([row["index"] for row in rows], [_name(row) for row in rows], fontsize=7)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the first operator on top
    axes.margins(x=0.08)
    axes.set_xlabel(f"{profile['unit']} in one inference")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    title = f"{result['model']} on {result['board']}: {_whole(result)}"
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)  # a file may be called $x$
    handles = [Patch(color=colors[name]) for name in kinds]
    names = [f"{name} {100 * share:.1f} %" for name, share in kinds.items()]
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(file, format="png")


def _name(row: dict[str, Any]) -> str:
    return f"{row['name']} {'x'.join(map(str, row['output']))}  {operator_number(row):>2}"


def _whole(result: dict[str, Any]) -> str:
    latency = result["latency"]
    text = f"{latency['median']:,.0f} {latency['unit']} an inference"
    return text if result["emulated"] else f"{latency['milliseconds']:.2f} ms, {text}"
