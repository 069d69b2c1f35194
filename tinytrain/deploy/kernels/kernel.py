"""What the exporter prepares for one operator."""

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Kernel:
    """An operator of ours.

    name: of the kernel, such as "conv_1x1" for kernel_conv_1x1; block: its constants in flash, with the structs of
    firmware/kernels/kernels.h; lead: how many bytes the output begins at least before an input that it may overwrite,
    None if it may overwrite none.
    """

    name: str
    block: bytes
    lead: int | None = None

    @property
    def scratch_bytes(self) -> int:
        """The memory that it needs while it runs; every block begins with it."""
        return int(struct.unpack_from("<I", self.block)[0])
