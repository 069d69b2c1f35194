"""A decoder in report.json, and one that somebody else wrote there."""

import copy
import json

import numpy as np
import pytest
from literal_decode import anchor_decoder, cell_decoder

from tinytrain.deploy.decode import description

DECODERS = [make(np.random.default_rng(seed)) for make in (anchor_decoder, cell_decoder) for seed in range(4)]


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: type(decoder).__name__)
def test_it_survives_a_file(decoder):
    section = json.loads(json.dumps(description.section(decoder)))
    assert description.read(section) == decoder
    assert description.crc(description.read(section)) == description.crc(decoder)


def test_decoders_have_checksums_of_their_own():
    assert len(set(map(description.crc, DECODERS))) == len(DECODERS)


def positions(value):
    """Yields (container, key) of everything in nested lists and dicts."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from positions(item)


def error_of(section):
    try:
        description.read(section)
    except ValueError as error:
        return [str(error)]
    return []


@pytest.mark.parametrize("decoder", [DECODERS[0], DECODERS[4]], ids=lambda decoder: type(decoder).__name__)
@pytest.mark.parametrize(
    "wrong", ["x", None, [], {}, True, -1, 10**400, float("nan"), float("inf"), "missing"], ids=str
)
def test_whatever_stands_there_is_a_decoder_or_a_value_error(decoder, wrong):
    section = description.section(decoder)
    count = len(list(positions(section)))
    assert count > 8
    errors = []
    for number in range(count):
        changed = copy.deepcopy(section)
        container, key = list(positions(changed))[number]
        if wrong == "missing":
            del container[key]
        else:
            container[key] = wrong
        errors += error_of(changed)
    assert all(error.startswith("its decoder cannot be used: ") for error in errors)
    assert len(errors) > count / 2 - 2  # -1 can be a zero point, an anchor less leaves an output


def test_the_sentence_names_what_is_wrong():
    section = description.section(DECODERS[0])
    for changes, sentence in [
        ({"kind": "boxes"}, "'boxes' is missing or unknown"),
        ({"side": 12.5}, "side should be a whole number; received 12.5"),
        ({"room": 5000}, "room of a decoder should be 1 to 400; received 5000"),
        ({"extra": 1}, "'extra'"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            description.read(section | changes)
