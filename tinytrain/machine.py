"""What of a machine the last bits of a training depend on: equal commands give equal weights on equal ones only.

Sums of floating-point numbers depend on their order, and that on the processor's vector units, on how many threads
share the work and on whose kernels compute it.
"""

import os
import platform
from pathlib import Path
from typing import Any

from tinytrain.config.schema import Config

NAMES = {
    "processor": "processor",
    "intra_op_threads": "threads of an operator",
    "inter_op_threads": "threads of operators",
    "onednn": "oneDNN",
    "gpu": "GPU",
    "precision": "precision",
}


def describe(config: Config) -> dict[str, Any]:
    """Returns what this machine is, a key for each of NAMES, and the precision that `config` trains in.

    Thread counts are those that TensorFlow takes: what it was told by its settings or TF_NUM_INTRAOP_THREADS and
    TF_NUM_INTEROP_THREADS, else one for each processor that the process may use. "gpu" holds their names.
    """
    import tensorflow as tf
    from tensorflow.python.util import _pywrap_util_port  # nothing public says what was decided at the start

    threading = tf.config.threading
    return {
        "processor": processor(),
        "intra_op_threads": _threads("INTRA", threading.get_intra_op_parallelism_threads()),
        "inter_op_threads": _threads("INTER", threading.get_inter_op_parallelism_threads()),
        "onednn": bool(_pywrap_util_port.IsMklEnabled()),
        "gpu": [_gpu_name(device) for device in tf.config.list_physical_devices("GPU")],
        "precision": str(config.device.precision),
    }


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Returns the model name of the processor, as Linux tells it, else what Python knows."""
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == "model name"]
    return next(iter(named), "") or platform.processor() or platform.machine()


def words(machine: dict[str, Any]) -> str:
    """Returns a description in words."""
    return ", ".join(f"{NAMES.get(name, name)} {_word(value)}" for name, value in machine.items())


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Returns in words what differs between two descriptions, "" if nothing does; what only one has is left out."""
    changed = [name for name in before if name in now and before[name] != now[name]]
    return ", ".join(f"{NAMES.get(name, name)} {_word(before[name])}, now {_word(now[name])}" for name in changed)


def _threads(kind: str, told: int) -> int:
    word = os.environ.get(f"TF_NUM_{kind}OP_THREADS", "")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return told or (int(word) if word.isdecimal() and int(word) else usable)


def _gpu_name(device: Any) -> str:
    import tensorflow as tf

    return tf.config.experimental.get_device_details(device).get("device_name", device.name)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return (" and ".join(value) or "none") if isinstance(value, list) else str(value)
