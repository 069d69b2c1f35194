"""The integer decoder of cells: against a literal scan, against a softmax, and on cases worked by hand."""

import dataclasses
import math

import numpy as np
import pytest
from literal_decode import cell_decoder, decode_cells, drawn_outputs, tuples
from scipy.special import softmax

from tinytrain.deploy.decode.boxes import Grid
from tinytrain.deploy.decode.cells import CellDecoder

GRID = Grid(stride=8, rows=6, columns=6, scale=math.log(2) / 8, zero_point=-5)
DECODER = CellDecoder(side=44, classes=2, score=0.4, output=GRID)


def without_objects():
    values = np.full(DECODER.shapes[0], -128, np.int8)
    values[..., 0] = 0
    return values


@pytest.mark.parametrize("seed", range(40))
def test_it_equals_the_literal_scan(seed):
    random = np.random.default_rng(seed)
    decoder = cell_decoder(random)
    outputs = drawn_outputs(decoder, random)
    assert tuples(decoder.decode(outputs)) == decode_cells(decoder, outputs)


def test_an_object_is_its_cell():
    values = without_objects()
    values[1, 2] = [0, 8, 0]  # e to these: 1, 2, 1
    values[4, 5] = [0, -128, 16]  # 1, 0, 4; the cell reaches out of 44 px
    assert tuples(DECODER.decode([values])) == [
        (640, 512, 704, 640, round(32768 * 4 / 5), 1),
        (256, 128, 384, 256, 16384, 0),
    ]


def test_of_equal_neighbors_the_first_is_one():
    values = without_objects()
    values[2, 1:4] = values[3, 1] = [0, 8, -128]
    assert tuples(DECODER.decode([values])) == [(128, 256, 256, 384, 21845, 0)]
    values[2, 2, 1] += 1
    assert tuples(DECODER.decode([values]))[0][:2] == (256, 256)
    assert len(DECODER.decode([values])) == 1
    values[2, 3] = [0, -128, 8]  # a neighbor of another class
    assert len(DECODER.decode([values])) == 2


def test_all_values_at_their_least_are_no_division_by_zero():
    values = np.full(DECODER.shapes[0], -128, np.int8)
    assert len(DECODER.decode([values])) == 0  # a third each
    low = CellDecoder(side=44, classes=2, score=0.3, output=dataclasses.replace(GRID, scale=50.0))
    (first, second) = tuples(low.decode([values]))
    assert first == (0, 0, 128, 128, 10923, 0)
    assert second == (0, 0, 128, 128, 10923, 1)


def test_probabilities_are_those_of_a_softmax():
    random = np.random.default_rng(1)
    values = random.integers(-128, 128, DECODER.shapes[0]).astype(np.int8)
    expected = softmax(values * GRID.scale, axis=-1)[..., 1:]
    for box in DECODER.decode([values]):
        row, column = box["y0"] // 128, box["x0"] // 128
        assert box["score"] / 32768 == pytest.approx(expected[row, column, box["label"]], abs=1e-4)
        around = expected[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2, box["label"]]
        assert around.max() == pytest.approx(box["score"] / 32768, abs=1e-4)
