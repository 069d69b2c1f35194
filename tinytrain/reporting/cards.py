"""The answer at the top of a run: how accurate, does it fit, how fast, is the chip's answer the same."""

from dataclasses import dataclass, field

from tinytrain.data.source import counted
from tinytrain.exporting import proof
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
        answers += [card(export) for card in (_fits, _latency, _parity)]
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


def _parity(export: Export) -> Card | None:
    bench, parity = export.bench, export.report.get("parity")
    if not parity:
        return None
    different = parity["different"] + bench.get("different", 0)
    different += export.report.get("tensorflow_lite", {}).get("parts", False)  # not there in an old report
    compared = counted(parity["images"], *_unit(export))
    lines = [f"{parity['different']:,} of {compared} of the C array differ from the int8 model's"]
    if emulated := export.report.get("emulated"):
        boxes = f", its boxes: {emulated['boxes']}" if "boxes" in emulated else ""
        lines.append(f"golden output in the emulator: {emulated['golden']}{boxes}")
        different += emulated["golden"] == "different" or emulated.get("boxes") == "different"
    if "different" in bench:
        where = f"{bench.get('board', 'the board')}{' (emulated)' if bench.get('emulated') else ''}"
        lists = f", {bench['boxes']['different']:,} of the lists of boxes" if bench.get("boxes") else ""
        lines.append(f"{bench['different']:,} of {bench.get('images', 0):,} differ on {where}{lists}")
        different += bench["boxes"]["different"] if bench.get("boxes") else 0
    if export.report.get("golden_boxes") == 0:
        lines.append(proof.NO_GOLDEN_BOXES)
    unproven = export.report.get("unproven", [])
    lines += [f"not proven: {reason}" for reason in unproven]
    value, state = ("NO", "bad") if different else ("not proven", "") if unproven else ("yes", "good")
    return Card("Parity: same answers in C?", value, lines, state)
