"""Which engine runs a network, and how much it fuses: export.engine and export.memory."""

import pytest
from int8_models import broadcast_model, converted_model

from tinytrain.config.schema import Export
from tinytrain.deploy import boards, firmware
from tinytrain.deploy.compiled import engine, plan
from tinytrain.deploy.compiled.fused import Group
from tinytrain.deploy.compiled.nodes import network
from tinytrain.errors import UserError
from tinytrain.tflite.model import Model

BOARD = boards.load("stm32f746")


def chosen(model, **settings):
    return engine.choose(model, Export(**settings), BOARD)


def test_least_and_plain_are_the_ends_of_the_planner(converted):
    model = converted("mobilenet_v2")
    least, plain = chosen(model, memory="least").plan, chosen(model, memory="plain").plan
    assert least.arena_bytes == plan.plan(network(model)).arena_bytes < 0.8 * plain.arena_bytes
    assert not any(isinstance(step, Group) for step in plain.steps)
    assert plain.added == 0 < least.added


def test_fastest_is_plain_where_that_fits_the_board_and_fuses_where_it_does_not(converted, monkeypatch):
    model = converted("mobilenet_v2")
    plain, least = chosen(model, memory="plain").plan, chosen(model, memory="least").plan
    assert chosen(model, memory="fastest").plan.added == 0
    monkeypatch.setattr(firmware, "arena_room_bytes", lambda _: (least.arena_bytes + plain.arena_bytes) // 2)
    fitting = chosen(model, memory="fastest").plan
    assert fitting.arena_bytes <= (least.arena_bytes + plain.arena_bytes) // 2
    assert 0 < fitting.added <= least.added


def test_by_default_the_least_memory_costs_at_most_three_percent(converted, monkeypatch):
    model = converted("mobilenet_v2")
    least, plain = chosen(model, memory="least"), chosen(model, memory="plain")
    cost = least.plan.added / least.instructions
    monkeypatch.setattr(engine, "MOST_ADDED", 1.01 * cost * engine.UNSURE)
    assert chosen(model).plan.arena_bytes == least.plan.arena_bytes
    monkeypatch.setattr(engine, "MOST_ADDED", 0.5 * cost)
    some = chosen(model).plan
    assert some.added <= 0.5 * cost * least.instructions
    assert least.plan.arena_bytes < some.arena_bytes <= plain.plan.arena_bytes
    monkeypatch.setattr(firmware, "arena_room_bytes", lambda _: least.plan.arena_bytes)  # else it would not fit
    assert chosen(model).plan.arena_bytes == least.plan.arena_bytes


def test_a_margin_of_the_arena_is_refused_where_it_would_do_nothing(converted):
    with pytest.raises(UserError, match=r"arena_margin_bytes=100 is for TFLM.*export.engine=tflm"):
        chosen(converted("mobilenet_v2"), arena_margin_bytes=100)
    assert chosen(converted("mobilenet_v2"), arena_margin_bytes=100, engine="tflm").name == "tflm"


def test_what_cannot_be_compiled_is_named_and_goes_to_tflm():
    model = Model.parse(broadcast_model("DIV", (1, 4, 4, 3), (1, 4, 4, 3)))
    found = chosen(model)
    assert (found.plan, found.name) == (None, "tflm")
    assert "DIV of (1, 4, 4, 3)" in found.reason
    with pytest.raises(UserError, match=r"=compiled cannot run this network: .*DIV of \(1, 4, 4, 3\)"):
        chosen(model, engine="compiled")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"engine": "tflm"}, "export.engine is tflm"), ({"kernels": "tflm"}, "export.kernels is tflm")],
)
def test_tflm_can_be_asked_for(settings, reason):
    assert chosen(Model.parse(converted_model()), **settings) == engine.Engine(None, reason)


def test_the_report_says_where_everything_lies(converted):
    found = chosen(converted("mobilenet_v2"), memory="least")
    section = engine.section(found)
    operators = [number for step in section["steps"] for number in step["operators"]]
    assert operators == sorted(set(operators))
    ends = [row["offset"] + row["bytes"] for row in section["buffers"]]
    assert max(ends) == section["arena_bytes"] == found.plan.arena_bytes
    highest = section["buffers"][ends.index(max(ends))]
    assert highest["first"] <= section["peak_step"] <= highest["last"]
    assert {row["kind"] for row in section["buffers"]} == {"tensor", "rows", "scratch"}
    assert section["added_percent"] == pytest.approx(100 * found.plan.added / found.instructions, abs=0.01)
