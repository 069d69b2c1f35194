"""What workers agree on; what travels between them is played, and tests/workers/test_training.py sends it for real."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinytrain.errors import UserError
from tinytrain.workers import collectives
from tinytrain.workers.cluster import Cluster

CLUSTER = ("a:1", "b:2", "c:3")


class Played(collectives.Workers):
    """The worker `number` of three, whose gather takes what the others would have sent."""

    def __init__(self, number, others):
        super().__init__(Cluster(CLUSTER, number), strategy=object())
        self.others = others

    def gather(self, value):
        everyone = [json.loads(json.dumps(each)) for each in self.others]
        everyone[self.number] = value
        return everyone


def test_a_single_worker_exchanges_nothing():
    alone = collectives.Workers(Cluster())
    tensors, variable = [tf.constant(2.0), None], keras.Variable([3.0])
    assert alone.mean(tensors) == tensors
    assert float(alone.differentiable_mean(tensors[0])) == 2.0
    for exchange in (alone.average, alone.add_up, alone.adopt):
        exchange([variable])
    assert variable.numpy().tolist() == [3.0]
    assert (alone.gather("x"), alone.tell("x"), alone.share(7)) == (["x"], "x", slice(0, 7))
    alone.refuse_different({"key": 1})
    with pytest.raises(UserError, match="mine"), alone.agreeing():
        raise UserError("mine")


@pytest.mark.parametrize(("count", "items"), [(1, 5), (2, 8), (3, 10), (4, 2)])
def test_shares_are_everything_once(count, items):
    addresses = tuple(f"h:{port + 1}" for port in range(count))
    shares = [collectives.Workers(Cluster(addresses, number)).share(items) for number in range(count)]
    assert np.concatenate([np.arange(items)[share] for share in shares]).tolist() == list(range(items))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_a_fact_that_differs_is_named_with_its_worker():
    facts = {"keras": "3", "optim.lr =": 0.1}
    with pytest.raises(UserError) as refused:
        Played(0, [facts, facts, facts | {"optim.lr =": 0.2}]).refuse_different(facts)
    assert str(refused.value) == "worker 2 of 3 (c:3) has optim.lr = 0.2, the chief 0.1: all workers need the same"
    Played(0, [facts] * 3).refuse_different(facts)


def test_a_long_fact_is_cut():
    with pytest.raises(UserError) as refused:
        Played(1, [{"classes": ["x" * 500]}, None, {"classes": ["x" * 500]}]).refuse_different({"classes": []})
    assert "worker 1 of 3 (b:2) has classes [], the chief" in str(refused.value)
    assert len(str(refused.value)) < 200


def test_the_mistake_of_one_worker_is_told_by_all():
    with pytest.raises(UserError) as refused, Played(0, [None, "no such folder", None]).agreeing():
        pass
    assert str(refused.value) == "worker 1 of 3 (b:2): no such folder"
    with pytest.raises(UserError, match=r"^mine$"), Played(0, [None, "no such folder", None]).agreeing():
        raise UserError("mine")
    with Played(2, [None] * 3).agreeing():
        pass


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("Socket closed ... from remote target /job:worker/replica:0/task:1 while calling", "worker 1 of 3 (b:2)"),
        ("/job:worker/task:2 was unhealthy: heartbeat timeout", "worker 2 of 3 (c:3)"),
        ("Collective ops is aborted", "another worker"),
        ("/job:worker/replica:0/task:0 itself", "another worker"),
    ],
)
def test_a_worker_that_has_ended_is_named(text, who):
    with (
        pytest.raises(collectives.WorkerGone) as gone,
        Played(0, [None] * 3).watched(lambda: "go on with --resume"),
    ):
        raise tf.errors.UnavailableError(None, None, text)
    assert str(gone.value).startswith(f"{who} no longer answers, 0 s after the training began: ")
    assert str(gone.value).endswith("; go on with --resume")


def test_an_error_of_something_else_stays_what_it_is():
    with pytest.raises(tf.errors.InternalError, match="a kernel"), Played(0, [None] * 3).watched(lambda: ""):
        raise tf.errors.InternalError(None, None, "a kernel has failed")


def test_an_error_of_a_single_worker_stays_what_it_is():
    with pytest.raises(tf.errors.UnavailableError), collectives.Workers(Cluster()).watched(lambda: ""):
        raise tf.errors.UnavailableError(None, None, "disk")
