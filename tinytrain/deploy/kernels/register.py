"""Which operators the firmware registers for a model that it holds, and how."""

from collections.abc import Collection

from tinytrain.deploy.kernels.derive import PREFIX
from tinytrain.deploy.tflm import operators as tflm_ops
from tinytrain.deploy.tflm.verified_forms import KERNEL
from tinytrain.tflite.model import Model

# Bytes of flash of each kernel with its registration, of what convolutions share, and of what all share: the sizes of
# their objects and symbols (gcc 12.2). `benchmarks/runtime_size.py --kernels` measures them by links.
KERNEL_BYTES = {
    "conv": 1610,
    "conv_1x1": 780,
    "fully_connected": 470,
    "depthwise": 7790,
    "add": 780,
    "average_pool": 1010,
}
CONVOLUTIONS = ("conv", "conv_1x1", "fully_connected")
COLUMNS_BYTES, REGISTRATION_BYTES = 2296, 250


def kinds(model: Model) -> dict[str, str]:
    """Returns the operators to register, {name: kind}: `tflm_ops.registrations`, and KERNEL for kernels of ours."""
    ours = [operator.name for operator in model.operators if operator.name.startswith(PREFIX)]
    others = [operator for operator in model.operators if not operator.name.startswith(PREFIX)]
    return tflm_ops.registrations(others) | dict.fromkeys(ours, KERNEL)


def flash_bytes(model: Model) -> tuple[int, int]:
    """Returns the estimated flash of TFLM, CMSIS-NN and libc, and that of our kernels, for what the firmware holds."""
    registered = kinds(model)
    ours = [name.removeprefix(PREFIX) for name, kind in registered.items() if kind == KERNEL]
    others = {name: kind for name, kind in registered.items() if kind != KERNEL}
    return tflm_ops.runtime_bytes(others), kernel_bytes(ours)


def kernel_bytes(names: Collection[str]) -> int:
    """Returns the flash of these kernels."""
    columns = COLUMNS_BYTES if any(name in CONVOLUTIONS for name in names) else 0
    registration = REGISTRATION_BYTES if names else 0
    return registration + columns + sum(KERNEL_BYTES[name] for name in names)
