"""What keeps workers apart is a sentence on both sides; here the workers are threads and lines that lie."""

import json
import socket
import threading
import time

import pytest

from tinytrain.errors import UserError
from tinytrain.workers import launch, meeting
from tinytrain.workers.cluster import Cluster


@pytest.fixture
def addresses(monkeypatch):
    monkeypatch.setenv(meeting.WAIT_VARIABLE, "20")
    return launch.free_addresses(3)


def met(cluster):
    """Returns a thread in which a worker meets the others, and a list of the sentence that keeps it away, if any."""
    said = []

    def meet():
        try:
            meeting.meet(cluster)
        except UserError as error:
            said.append(str(error))

    thread = threading.Thread(target=meet)
    thread.start()
    return thread, said


def all_met(*clusters):
    threads = [met(each) for each in clusters]
    for thread, _ in threads:
        thread.join(30)
        assert not thread.is_alive()
    return [said for _, said in threads]


def test_three_workers_meet(addresses):
    assert all_met(*(Cluster(addresses, number) for number in (2, 0, 1))) == [[], [], []]


def test_a_single_one_meets_nobody():
    meeting.meet(Cluster())


def test_a_worker_that_does_not_come_is_named(addresses, monkeypatch):
    monkeypatch.setenv(meeting.WAIT_VARIABLE, "1.5")
    chief, other = all_met(Cluster(addresses, 0), Cluster(addresses, 1))
    assert chief == ["worker 2 of 3 did not connect: start them with the same TF_CONFIG"]
    assert other == [f"the chief at {addresses[0]} says: {chief[0]}"]


def test_a_chief_that_cannot_be_reached_is_named(addresses, monkeypatch):
    monkeypatch.setenv(meeting.WAIT_VARIABLE, "0.5")
    [[said]] = all_met(Cluster(addresses, 1))
    assert said == (
        f"worker 1 of 3 ({addresses[1]}) cannot reach the chief at {addresses[0]} within 0.5 s (Connection refused): "
        "start the chief with the same TF_CONFIG, and open the port"
    )


def test_a_host_that_is_unknown_is_named(addresses, monkeypatch):
    monkeypatch.setenv(meeting.WAIT_VARIABLE, "0.5")
    [[said]] = all_met(Cluster(("no-such-host.invalid:12345", *addresses[1:]), 1))
    assert "cannot reach the chief at no-such-host.invalid:12345 within 0.5 s (" in said


@pytest.mark.parametrize("number", [0, 1])
def test_a_port_that_is_taken_is_named(addresses, number):
    port = int(addresses[number].rpartition(":")[2])
    with socket.create_server(("", port)):
        [[said]] = all_met(Cluster(addresses, number))
    assert said.startswith(f"worker {number} of 3 ({addresses[number]}) cannot take its port {port}: Address already")


@pytest.mark.parametrize(("ahead", "side"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_clock_far_off_is_told_on_both_sides(addresses, ahead, side, monkeypatch):
    own_message = meeting._message
    monkeypatch.setattr(meeting, "_message", lambda cluster: own_message(cluster) | {"time": time.time() + ahead})
    chief, other = all_met(Cluster(addresses[:2], 0), Cluster(addresses[:2], 1))
    assert chief == [
        f"the clock of worker 1 of 2 ({addresses[1]}) is 3,600 s {side} the chief's: set both to the same time"
    ]
    assert other == [f"the chief at {addresses[0]} says: {chief[0]}"]


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        ({"count": 3}, "knows of 3 workers, the chief of 2: give all the same TF_CONFIG"),
        ({"keras": "2.0"}, "has keras 2.0, the chief "),
        ({"tensorflow": None}, "has tensorflow None, the chief "),
    ],
)
def test_another_cluster_or_version_is_told(addresses, lie, sentence, monkeypatch):
    own_message = meeting._message
    monkeypatch.setattr(meeting, "_message", lambda cluster: own_message(cluster) | lie)
    chief, _ = all_met(Cluster(addresses[:2], 0), Cluster(addresses[:2], 1))
    assert f"worker 1 of 2 ({addresses[1]}) {sentence}" in chief[0]


def test_two_with_one_index_are_told(addresses):
    [free] = launch.free_addresses(1)
    twin = Cluster((addresses[0], free, addresses[2]), 1)
    chief, *others = all_met(Cluster(addresses, 0), Cluster(addresses, 1), twin)
    assert chief == [f"two processes say that they are worker 1 of 3 ({addresses[1]}): give each its own index"]
    assert [f"the chief at {addresses[0]} says: {chief[0]}"] in others


def test_strangers_on_the_port_are_left_alone(addresses):
    chief, said = met(Cluster(addresses[:2], 0))
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", json.dumps({"number": 7}).encode() + b"\n"):
        for _ in range(100):
            try:
                with socket.create_connection(("127.0.0.1", int(addresses[0].rpartition(":")[2])), 1) as line:
                    line.sendall(words)
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
    assert all_met(Cluster(addresses[:2], 1)) == [[]]
    chief.join(30)
    assert said == []


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan"])
def test_a_wrong_time_to_wait_is_refused(addresses, text, monkeypatch):
    monkeypatch.setenv(meeting.WAIT_VARIABLE, text)
    [[said]] = all_met(Cluster(addresses, 1))
    assert (
        said
        == f"{meeting.WAIT_VARIABLE}={text} is not a number of seconds to wait for workers: expected for example 300"
    )
