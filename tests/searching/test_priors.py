"""The first choice of a network: the order of the table, what fits, and what was typed. Nothing is built."""

import pytest
from test_space import Room, space

from tinytrain.config import plugins
from tinytrain.searching import priors
from tinytrain.searching.space import WIDTHS, Network

ROWS = [
    {"name": "mobilenet_v2", "width": 0.5, "resolution": 32, "stem": "cifar", "accuracy": 0.6},
    {"name": "resnet8", "width": 1.0, "resolution": 32, "stem": "cifar", "accuracy": 0.8},
    {"name": "resnet8", "width": 0.5, "resolution": 32, "stem": "cifar", "accuracy": 0.7},
    {"name": "mobilenet_v2", "width": 1.0, "resolution": 96, "stem": "imagenet", "accuracy": 0.9},
]


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(priors.toml_files, "read", lambda *_: {"networks": [dict(row) for row in ROWS]})


def chosen(of):
    return priors.choose(of, of.architectures)[0]


@pytest.mark.parametrize(
    ("side", "most", "expected"),
    [
        (32, 64.0, Network("resnet8", 1.0, 32, "cifar")),  # 1 · 32 · 2 for the stem
        (32, 63.0, Network("resnet8", 0.5, 32, "cifar")),  # the next in the table that fits
        (96, 96.0, Network("mobilenet_v2", 1.0, 96, "imagenet")),
        (300, 96.0, Network("mobilenet_v2", 1.0, 96, "imagenet")),  # no more pixels than usual
        (96, 90.0, Network("mobilenet_v2", 1.0, 80, "imagenet")),  # the next resolution that fits
    ],
)
def test_the_first_of_the_table_that_fits_is_taken(table, side, most, expected):
    assert chosen(space(side=side, room=Room(most))) == expected


def test_what_was_typed_stays(table):
    assert chosen(space("model.width=0.25", side=32, room=Room(64.0))) == Network("resnet8", 0.25, 32, "cifar")
    assert chosen(space("model.resolution=24", side=32, room=Room(64.0))).resolution == 24
    assert chosen(space("model.stem=imagenet", side=32, room=Room(64.0))).stem == "imagenet"
    assert chosen(space("model.name=mobilenet_v2", side=32, room=Room(64.0))) == Network(
        "mobilenet_v2", 0.5, 32, "cifar"
    )


def test_a_network_with_another_stem_is_not_that_of_the_table(table):
    # ResNet-8 of width 1 has room at 32 pixels with the stem imagenet, of width 0.5 with the stem cifar, too.
    assert chosen(space(side=32, room=Room(40.0))) == Network("resnet8", 0.5, 32, "cifar")
    assert chosen(space(side=32, room=Room(31.0))) == Network("resnet8", 0.5, 24, "cifar")
    assert chosen(space(side=24, room=Room(20.0))) == Network("resnet8", 0.4, 24, "cifar")  # the widest that fits


def test_several_are_of_different_architectures(table):
    of = space(side=32, room=Room(64.0))
    assert priors.choose(of, of.architectures, 3) == [
        Network("resnet8", 1.0, 32, "cifar"),
        Network("mobilenet_v2", 0.5, 32, "cifar"),
    ]


def test_an_architecture_that_is_in_no_table_gets_the_widest_that_fits(table):
    assert chosen(space("model.name=mcunet", side=32, room=Room(70.0))) == Network("mcunet", 2.0, 32, "imagenet")


def test_the_table_names_networks_of_the_space():
    rows = [row for side in (32, 96) for row in priors.ranked(side)]
    assert len({(row["name"], row["width"], row["resolution"]) for row in rows}) >= 4
    assert {row["name"] for row in rows} <= set(plugins.names("models"))
    assert {row["width"] for row in rows} <= set(WIDTHS)
    assert all(0 < row["accuracy"] < 1 for row in rows)
    assert [row["accuracy"] for row in priors.ranked(32)] == sorted(
        (row["accuracy"] for row in priors.ranked(32)), reverse=True
    )
