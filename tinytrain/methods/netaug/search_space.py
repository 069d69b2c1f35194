"""The search space of NetAug: the widths that each group of channels can have, and the draw of a network from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tinytrain.methods.netaug.channels import Group
from tinytrain.nn.blocks import make_divisible

MIN_SQUEEZED = 16
Width = Any  # an int, or a scalar int32 tensor


class Choice:
    """The widths that one group can have.

    The state of a group is a pair (factor, state of the source), numbered factor·(number of source states) + source
    state. Outer and inner groups draw a factor; the other kinds have only one.

    Args:
        group: the group.
        source: the choice of `group.source`, if it has one.
        width_factors: ascending from 1, for outer groups.
        expansion_factors: ascending from 1, for inner groups.

    Attributes:
        factors: those that the group can draw.
        widths: the width of each state; state 0 is the tiny network.
    """

    widths: list[int]

    def __init__(self, group: Group, source: "Choice | None", width_factors: Sequence, expansion_factors: Sequence):
        self.group, self.source = group, source
        source_widths = source.widths if source else [group.width]
        self.factors: Sequence[float] = {"outer": width_factors, "inner": expansion_factors}.get(group.kind, [1.0])
        ratio = group.width / source_widths[0]
        if group.kind == "squeezed":
            self.widths = squeezed_widths(group.width, source_widths)
        else:
            if group.kind == "inner":
                ratio += 1e-10
            self.widths = [make_divisible(ratio * f * width, 1) for f in self.factors for width in source_widths]


def squeezed_widths(tiny: int, scaled: Sequence[int]) -> list[int]:
    """Returns the squeezed channels of a squeeze-excite for each number of channels that it may scale.

    As in the released code, the reduction is that of the largest network, whose squeezed channels are rounded first.

    Args:
        tiny: the squeezed channels of the tiny network.
        scaled: the numbers of channels that it may scale, first that of the tiny network.
    """
    floor = min(MIN_SQUEEZED, tiny)
    largest = max(scaled)
    reduction = largest / max(round(largest / (scaled[0] / tiny + 1e-10)), floor)
    return [make_divisible(max(width / reduction, floor), 1) for width in scaled]


class _Level:
    """The choices of one depth, whose sources are in earlier levels, as arrays: a draw takes a few operations."""

    def __init__(self, members: list[Choice], index_of: dict[int, int]) -> None:
        self.indices = [index_of[id(choice)] for choice in members]
        self.factors = np.array([len(choice.factors) for choice in members], np.float32)
        self.outer = np.array([choice.group.kind == "outer" for choice in members])
        sources = [choice.source for choice in members if choice.source]
        self.sources = [index_of[id(source)] for source in sources] or None
        self.source_states = np.array([len(source.widths) for source in sources] or [1], np.int32)
        longest = max(len(choice.widths) for choice in members)
        self.widths = np.array([choice.widths + [0] * (longest - len(choice.widths)) for choice in members], np.int32)


def choices(all_groups: list[Group], width_factors: Sequence, expansion_factors: Sequence) -> list[Choice]:
    """Returns one choice for each group, ordered by depth: first the groups without a source.

    Args:
        all_groups: of the network; each counts once.
        width_factors: ascending from 1, for outer groups.
        expansion_factors: ascending from 1, for inner groups.
    """
    by_group: dict[int, Choice] = {}

    def choice_of(group: Group) -> Choice:
        if id(group) not in by_group:
            source = choice_of(group.source) if group.source else None
            by_group[id(group)] = Choice(group, source, width_factors, expansion_factors)
        return by_group[id(group)]

    return sorted({id(group): choice_of(group) for group in all_groups}.values(), key=_depth)


def _depth(choice: Choice | None) -> int:
    return 1 + _depth(choice.source) if choice else -1


def _levels(all_choices: list[Choice]) -> list[_Level]:
    index_of = {id(choice): index for index, choice in enumerate(all_choices)}
    depths = sorted({_depth(choice) for choice in all_choices})
    return [_Level([choice for choice in all_choices if _depth(choice) == depth], index_of) for depth in depths]


def draw(all_choices: list[Choice], seed: tf.Tensor, outer: tf.Tensor) -> list[Width]:
    """Returns the widths of a network for which each group draws one of its factors, all equally likely.

    Args:
        all_choices: as `choices` orders them.
        seed: (2,) integers; the same ones give the same network.
        outer: () bool, whether outer groups draw a factor, too.
    """
    uniform = tf.random.stateless_uniform([len(all_choices)], seed)
    states = tf.zeros([0], tf.int32)
    level_widths = []
    for level in _levels(all_choices):
        drawn = tf.cast(tf.gather(uniform, level.indices) * level.factors, tf.int32)
        factor = tf.where(level.outer & ~outer, 0, drawn)
        state = factor * level.source_states + (tf.gather(states, level.sources) if level.sources is not None else 0)
        level_widths.append(tf.gather(level.widths, state, batch_dims=1))
        states = tf.concat([states, state], 0)
    widths = tf.unstack(tf.concat(level_widths, 0))
    return [  # a width that never changes stays a Python number, known when the graph is traced
        width if len(set(choice.widths)) > 1 else choice.widths[0]
        for choice, width in zip(all_choices, widths, strict=True)
    ]
