"""The workers of a training meet before TensorFlow joins them, so that what keeps one away is a sentence.

TensorFlow's chief waits for missing workers for ever, and nothing in its process can stop it. So each worker first says
to the chief's port who it is, what time it has and which versions, a line of JSON, and waits for the chief's answer.
"""

import contextlib
import json
import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from tinytrain import distribution, progress
from tinytrain.errors import UserError
from tinytrain.workers.cluster import Cluster, host_and_port

WAIT_VARIABLE, WAIT_SECONDS = "TINYTRAIN_WORKERS_WAIT_S", 300.0
JOIN_SECONDS = 120  # for TensorFlow, once all are there
MOST_CLOCK_SECONDS = 60.0  # between two clocks, by which files of a shared folder are dated
MOST_BYTES = 10_000  # of a message
PACKAGES = (distribution.NAME, "tensorflow", "keras", "numpy")


def meet(cluster: Cluster) -> None:
    """Returns when all workers are there.

    Raises:
        UserError: a port is taken, the chief cannot be reached or ends, a worker does not come, or one has other
            versions or another time than the chief.
    """
    if cluster.count == 1:
        return
    seconds = _wait_seconds()
    with _listening(cluster) as listener:  # TensorFlow will take the port
        if cluster.chief:
            _lead(cluster, listener, time.monotonic() + seconds)
    if not cluster.chief:
        _follow(cluster, seconds)


@contextlib.contextmanager
def guarded(cluster: Cluster) -> Iterator[None]:
    """Ends this process, with a sentence, if the block takes longer than JOIN_SECONDS.

    From another process, as TensorFlow keeps Python's lock meanwhile.
    """
    sentence = f"{cluster.name(cluster.number)} met the others, but TensorFlow did not join them in {JOIN_SECONDS} s"
    script = f'sleep {JOIN_SECONDS}; echo "tinytrain: $0: start all workers again" >&2; kill -9 {os.getpid()}'
    with subprocess.Popen(["sh", "-c", script, sentence], start_new_session=True) as watch:
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(watch.pid, 9)  # with its sleep


def _wait_seconds() -> float:
    text = os.environ.get(WAIT_VARIABLE, "")
    try:
        seconds = float(text) if text else WAIT_SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise UserError(
            f"{WAIT_VARIABLE}={text} is not a number of seconds to wait for workers: expected for example 300"
        )
    return seconds


@contextlib.contextmanager
def _listening(cluster: Cluster) -> Iterator[socket.socket]:
    """Yields a socket that listens on this worker's port."""
    address = cluster.addresses[cluster.number]
    _, port = host_and_port(address)
    try:
        listener = _server(port)
    except OSError as error:
        raise UserError(
            f"{cluster.name(cluster.number)} cannot take its port {port}: {error.strerror}; end the process that has "
            "it, or give the worker another port in TF_CONFIG"
        ) from None
    with listener:
        yield listener


def _server(port: int) -> socket.socket:
    """Returns a socket that listens on a port of all addresses of this machine."""
    with contextlib.suppress(OSError):  # IPv6 may be there and switched off; a port that is taken is so for IPv4, too
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _lead(cluster: Cluster, listener: socket.socket, deadline: float) -> None:
    """Waits for the messages of all others and answers them."""
    with contextlib.ExitStack() as exit_stack, progress.stage("waiting for the other workers") as stage:
        lines: dict[int, socket.socket] = {}
        refused = ""
        while len(lines) < cluster.count - 1 and not refused:
            missing = [number for number in range(1, cluster.count) if number not in lines]
            stage.text = f"waiting for {_listed(missing)}"
            listener.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                line = exit_stack.enter_context(listener.accept()[0])
            except TimeoutError:
                refused = f"{_listed(missing)} of {cluster.count} did not connect: start them with the same TF_CONFIG"
                break
            message = _received(line, 10.0)
            number = message.get("number")
            if not isinstance(number, int) or not 0 < number < cluster.count:
                continue  # not one of ours
            refused = _difference(cluster, number, message)
            if number in lines:
                refused = f"two processes say that they are {cluster.name(number)}: give each its own index"
            lines[number] = line
        for line in lines.values():
            with contextlib.suppress(OSError):
                line.sendall(json.dumps({"refused": refused}).encode() + b"\n")
        if refused:
            raise UserError(refused)


def _follow(cluster: Cluster, seconds: float) -> None:
    """Says to the chief that this worker is there, and waits for its answer."""
    address, deadline = cluster.addresses[0], time.monotonic() + seconds
    with progress.stage("waiting for the chief"):
        while True:
            try:
                line = socket.create_connection(host_and_port(address), timeout=5.0)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"{cluster.name(cluster.number)} cannot reach the chief at {address} within {seconds:g} s "
                        f"({error.strerror or error}): start the chief with the same TF_CONFIG, and open the port"
                    ) from None
                time.sleep(0.3)
        with line:
            line.sendall(json.dumps(_message(cluster)).encode() + b"\n")
            answer = _received(line, seconds + 10.0)
    if "refused" not in answer:
        raise UserError(f"the chief at {address} ended before all workers were there: start all workers again")
    if answer["refused"]:
        raise UserError(f"the chief at {address} says: {answer['refused']}")


def _message(cluster: Cluster) -> dict[str, Any]:
    return {"number": cluster.number, "time": time.time(), "count": cluster.count} | _versions()


def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def _difference(cluster: Cluster, number: int, message: dict[str, Any]) -> str:
    """Returns what keeps a worker with this message from training with the chief, or ""."""
    name = cluster.name(number)
    if message.get("count") != cluster.count:
        return (
            f"{name} knows of {message.get('count')} workers, the chief of {cluster.count}: give all the same TF_CONFIG"
        )
    ahead = float(message.get("time", 0.0)) - time.time()
    if abs(ahead) > MOST_CLOCK_SECONDS:
        side = "ahead of" if ahead > 0 else "behind"
        return f"the clock of {name} is {abs(ahead):,.0f} s {side} the chief's: set both to the same time"
    for package, ours in _versions().items():
        if message.get(package) != ours:
            return f"{name} has {package} {message.get(package)}, the chief {ours}: install the same everywhere"
    return ""


def _received(line: socket.socket, seconds: float) -> dict[str, Any]:
    """Returns the JSON object of the line that arrives, {} if none does."""
    line.settimeout(seconds)
    try:
        with line.makefile("rb") as reader:
            message = json.loads(reader.readline(MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return message if isinstance(message, dict) else {}


def _listed(numbers: list[int]) -> str:
    return f"worker{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
