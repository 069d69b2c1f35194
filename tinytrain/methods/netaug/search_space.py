"""The widths that each group of channels of a super-network can have, and how one network is drawn from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tinytrain.methods.netaug.channels import Group
from tinytrain.nn.blocks import make_divisible

LEAST_SQUEEZED = 16
Width = Any  # an int, or a scalar int32 tensor


class Choice:
    """The widths that one group can have.

    A state of the group is a pair (own factor, state of its source), numbered own·(states of the source) + the other;
    `widths` lists the width of each state. Outer and inner groups draw their own factor, the others have none.
    """

    widths: list[int]

    def __init__(self, group: Group, source: "Choice | None", width_factors: Sequence, expansion_factors: Sequence):
        self.group, self.source = group, source
        of_source = source.widths if source else [group.width]
        self.factors: Sequence[float] = {"outer": width_factors, "inner": expansion_factors}.get(group.kind, [1.0])
        ratio = group.width / of_source[0]  # the tiny network is state 0
        if group.kind == "squeezed":
            self.widths = squeezed_widths(group.width, of_source)
        else:
            if group.kind == "inner":
                ratio += 1e-10
            self.widths = [make_divisible(ratio * f * width, 1) for f in self.factors for width in of_source]


def squeezed_widths(tiny: int, scaled: Sequence[int]) -> list[int]:
    """Returns the hidden channels of a squeeze-excite for each width that it scales, of which the first has `tiny`.

    As in the released code the reduction is that of the largest network, whose hidden channels were rounded before.
    """
    floor = min(LEAST_SQUEEZED, tiny)
    largest = max(scaled)
    reduction = largest / max(round(largest / (scaled[0] / tiny + 1e-10)), floor)
    return [make_divisible(max(width / reduction, floor), 1) for width in scaled]


class _Level:
    """The choices whose sources are in levels before this one, as arrays, so that a draw is a few operations."""

    def __init__(self, members: list[Choice], place: dict[int, int]) -> None:
        self.numbers = [place[id(choice)] for choice in members]
        self.factors = np.array([len(choice.factors) for choice in members], np.float32)
        self.outer = np.array([choice.group.kind == "outer" for choice in members])
        sources = [choice.source for choice in members if choice.source]
        self.sources = [place[id(source)] for source in sources] or None
        self.source_states = np.array([len(source.widths) for source in sources] or [1], np.int32)
        longest = max(len(choice.widths) for choice in members)
        self.widths = np.array([choice.widths + [0] * (longest - len(choice.widths)) for choice in members], np.int32)


def choices(all_groups: list[Group], width_factors: Sequence, expansion_factors: Sequence) -> list[Choice]:
    """Returns one choice for each group, by how many sources are above it: first those that have none."""
    made: dict[int, Choice] = {}

    def choice(group: Group) -> Choice:
        if id(group) not in made:
            source = choice(group.source) if group.source else None
            made[id(group)] = Choice(group, source, width_factors, expansion_factors)
        return made[id(group)]

    return sorted({id(g): choice(g) for g in all_groups}.values(), key=_depth)


def _depth(choice: Choice | None) -> int:
    return 1 + _depth(choice.source) if choice else -1


def _levels(made: list[Choice]) -> list[_Level]:
    place = {id(choice): number for number, choice in enumerate(made)}
    depths = sorted({_depth(choice) for choice in made})
    return [_Level([choice for choice in made if _depth(choice) == depth], place) for depth in depths]


def draw(made: list[Choice], seed: tf.Tensor, outer: tf.Tensor) -> list[Width]:
    """Returns the widths of a network in which every group draws its own factor, all with equal probability.

    seed: (2,) integers that say which network; outer: a boolean scalar, whether outer channels are widened too.
    """
    uniform = tf.random.stateless_uniform([len(made)], seed)
    states = tf.zeros([0], tf.int32)
    found = []
    for level in _levels(made):
        drawn = tf.cast(tf.gather(uniform, level.numbers) * level.factors, tf.int32)
        own = tf.where(level.outer & ~outer, 0, drawn)
        state = own * level.source_states + (tf.gather(states, level.sources) if level.sources is not None else 0)
        found.append(tf.gather(level.widths, state, batch_dims=1))
        states = tf.concat([states, state], 0)
    widths = tf.unstack(tf.concat(found, 0))
    return [  # a width that is always the same stays known when the graph is made
        width if len(set(choice.widths)) > 1 else choice.widths[0] for choice, width in zip(made, widths, strict=True)
    ]
