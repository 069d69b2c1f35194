"""The order of a reproduced table's arms: our differences beside the paper's, and what can be said of them.

The order is that of the table's column `order`. For two arms, D is our difference on each seed that both have. If the
95 % t interval of the mean of D (`paired.interval`) leaves out 0, the difference has the "same sign" as the paper's or
the "other sign"; else they "cannot be told apart". This is about other seeds on the same images, not about other
images. Nothing can be said with one seed.
"""

import statistics
from typing import Any, TypeAlias

import scipy.stats

from tinytrain.experiments import paired
from tinytrain.experiments.papers.columns import Column
from tinytrain.experiments.papers.reproduction import Reproduction
from tinytrain.experiments.papers.tables import Arm

Row: TypeAlias = dict[str, Any]
NO_VERDICT = "nothing can be said"


def comparisons(reproduction: Reproduction) -> list[Row]:
    """Returns a row for each arm that has a baseline and runs, of the column `order`.

    Returns:
        Dictionaries with "arm", "against", "paper" (the paper's difference), "ours" (the mean of our differences, one
        for each seed that both arms have), "deviation" (their sample standard deviation), "low" and "high" (the 95 % t
        interval of the mean), "seeds" (their number) and "verdict". What does not exist, as of one seed, is None.
    """
    column, compared = _compared(reproduction)
    by_label = {arm.label: arm for arm in compared}
    pairs = [(arm, other) for arm in compared if (other := by_label.get(arm.against)) and other is not arm]
    return [_comparison(reproduction, arm, other, column) for arm, other in pairs]


def _compared(reproduction: Reproduction) -> tuple[Column, list[Arm]]:
    """Returns the column `order`, and the arms of which both the paper and we have a figure in it."""
    column = next(column for column in reproduction.table.columns if column.name == reproduction.table.order)
    arms = [arm for arm in reproduction.table.arms if column.name in arm.paper and reproduction.values(arm, column)]
    return column, arms


def paragraphs(reproduction: Reproduction) -> list[str]:
    """Returns paragraphs on the column `order`: each arm against its baseline, then all pairs of arms."""
    column, compared = _compared(reproduction)
    if len(compared) < 2:
        return []
    lines = [
        f"- {row['arm']} against {row['against']}: paper {row['paper']:+.2f}, {_in_words(row)}"
        for row in comparisons(reproduction)
    ]
    return [f"Order in {column.heading}:", "\n".join(lines), _pairs(reproduction, compared, column)]


def _comparison(reproduction: Reproduction, arm: Arm, other: Arm, column: Column) -> Row:
    """Returns the row of two arms, as `comparisons` describes it."""
    ours, paper = _differences(reproduction, arm, other, column), arm.paper[column.name] - other.paper[column.name]
    low, high = paired.interval(ours) or (None, None)
    return {
        "arm": arm.label,
        "against": other.label,
        "paper": paper,
        "ours": statistics.mean(ours) if ours else None,
        "deviation": statistics.stdev(ours) if len(ours) > 1 else None,
        "low": low,
        "high": high,
        "seeds": len(ours),
        "verdict": verdict(ours, paper) if ours else None,
    }


def _in_words(row: Row) -> str:
    """Returns our difference of two arms, and whether it agrees with the paper's."""
    if row["ours"] is None:
        return "ours not run"
    spread = "" if row["deviation"] is None else f" ± {row['deviation']:.2f}"
    return f"ours {row['ours']:+.2f}{spread} ({_seeds(row['seeds'])}): {row['verdict']}"


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def verdict(ours: list[float], paper: float) -> str:
    """Returns in words whether our differences, one for each seed, agree with that of the paper; see the module."""
    if paper == 0:
        return "the paper has no difference"
    if len(ours) == 1:
        return NO_VERDICT
    interval = paired.interval(ours)
    if interval is None:
        return f"{NO_VERDICT} ({paired.EQUAL})" if any(ours) else f"{paired.ALIKE} (no difference in any seed)"
    judgment = {0: paired.ALIKE, 1: "same sign", -1: "other sign"}[paired.sign(ours) * (1 if paper > 0 else -1)]
    return f"{judgment} (95 % interval {interval[0]:+.2f} to {interval[1]:+.2f})"


def _differences(reproduction: Reproduction, arm: Arm, other: Arm, column: Column) -> list[float]:
    """Returns figure of `arm` - figure of `other` for each seed that both have."""
    figures, other_figures = reproduction.values(arm, column), reproduction.values(other, column)
    return [figures[seed] - other_figures[seed] for seed in figures if seed in other_figures]


def _pairs(reproduction: Reproduction, compared: list[Arm], column: Column) -> str:
    """Returns a sentence on all pairs of arms: how many have which verdict, and the rank correlation."""
    verdicts: dict[str, int] = {}
    for number, arm in enumerate(compared):
        for other in compared[:number]:
            ours, paper = (
                _differences(reproduction, arm, other, column),
                arm.paper[column.name] - other.paper[column.name],
            )
            if ours and paper:
                text = verdict(ours, paper).partition(" (")[0]
                verdicts[text] = verdicts.get(text, 0) + 1
    total = sum(verdicts.values())
    if not total:
        return "No two arms can be compared yet."
    if verdicts.keys() == {NO_VERDICT}:
        return "With one seed nothing can be said about the order of the arms."
    counted = ", ".join(f"{count} {text}" for text, count in sorted(verdicts.items(), key=lambda item: -item[1]))
    papers = [arm.paper[column.name] for arm in compared]
    means = [statistics.mean(reproduction.values(arm, column).values()) for arm in compared]
    rank = f"; Spearman's rank correlation with the paper {spearman(papers, means):+.2f}" if len(compared) > 2 else ""
    return f"Of {total} {'pair' if total == 1 else 'pairs'} of arms: {counted}{rank}."


def spearman(first: list[float], second: list[float]) -> float:
    """Returns Spearman's rank correlation of two lists, equal values having their mean rank; 0 if one is constant."""
    if len(set(first)) == 1 or len(set(second)) == 1:
        return 0.0
    return float(scipy.stats.spearmanr(first, second).statistic)
