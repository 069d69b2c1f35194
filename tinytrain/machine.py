"""Describes the properties of a machine that the exact weights of a training depend on.

Equal commands give equal weights, to the last bit, only on machines that are equal in them: a sum of floating-point
numbers depends on its order, which depends on the processor's vector units, the number of threads and the kernels.
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
    """Returns a description of this machine, with the keys of NAMES.

    The thread counts are those of TensorFlow: its settings, else TF_NUM_INTRAOP_THREADS and TF_NUM_INTEROP_THREADS,
    else one thread for each processor that the process may use. "gpu" is a list of names, "precision" that of `config`.
    """
    import tensorflow as tf
    from tensorflow.python.util import _pywrap_util_port  # no public function tells whether oneDNN is on

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
    """Returns the model name of the processor from Linux, or else Python's name for it."""
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == "model name"]
    return next(iter(names), "") or platform.processor() or platform.machine()


def cores() -> int:
    """Returns the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def as_text(machine: dict[str, Any]) -> str:
    """Returns a description as text."""
    return ", ".join(f"{NAMES.get(name, name)} {_value_text(value)}" for name, value in machine.items())


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Returns the differences between two descriptions as text, or ""; keys that only one has are ignored."""
    changed = [name for name in before if name in now and before[name] != now[name]]
    return ", ".join(
        f"{NAMES.get(name, name)} {_value_text(before[name])}, now {_value_text(now[name])}" for name in changed
    )


def _threads(kind: str, setting: int) -> int:
    """Returns a thread count of TensorFlow; `setting` is 0 if it is not set."""
    variable = os.environ.get(f"TF_NUM_{kind}OP_THREADS", "")
    return setting or (int(variable) if variable.isdecimal() and int(variable) else cores())


def _gpu_name(device: Any) -> str:
    import tensorflow as tf

    return tf.config.experimental.get_device_details(device).get("device_name", device.name)


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return (" and ".join(value) or "none") if isinstance(value, list) else str(value)
