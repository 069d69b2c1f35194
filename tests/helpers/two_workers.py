"""Runs Python code in two processes of one cluster, on ports of this machine."""

import os
import subprocess
import sys

from tinytrain.workers import cluster, launch

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def start(words, **environment):
    """Returns the processes of two workers that run these words of Python, the chief first."""
    addresses = launch.free_addresses(2)
    return [
        subprocess.Popen(
            [sys.executable, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | ONE_THREAD | {cluster.VARIABLE: cluster.to_text(addresses, number)} | environment,
        )
        for number in range(2)
    ]


def run(words, **environment):
    """Returns (status, standard output, standard error) of each worker, once both have ended."""
    processes = start(words, **environment)
    texts = [process.communicate() for process in processes]
    return [(process.returncode, *text) for process, text in zip(processes, texts, strict=True)]
