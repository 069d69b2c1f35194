"""TF_CONFIG, as TensorFlow, Ray and Kubernetes write it, and as people do."""

import json

import pytest
import tensorflow as tf

from tinytrain.errors import UserError
from tinytrain.workers import cluster

WORKERS = ["a:1", "b:2", "[::1]:3"]


def environment(described):
    return {"TF_CONFIG": described if isinstance(described, str) else json.dumps(described)}


@pytest.mark.parametrize("described", ["", " ", {}, {"cluster": {}}, {"environment": "cloud"}])
def test_without_a_cluster_there_is_one_worker(described):
    alone = cluster.of_environment(environment(described))
    assert (alone.count, alone.number, alone.chief) == (1, 0, True)


@pytest.mark.parametrize("kind", ["worker", "chief"])
@pytest.mark.parametrize("index", [0, 1, "1"])
def test_workers_are_numbered_as_tensorflow_does(monkeypatch, kind, index):
    jobs = {"worker": WORKERS} if kind == "worker" else {"chief": WORKERS[:1], "worker": WORKERS[1:]}
    described = {"cluster": jobs, "task": {"type": "worker", "index": index}}
    here = cluster.of_environment(environment(described))
    assert here.addresses == tuple(WORKERS)
    assert here.number == int(index) + (kind == "chief")
    monkeypatch.setenv("TF_CONFIG", json.dumps(described))
    theirs = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    assert theirs.cluster_spec().task_address("worker", int(index)) == here.addresses[here.number]


def test_what_is_written_is_read_back():
    here = cluster.of_environment({"TF_CONFIG": cluster.to_text(("h:1", "h:2"), 1)})
    assert here == cluster.Cluster(("h:1", "h:2"), 1)
    assert here.name(0) == "worker 0 of 2 (h:1)"


def test_hosts_and_ports():
    assert cluster.host_and_port("node-1.local:12345") == ("node-1.local", 12345)
    assert cluster.host_and_port("[::1]:80") == ("::1", 80)


@pytest.mark.parametrize(
    ("described", "what"),
    [
        ("{", "it is '{'"),
        ("[1]", "it is '[1]'"),
        ({"cluster": {"ps": ["a:1"]}}, "its cluster has the job 'ps'"),
        ({"cluster": {"worker": "a:1"}}, "its workers are not a list of addresses"),
        ({"cluster": {"worker": ["a"]}}, "it has the address 'a'"),
        ({"cluster": {"worker": ["a:70000"]}}, "it has the address 'a:70000'"),
        ({"cluster": {"worker": ["a:1", "a:1"]}}, "two of its workers have the address a:1"),
        ({"cluster": {"worker": ["a:1"]}}, "its task has the type None"),
        ({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}, "its task has the index None, and there are 1"),
        (
            {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}},
            "its task has the index 2, and there are 2 of the type 'worker'",
        ),
    ],
)
def test_what_is_no_cluster_is_refused(described, what):
    with pytest.raises(UserError) as refused:
        cluster.of_environment(environment(described))
    assert str(refused.value).startswith(f"TF_CONFIG does not describe workers: {what}")
    assert cluster.EXAMPLE in str(refused.value)
