"""Which networks have room, and what is said where none has."""

import dataclasses

import pytest

from tinytrain.config.schema import Config
from tinytrain.deploy import boards
from tinytrain.deploy.memory import Memory
from tinytrain.errors import UserError
from tinytrain.searching.limits import Cost, Limits
from tinytrain.searching.space import WIDTHS, Network


def limits(**keys):
    return Limits(boards.load("nucleo_f401re"), Config(), 10, 3, **keys)


def cost(ram=1000, flash=1000, latency=5.0):
    return Cost(1_000_000, 1000, Memory(ram, ram, 96 * 1024, flash, 512 * 1024), latency, (latency, latency))


def test_a_core_of_unknown_speed_has_no_limit_of_the_latency():
    board = dataclasses.replace(boards.load("nucleo_f401re"), core="cortex-m0")
    with pytest.raises(UserError, match="nothing is known about the speed of the cortex-m0 of nucleo_f401re"):
        Limits(board, Config(), 10, 3, latency_ms=5.0)


@pytest.mark.parametrize(
    ("needed", "said"),
    [
        (cost(), ""),
        (cost(ram=98_305), "98,305 bytes of RAM where there are 98,304"),
        (cost(latency=12.5), "12.5 ms, 2.5 ms more than --latency-ms 10"),
        (
            cost(flash=600_000, latency=12.5),
            "600,000 bytes of flash where there are 524,288 and 12.5 ms, 2.5 ms more than --latency-ms 10",
        ),
    ],
)
def test_what_is_missed_is_named_with_the_numbers(needed, said):
    assert limits(latency_ms=10.0).missed(needed) == said


class Made(Limits):
    """Costs that are made up: flash is 530 kB · width², the latency 10 ms · width² with 1 % more for its square."""

    def __init__(self, **keys):
        super().__init__(boards.load("nucleo_f401re"), Config(), 10, 3, **keys)
        self.converted = []

    def _from_graph(self, network):
        return {
            "macs": round(1e6 * network.width**2),
            "step_seconds": 1e-3 * network.width**2,
            "ram_bytes": 50_000,
            "flash_bytes": round(5e5 * network.width**2),
        }

    def _converted(self, network):
        self.converted.append(network.width)
        flash = round(5.3e5 * network.width**2)  # 6 % more than the graph tells
        latency = 10 * network.width**2
        return cost(50_000, flash, latency).report() | {"macs": round(1e6 * network.width**2)}

    def _cached(self, kind, network, make):
        return make(network)


@pytest.mark.parametrize("resolution", [32, 48])
def test_the_widest_network_is_the_widest_of_all_that_fit(resolution):
    made = Made()
    found = made.widths("resnet8", resolution, "cifar", WIDTHS)
    assert list(found) == [width for width in WIDTHS if 5.3e5 * width**2 <= 524_288]
    assert made.widths("resnet8", 2 * resolution, "cifar", WIDTHS) == found  # from where the first one was found


def test_the_latency_limits_the_width_with_few_conversions():
    made = Made(latency_ms=2.0)
    assert list(made.widths("resnet8", 32, "cifar", WIDTHS)) == [width for width in WIDTHS if 10 * width**2 <= 2.0]
    first = len(made.converted)
    made.widths("resnet8", 48, "cifar", WIDTHS)
    assert len(made.converted) - first <= 2


def test_the_time_of_a_training_limits_the_width():
    made = Made(most_step_seconds=0.3e-3)
    assert max(made.widths("resnet8", 32, "cifar", WIDTHS)) == 0.5


def test_estimates_that_leave_room_need_no_conversion_and_are_right():
    of, network = limits(), Network("resnet8", 0.25, 32, "cifar")
    sketch, exact = of.sketch(network), of.cost(network)
    assert sketch.ram_bytes == pytest.approx(exact.memory.ram_bytes, rel=0.1)
    assert sketch.flash_bytes < exact.memory.flash_bytes < 1.03 * sketch.flash_bytes + 20_000
    assert sketch.macs == exact.macs
