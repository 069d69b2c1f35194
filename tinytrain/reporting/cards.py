"""The answer at the top of a run: how accurate, does it fit, how fast, is the chip's answer proven."""

from dataclasses import dataclass, field

from tinytrain.data.source import counted
from tinytrain.exporting import text
from tinytrain.reporting import facts
from tinytrain.reporting.facts import margin, percent
from tinytrain.reporting.runs import Export, Subject


@dataclass(frozen=True)
class Meter:
    """How much of a limit is used."""

    label: str
    used: int
    limit: int

    @property
    def text(self) -> str:
        """The figures to read."""
        return f"{self.used / 1024:,.0f} of {self.limit / 1024:,.0f} KiB"

    @property
    def share(self) -> float:
        """The used share, above 1 if it is too much."""
        return self.used / max(self.limit, 1)


@dataclass(frozen=True)
class Card:
    """One answer: a question, the answer in large letters, what goes with it, and "good", "bad" or "" of it."""

    title: str
    value: str
    lines: list[str] = field(default_factory=list)
    state: str = ""
    meters: list[Meter] = field(default_factory=list)


def cards(subject: Subject) -> list[Card]:
    """Returns the answers about a run and each of its exports, as far as they are known."""
    answers = [_accuracy(subject)]
    for export in subject.exports:
        answers += [card(export) for card in (_fits, _latency, _proven)]
    return [card for card in answers if card]


def _unit(export: Export) -> tuple[str, str]:
    """Returns what is compared of an image, in the singular and the plural: its output, or those of several."""
    several = len(export.report.get("outputs", [])) > 1
    return ("set of outputs", "sets of outputs") if several else ("output", "outputs")


def points(difference: float) -> str:
    """Returns a difference of accuracies in points, to read."""
    return f"{difference:+.1f} points".replace("-", "−")


def _accuracy(subject: Subject) -> Card | None:
    before, figure = facts.float_score(subject), facts.figure(subject)
    name = "accuracy" if figure.of_images else figure.label
    if before is None:
        column = f"val_{figure.key}"
        rows = [row[column] for row in subject.history if column in row]
        return (
            Card(f"Best val {name} so far", percent(max(rows)), ["the test images are not looked at yet"])
            if rows
            else None
        )
    images = subject.metrics["test"].get("images", 0)
    exact = f": ± {100 * margin(before, images):.1f} points" if images and figure.of_images else ""
    test_images = f"{counted(images, 'test image')}{exact}" if images else ""
    known = [export for export in subject.exports if facts.int8_score(export) is not None]
    if not known:
        return Card(f"Test {name}, float", percent(before), [test_images])
    after, tuned = facts.int8_score(known[0]) or 0.0, facts.finetuned_score(known[0])
    difference = 100 * (after - (before if tuned is None else tuned))
    fine_tuned = "" if tuned is None else f", fine-tuned {percent(tuned)}"
    lines = [f"float {percent(before)}{fine_tuned}, int8 {points(difference)}", test_images]
    return Card(f"Test {name}, int8", percent(after), lines, "bad" if difference < -1 else "")


def _fits(export: Export) -> Card | None:
    memory, board = facts.memory(export), export.report.get("board", "the board")
    if not memory and "fits" in export.report and export.report["fits"] is None:
        return Card(f"Fits {board}?", "unknown", ["how much of the arena it takes was never measured"])
    if not memory:
        return None
    meters = [
        Meter(name, memory[f"{key}_bytes"], memory[f"{key}_limit_bytes"])
        for name, key in (("RAM", "ram"), ("flash", "flash"))
    ]
    fits = bool(export.report.get("fits"))
    return Card(f"Fits {board}?", "yes" if fits else "NO", [], "good" if fits else "bad", meters)


def _latency(export: Export) -> Card | None:
    latency = facts.latency(export)
    if not latency:
        return None
    lines = [latency.interval, latency.how]
    return Card(f"Latency on {export.report.get('board', 'the board')}", latency.text, [x for x in lines if x])


def _proven(export: Export) -> Card | None:
    report, bench = export.report, export.bench
    if not report.get("parity"):
        return None
    emulated = report.get("emulated", {})
    different = report["parity"]["different"] + bench.get("different", 0)
    different += report.get("tensorflow_lite", {}).get("parts", False)  # not there in an old report
    if emulated:
        different += emulated["golden"] == "different" or emulated.get("boxes") == "different"
    different += (bench.get("boxes") or {}).get("different", 0)
    unproven = report.get("unproven", [])
    is_proven = not different and not unproven
    why = [text.why_proven(report)] if is_proven else unproven
    compared = [f"{name}: {found}" for name, found in text.comparisons(report)]
    state = "bad" if different else "good" if is_proven else ""
    return Card("Proven", "yes" if is_proven else "NO", [*why, *compared, *_on_the_board(export)], state)


def _on_the_board(export: Export) -> list[str]:
    """Returns a line about how many outputs and lists of boxes `tinytrain bench` found different, if it ran."""
    bench = export.bench
    if "different" not in bench:
        return []
    where = f"{bench.get('board', 'the board')}{' (emulated)' if bench.get('emulated') else ''}"
    lists = f", {bench['boxes']['different']:,} of the lists of boxes" if bench.get("boxes") else ""
    compared = counted(bench.get("images", 0), *_unit(export))
    return [f"bench: {bench['different']:,} of {compared} differ on {where}{lists}"]
