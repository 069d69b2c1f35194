"""How long the trials of a search are, and whether there is time for what comes next. No TensorFlow, no clock.

Successive halving as Optuna's pruner does it: a trial is looked at after r = ⌈E/9⌉ of its E epochs and after 3r, and
goes on if it is in the best third of those that came so far. A trial is never stopped and taken up later, so the first
one always goes on: with N trials in random order the k-th goes on with a chance of max(1, ⌊k/3⌋)/k.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinytrain.errors import UserError
from tinytrain.tables import duration

REDUCTION = 3  # of the trials, from rung to rung
LEAST_SHARE = 1 / 3  # of the usual epochs of a trial; before it gets fewer, there are fewer trials
LEAST_STEPS = 2000  # of a trial, if they are fewer; before it gets fewer, large networks are left out
LEAST_EPOCHS = 3  # of a trial, where there is very little time: fewer tell nothing
ENOUGH_TRIALS = 8  # that have room, else trials get fewer epochs: long ones are worth more than many
FEWEST_TRIALS = 3  # that have room where there is little time
LARGEST_SHARE = 0.25  # of the time that one of ENOUGH_TRIALS may take
LARGEST_OF_FEW = 0.5  # of the time that one of FEWEST_TRIALS may take
FINALISTS = 3
FINAL_SHARE = 0.15  # of the time, for the finalists; a single one may take more
# Of a finalist, in epochs of its training for each epoch of the fine-tune: benchmarks of docs/search.md.
TUNED_EPOCH = 2.5
MARGIN = 1.15  # planned times are so much longer than measured ones


@dataclass(frozen=True)
class Speed:
    """How fast this machine trains and what a trial takes beside, in seconds.

    slowness: of a step, in times of what nn/step_cost.py estimates; start: of a trial, to read the data, to compile and
    to quantize; final: of a finalist, to convert it and run it on all val and test images.
    """

    slowness: float
    start: float
    final: float

    def epoch(self, step_seconds: float, images: int) -> float:
        """Returns the seconds of an epoch of so many images, by the estimate of a step for one image."""
        return images * self.slowness * step_seconds


@dataclass(frozen=True)
class Plan:
    """How a search spends its time.

    epochs: of a whole trial; reserve_seconds: kept for the finalists; finalists: how many; share: of the time, the most
    that one trial may take.
    """

    epochs: int
    reserve_seconds: float
    finalists: int
    share: float = LARGEST_SHARE


def first_rung(epochs: int) -> int:
    """Returns after how many of `epochs` a trial is first compared."""
    return -(-epochs // REDUCTION**2)


def rungs(epochs: int) -> list[int]:
    """Returns after how many epochs a trial of `epochs` is compared: the end is no rung."""
    first = first_rung(epochs)
    return [rung for rung in (first, REDUCTION * first) if rung < epochs]


def expected_epochs(trials: int, epochs: int) -> float:
    """Returns how many epochs so many trials take together, if they come in random order."""
    total, going_on, done = 0.0, float(trials), 0
    for rung in [*rungs(epochs), epochs]:
        total += going_on * (rung - done)
        whole = round(going_on)
        going_on, done = sum(max(1, k // REDUCTION) / k for k in range(1, whole + 1)), rung
    return total


def plan(
    seconds: float,
    most_epochs: int,
    fixed: bool,
    epochs_of: Sequence[float],
    speed: Speed,
    qat: float,
    steps: int,
    spent: float = 0.0,
) -> Plan:
    """Returns how the time of a search is spent.

    A trial gets the most epochs with which half of the candidates are short enough, and ENOUGH_TRIALS of these have
    room. Where that would be less than LEAST_SHARE of the usual epochs, FEWEST_TRIALS have to do.

    Args:
        seconds: of the whole search.
        most_epochs: the usual number of epochs, or the one that the user typed.
        fixed: whether the user typed it, so that there can be no other.
        epochs_of: the seconds of an epoch of some candidates, drawn from the space.
        speed: of this machine.
        qat: epochs of the fine-tune of a finalist.
        steps: of an epoch.
        spent: seconds that have gone.

    Raises:
        UserError: there is no time for one trial.
    """
    left = seconds - spent
    few, least = min(LEAST_EPOCHS, most_epochs), max(LEAST_EPOCHS, math.ceil(LEAST_SHARE * most_epochs))
    enough = min(least, max(few, math.ceil(LEAST_STEPS / steps)))
    if fixed:
        few = least = enough = most_epochs
    for count, share, lowest in ((ENOUGH_TRIALS, LARGEST_SHARE, least), (FEWEST_TRIALS, LARGEST_OF_FEW, enough)):
        for finalists in range(FINALISTS, 0, -1):
            for epochs in range(most_epochs, lowest - 1, -1):
                short = [one for one in epochs_of if speed.start + epochs * one <= share * left]
                if 2 * len(short) < len(epochs_of):
                    continue
                mean = sum(short) / len(short)
                final = finalists * MARGIN * (speed.final + TUNED_EPOCH * qat * max(short))
                trials = MARGIN * (count * speed.start + expected_epochs(count, epochs) * mean)
                if trials + final <= left and (finalists == 1 or final <= FINAL_SHARE * seconds):
                    return Plan(epochs, final, finalists, share)
    quickest = min(epochs_of)
    final = MARGIN * (speed.final + TUNED_EPOCH * qat * quickest)
    for epochs in range(enough, few - 1, -1):
        trials = MARGIN * (FEWEST_TRIALS * speed.start + expected_epochs(FEWEST_TRIALS, epochs) * quickest)
        if trials + final <= left:
            return Plan(epochs, final, 1)
    needed = MARGIN * (speed.start + few * quickest) + final
    if needed > left:
        raise UserError(
            f"--hours {seconds / 3600:.3g} is shorter than one trial: {few} epochs of the quickest network and its "
            f"int8 model take about {duration(needed)}; give at least --hours {(spent + needed) / 3600:.2g}"
            + ("" if not fixed else ", or fewer optim.epochs")
        )
    return Plan(few, final, 1)


def most_step_seconds(seconds: float, plan: Plan, speed: Speed, images: int) -> float:
    """Returns the longest step for one image with which a trial takes at most its share of `seconds`, as estimated.

    Args:
        seconds: of the whole search.
        plan: how they are spent.
        speed: of this machine.
        images: that are trained on.
    """
    return max(plan.share * seconds - speed.start, 0.0) / plan.epochs / images / speed.slowness


def begins(left: float, start: float, first_rung_seconds: float) -> bool:
    """Returns whether a new trial comes to its first rung in the `left` seconds; the reserve is not among them."""
    return MARGIN * (start + first_rung_seconds) <= left


def goes_on(left: float, rest_seconds: float) -> bool:
    """Returns whether a trial comes to its end in the `left` seconds."""
    return MARGIN * rest_seconds <= left
