"""Where activations lie: no two meet that live at the same time, but an output over an input that is read no more."""

import numpy as np
import pytest

from tinytrain.deploy.kernels.placement import place
from tinytrain.deploy.tflm.memory_planner import Buffer, planned_bytes


def total(buffers, placed):
    return max(placed[number] + buffer.size_bytes for number, buffer in buffers.items())


def test_random_buffers_do_not_meet_and_take_no_more_than_tflms_plan():
    random = np.random.default_rng(1)
    for _ in range(20):
        first = random.integers(0, 12, 15)
        last = first + random.integers(1, 5, 15)
        sizes = 16 * random.integers(1, 200, 15)
        buffers = {i: Buffer(int(sizes[i]), int(first[i]), int(last[i])) for i in range(15)}
        placed = place(buffers, {}).offsets
        assert total(buffers, placed) <= planned_bytes(buffers.values())
        for i, one in buffers.items():
            for j in range(i):
                other = buffers[j]
                if one.first <= other.last and other.first <= one.last:
                    apart = placed[i] + one.size_bytes <= placed[j] or placed[j] + other.size_bytes <= placed[i]
                    assert apart


@pytest.mark.parametrize(("lead", "expected"), [(0, 1600), (320, 1920), (9999, 2400)])
def test_an_output_begins_its_lead_before_the_input_that_it_overwrites(lead, expected):
    buffers = {0: Buffer(1600, 0, 1), 1: Buffer(800, 1, 2)}
    placed = place(buffers, {(1, 0): lead}).offsets
    assert total(buffers, placed) == expected
    assert placed[1] + min(lead, 800) <= placed[0] or placed[1] >= placed[0] + 1600


def test_activations_lie_where_they_leave_a_gap_for_scratch_memory():
    """The second, alone with 4,000 bytes, goes to the beginning: behind the first it would take 6,400 in all."""
    placed = place({0: Buffer(1600, 0, 1), 1: Buffer(800, 1, 2)}, {}, {1: (100,), 2: (4000,)})
    assert placed.offsets == {0: 800, 1: 0}
    assert placed.head_bytes == 4800
    assert placed.scratch_count == 2
    assert [offset for offset, buffer in placed.blocks if buffer.scratch] == [2400, 800]
