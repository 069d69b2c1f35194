"""What `tinytrain export` prints: the report as tables to read."""

import shlex
from pathlib import Path
from typing import Any

LAYERS_SHOWN = 15


def summary(report: dict[str, Any], folder: Path) -> str:
    """Returns the report as a table to read."""
    parity, used = report["parity"], report["memory"]
    operators = ", ".join(f"{count} {name}" for name, count in report["model"]["ops"].items())
    rows = [
        ("model", f"{report['model']['compact_bytes']:,} bytes, {report['model']['macs']:,} MACs: {operators}"),
        *[("input", note) for note in report["input"]["notes"]],
        ("accuracy", _accuracy(report["accuracy"])),
        ("parity", f"{parity['different']} of {parity['images']:,} outputs differ from the golden ones in TFLM"),
        (
            "RAM",
            f"{used['ram_bytes']:,} of {used['ram_limit_bytes']:,} bytes, {used['arena_bytes']:,} of them the arena",
        ),
        ("flash", f"{used['flash_bytes']:,} of {used['flash_limit_bytes']:,} bytes ({report['sizes']})"),
        ("latency", _latency(report)),
    ]
    if emulated := report.get("emulated"):
        text = f"golden output {emulated['golden']}, {emulated['instructions']:,} instructions an inference"
        rows.append(("emulated", f"{text} on {emulated['board']}"))
    rows.append(("fits", f"{report['board']}: {'yes' if report['fits'] else 'NO'}"))
    build = f"make -C {shlex.quote(str(folder / 'firmware'))} BOARD={report['board']} TFLM_DIR=…"
    lines = [str(folder), *(f"  {name:9} {text}" for name, text in rows), f"  {'build':9} {build}"]
    return "\n".join([*lines, *(_diagnosis(report["diagnosis"]) if "diagnosis" in report else [])])


def _latency(report: dict[str, Any]) -> str:
    """Returns the predicted interval first: a point alone would promise what nobody has measured."""
    basis = report["latency_basis"]
    if report["latency_ms"] is None:
        return f"unknown: nobody has published latencies of TFLM with CMSIS-NN on a {basis['core']} that could be used"
    low, high = report["latency_range_ms"]
    digits = 1 if high < 100 else 0
    likely = f"likely {report['latency_ms']:.{digits}f}; {basis['how']}"
    text = f"{low:.{digits}f} to {high:.{digits}f} ms, predicted ({likely})"
    guessed = ", ".join(basis["guessed_operators"])
    return f"{text}; {guessed} never counted: a guess" if guessed else text


def _accuracy(found: dict[str, Any]) -> str:
    if not found["images"]:
        return "unknown: proven on noise; --data SPEC measures it on images"
    shares = [f"{kind} {100 * found[kind]:.2f} %" for kind in ("float", "int8") if found[kind] is not None]
    return f"{', '.join(shares)} top-1 on {found['images']:,} images"


def _diagnosis(found: dict[str, Any]) -> list[str]:
    """Returns the layers that add most noise and the classes that lost most, as lines."""
    layers, classes = found["layers"], found["classes"]
    width = max(len(row["layer"]) for row in layers)
    lines = [
        "",
        f"signal to noise in dB, worst of {len(layers)} layers first: of what the layer adds, of all that has come",
        "together there, of its weights; the range of its output, and the share of it that 99 % of the values take",
        f"  {'layer':{width}} {'operator':16} {'own':>6} {'total':>6} {'weights':>7}  {'range':>18} {'share':>6}",
    ]
    for row in layers[:LAYERS_SHOWN]:
        weights = "" if row["weights_db"] is None else f"{row['weights_db']:.1f}"
        limits = f"{row['low']:.3g} … {row['high']:.3g}"
        lines.append(
            f"  {row['layer']:{width}} {row['operator']:16} {row['own_db']:6.1f} {row['total_db']:6.1f} {weights:>7}  "
            f"{limits:>18} {100 * row['bulk_share']:4.0f} %"
        )
    width = max(len("class"), *(len(row["class"]) for row in classes))
    lines += ["", f"  {'class':{width}} {'images':>6} {'float':>8} {'int8':>8} {'change':>8}"]
    for row in classes:
        shares = f"{100 * row['float']:6.1f} % {100 * row['int8']:6.1f} % {100 * (row['int8'] - row['float']):+6.1f} %"
        lines.append(f"  {row['class']:{width}} {row['images']:6} {shares}")
    return lines
