"""Operators have the numbers that `export` and the report give them, from 1, in the table and the picture of bench."""

import pytest

from tinytrain.benching import plot, text


def profile(steps):
    rows = [
        {
            "index": place,
            "name": "CONV_2D" if len(step) == 1 else f"FUSED {step[0] + 1}-{step[-1] + 1}",
            "operators": step,
            "output": [4, 4, 8],
            "macs": 10,
            "counts": 100 - place,
            "share": 0.5,
        }
        for place, step in enumerate(steps)
    ]
    return {"unit": "instructions", "counts": 200, "kinds": {"CONV_2D": 1.0}, "operators": rows}


@pytest.mark.parametrize(
    ("steps", "numbered", "total"),
    [
        ([[0], [1]], ["1 CONV_2D", "2 CONV_2D"], "2 operators:"),
        ([[0, 1, 2], [3]], ["FUSED 1-3", "4 CONV_2D"], "2 steps:"),
    ],
)
def test_an_operator_after_fused_ones_keeps_its_number(steps, numbered, total):
    lines = text._operators({"profile": profile(steps)})
    assert lines[1].endswith(total)
    assert [line.strip().partition("  ")[0] for line in lines[3:]] == numbered
    for row, name in zip(profile(steps)["operators"], numbered, strict=True):
        number = name.partition(" ")[0]
        assert plot._name(row).rstrip().endswith("4x4x8" if number == "FUSED" else f" {number}")
