"""What `tinytrain bench` prints: its result as tables to read."""

from itertools import zip_longest
from pathlib import Path
from typing import Any

from tinytrain import tables
from tinytrain.data.source import counted
from tinytrain.deploy.exported import BENCH_FILE, BOXES_FILE, PICTURE_FILE
from tinytrain.train import figures

DIFFERENCES_SHOWN = 10
OPERATORS_SHOWN = 10
_VALUES_SHOWN = 12
_CLOCK_TOLERANCE = 0.02  # USB and Python add less than that to ten seconds


def summary(result: dict[str, Any], folder: Path) -> str:
    """Returns the result as text: the figures, the longest operators, the outputs that differ."""
    rows = [
        ("board", f"{result['board']}{' (emulated)' if result['emulated'] else ''}, {result['engine']} engine"),
        ("model", result["model"]),
        ("images", f"{result['images']:,}, {result['different']:,} outputs differ from the host's (expected: 0)"),
        *([("boxes", _boxes(result["boxes"], result["images"]))] if "boxes" in result else []),
        ("accuracy", _accuracy(result)),
        ("latency", _latency(result)),
    ]
    if "boxes" in result:
        rows.append(("decode", _decode(result)))
    if memory := result.get("memory"):
        rows.append(("arena", f"{memory['arena_used_bytes']:,} of {memory['arena_bytes']:,} bytes used"))
        rows.append(("stack", f"{memory['stack_used_bytes']:,} of {memory['stack_bytes']:,} bytes used"))
    rows.append(("line", _line(result)))
    rows.append(("written", ", ".join(str(folder / name) for name in _files(result))))
    lines = tables.aligned(rows, ("<9", ""), between=" ")
    return "\n".join(
        [*lines, *_warnings(result), *_operators(result), *_differences(result), *_box_differences(result)]
    )


def failure(result: dict[str, Any]) -> str:
    """Returns what is wrong with the board's answers, in one sentence; "" if they are the host's."""
    if different := result["different"]:
        share = f"{different:,} of {counted(result['images'], 'output')} of {result['board']}"
        return f"{share} differ from the host's: the model gives different results there"
    if different := result.get("boxes", {}).get("different", 0):
        share = f"the boxes of {different:,} of {counted(result['images'], 'image')} on {result['board']}"
        return f"{share} differ from the host's: its decoder gives different results there"
    if different := result["latency"].get("different", 0):
        return (
            f"the output changed in {different} of {len(result['latency']['windows'])} repetitions on {result['board']}"
        )
    return ""


def _files(result: dict[str, Any]) -> list[str]:
    pictures = {"profile": PICTURE_FILE, "boxes": BOXES_FILE}
    return [BENCH_FILE, *(name for key, name in pictures.items() if result.get(key))]


def _boxes(boxes: dict[str, Any], images: int) -> str:
    different = f"{boxes['different']:,} of {counted(images, 'list')} differ from the host's (expected: 0)"
    return f"{boxes['mean']:.1f} an image, {different}"


def _decode(result: dict[str, Any]) -> str:
    times = result["boxes"]["decode"]
    counts = f"{times['median']:,.0f} {times['unit']} an image"
    share = 100 * times["median"] / result["latency"]["median"]
    text = f"{counts} (median, {times['min']:,.0f} to {times['max']:,.0f}), {share:.2g} % of an inference"
    return text if result["emulated"] else f"{times['milliseconds']:.2f} ms, {text}"


def _accuracy(result: dict[str, Any]) -> str:
    accuracy = result["accuracy"]
    if accuracy is None:
        return "unknown: the export has no labels, or the protocol sends no boxes"
    label = figures.of(result["task"]).main.label
    return f"{label} {100 * accuracy['board']:.2f} % on the board, {100 * accuracy['host']:.2f} % on the host"


def _latency(result: dict[str, Any]) -> str:
    latency = result["latency"]
    windows = len(latency["windows"])
    if result["protocol"] == "mlperf":
        low, high = latency["min_milliseconds"], latency["max_milliseconds"]
        shortest = min(row["seconds"] for row in latency["windows"])
        clock = " by the emulator's clock, which is not a board's" if result["emulated"] else ""
        return (
            f"{latency['milliseconds']:.3f} ms{clock}, {latency['inferences_per_second']:.3f} inferences/s "
            f"(median of {windows} windows of at least {shortest:.1f} s, {low:.3f} to {high:.3f} ms)"
        )
    counts = f"{latency['median']:,.0f} {latency['unit']} an inference"
    spread = f"{latency['min']:,.0f} to {latency['max']:,.0f}"
    if result["emulated"]:
        return f"{counts} (median of {windows} of the same image, {spread})"
    shortest = min(row["seconds"] for row in latency["windows"])
    predicted = ""
    if interval := latency.get("predicted_range_milliseconds"):
        predicted = f"; predicted {interval[0]:.1f} to {interval[1]:.1f} ms"
    return (
        f"{latency['milliseconds']:.2f} ms, {counts} (median of {windows} windows of at least {shortest:.1f} s, "
        f"{spread}){predicted}"
    )


