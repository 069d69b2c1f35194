"""Which workers train together and which one this process is, as the environment variable TF_CONFIG says.

TF_CONFIG is TensorFlow's: {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}, the same
cluster everywhere and an index of its own for each process. Ray, Kubernetes' TFJob, SLURM scripts and
`tinytrain fit --workers` write it. A "chief" in the cluster is worker 0, before those of "worker".
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinytrain.errors import UserError

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'
JOBS = ("chief", "worker")  # in the order of their workers


@dataclass(frozen=True)
class Cluster:
    """The workers of a training.

    addresses: "host:port" of each; number: which of them this process is, 0 is the chief.
    """

    addresses: tuple[str, ...] = ("localhost:0",)
    number: int = 0

    @property
    def chief(self) -> bool:
        """Whether this process writes the run and prints."""
        return self.number == 0

    @property
    def count(self) -> int:
        """How many workers there are."""
        return len(self.addresses)

    def name(self, number: int) -> str:
        """Returns what sentences call a worker: "worker 1 of 2 (host1:12345)"."""
        return f"worker {number} of {self.count} ({self.addresses[number]})"


def of_environment(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Returns the cluster that TF_CONFIG describes, a single worker where it is not set.

    Raises:
        UserError: TF_CONFIG is not as TensorFlow wants it, or has workers that tinytrain has no use for.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return Cluster()
    try:
        described = json.loads(text)
        jobs = dict(described.get("cluster") or {})
        task = dict(described.get("task") or {})
    except (ValueError, AttributeError, TypeError):
        raise _wrong(f"it is {text[:80]!r}") from None
    if not jobs:
        return Cluster()
    if unknown := set(jobs) - {*JOBS, "evaluator"}:
        raise _wrong(f"its cluster has the job {sorted(unknown)[0]!r}")
    starts: dict[str, int] = {}
    addresses: list[str] = []
    for job in JOBS:
        starts[job] = len(addresses)
        addresses += _addresses(jobs.get(job, []))
    if repeated := next((address for address in addresses if addresses.count(address) > 1), None):
        raise _wrong(f"two of its workers have the address {repeated}")
    kind, index = task.get("type"), task.get("index")
    if kind not in JOBS or kind not in jobs:
        raise _wrong(f"its task has the type {kind!r}")
    if isinstance(index, str) and index.isdecimal():
        index = int(index)
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(jobs[kind]):
        raise _wrong(f"its task has the index {index!r}, and there are {len(jobs[kind])} of the type {kind!r}")
    return Cluster(tuple(addresses), starts[kind] + index)


def to_text(addresses: tuple[str, ...], number: int) -> str:
    """Returns what TF_CONFIG has to be for one of the workers at these addresses."""
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": number}})


def host_and_port(address: str) -> tuple[str, int]:
    """Returns the parts of "host:port"; an IPv6 host is written in brackets."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _addresses(listed: Any) -> list[str]:
    if not isinstance(listed, list) or not all(isinstance(address, str) for address in listed):
        raise _wrong("its workers are not a list of addresses")
    for address in listed:
        host, _, port = address.rpartition(":")
        if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise _wrong(f"it has the address {address!r}")
    return listed


def _wrong(what: str) -> UserError:
    return UserError(f"{VARIABLE} does not describe workers: {what}; expected for example {EXAMPLE}")
