"""A worker that decodes is waited for, one that shows nothing any more is not: by a clock that the test turns."""

import pytest

from tinytrain.data import decoding_beats
from tinytrain.data.decoding_beats import Signs, beating


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(decoding_beats.time, "monotonic", lambda: now[0])
    return now


def test_a_worker_has_five_minutes_to_begin(tmp_path, clock):
    signs = Signs(tmp_path, 1)
    clock[0] += 300
    assert signs.silent_too_long() is None
    clock[0] += 1
    assert signs.silent_too_long() == 301


def test_each_image_is_a_sign_and_then_there_are_two_minutes(tmp_path, clock):
    signs = Signs(tmp_path, 1)
    decoded = beating(iter("abc"), tmp_path, 1)
    for image in "abc":
        clock[0] += 250
        assert next(decoded) == image
        assert signs.silent_too_long() is None
    clock[0] += 120
    assert signs.silent_too_long() is None
    clock[0] += 1
    assert signs.silent_too_long() == 121


def test_the_file_of_an_earlier_decoding_is_no_sign(tmp_path, clock):
    list(beating(iter("abc"), tmp_path, 1))
    list(beating(iter("abc"), tmp_path, 2))
    signs = Signs(tmp_path, 1)
    list(beating(iter("abcd"), tmp_path, 2))  # another worker's
    clock[0] += 301
    assert signs.silent_too_long() == 301


def test_a_shard_is_a_sign(tmp_path, clock):
    signs = Signs(tmp_path, 1)
    clock[0] += 299
    signs.seen()
    clock[0] += 119
    assert signs.silent_too_long() is None