def _line(result: dict[str, Any]) -> str:
    line = result["line"]
    speed = f"{result['port']} at {result['baud']:,} baud, {line['images_per_second']:.3g} images/s"
    if result["emulated"]:
        speed = f"{result['port']}, {line['images_per_second']:.3g} images/s"
    if "repeated_requests" not in line:
        return speed
    repeated = line["repeated_requests"] + line["repeated_inputs"]
    damaged = counted(line["damaged_requests"] + line["damaged_answers"], "frame")
    lost = f"{counted(line['lost_bytes'], 'byte')} lost, {damaged} damaged"
    return f"{speed}, {counted(repeated, 'request')} sent again, {lost}, {counted(line['line_errors'], 'line error')}"


def _warnings(result: dict[str, Any]) -> list[str]:
    clock = result["latency"].get("clock", 1.0)
    if abs(clock - 1) <= _CLOCK_TOLERANCE:
        return []
    return [f"clock     10 s on the board took {10 * clock:.1f} s here: its clock is not as its header says"]


def _operators(result: dict[str, Any]) -> list[str]:
    """Returns the operators that take longest, and what each kind takes."""
    if "profile" not in result:
        return []
    profile = result["profile"]
    kinds = ", ".join(f"{name} {100 * share:.1f} %" for name, share in profile["kinds"].items())
    longest = sorted(profile["operators"], key=lambda row: -row["counts"])[:OPERATORS_SHOWN]
    all_or_some = f"the longest {len(longest)} of " if len(longest) < len(profile["operators"]) else ""
    are_fused = any(len(row["operators"]) > 1 for row in profile["operators"])
    number = counted(len(profile["operators"]), "step" if are_fused else "operator")
    headings = ("", "", "operator", "output", "MACs", profile["unit"], "a MAC", "share")
    columns = ("<1", ">3", "<20", ">12", ">12", ">14", ">6", ">7")
    table = tables.aligned([headings, *map(_operator_cells, longest)], columns, between=" ")
    return ["", f"{kinds}; {all_or_some}{number}:", *table]


def operator_number(row: dict[str, Any]) -> str:
    """Returns the number of the operator of a row of the profile, from 1; "" for fused ones, whose name has them."""
    return str(row["operators"][0] + 1) if len(row["operators"]) == 1 else ""


def _operator_cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        "",
        operator_number(row),
        row["name"],
        "x".join(map(str, row["output"])),
        f"{row['macs']:,}",
        f"{row['counts']:,.0f}",
        f"{row['counts'] / row['macs']:.2f}" if row["macs"] else "",
        f"{100 * row['share']:.1f} %",
    )


def _differences(result: dict[str, Any]) -> list[str]:
    """Returns the first outputs that differ, the host's and the board's; with its number where a model has several."""
    if not result["differences"]:
        return []
    rows = result["differences"][:DIFFERENCES_SHOWN]
    more = "" if len(rows) == len(result["differences"]) else f"; all {len(result['differences']):,} are in bench.json"
    lines = ["", f"outputs that differ{more}:"]
    for row in rows:
        name = f"image {row['image']}" + (f", output {row['output']}" if "output" in row else "")
        lines += [f"  {name}: host  {_values(row['host'])}", f"  {'':{len(name)}}  board {_values(row['board'])}"]
    return lines


def _box_differences(result: dict[str, Any]) -> list[str]:
    """Returns the first images whose boxes differ, with the first box that is another on each side."""
    rows = result.get("boxes", {}).get("differences", [])
    lines = ["", "images whose boxes differ, and the first box that does:"] if rows else []
    for row in rows[:DIFFERENCES_SHOWN]:
        name = f"image {row['image']}"
        pairs = list(zip_longest(row["host"], row["board"]))
        first = next(number for number, (host, board) in enumerate(pairs) if host != board)
        host, board = (_values(box) if box else "none" for box in pairs[first])
        counts = f"{len(row['host'])} and {len(row['board'])} boxes, box {first}"
        lines += [f"  {name}: {counts}: host  {host}", f"  {'':{len(name) + len(counts)}}    board {board}"]
    return lines


def _values(values: list[Any]) -> str:
    text = " ".join(f"{value:5}" for value in values[:_VALUES_SHOWN])
    return text + (" …" if len(values) > _VALUES_SHOWN else "")
