"""A library of TensorFlow Lite Micro that rounds once: a copy of the one in TFLM_DIR with another scaling function."""

import subprocess

SYMBOL = "_ZN6tflite29MultiplyByQuantizedMultiplierElli"
# TFLM's function for TFLITE_SINGLE_ROUNDING, in kernels/internal/common.cc.
SOURCE = """
#include <cstdint>
namespace tflite {
int32_t MultiplyByQuantizedMultiplier(int32_t x, int32_t multiplier, int shift) {
  const int right = 31 - shift;
  return static_cast<int32_t>((int64_t{x} * multiplier + (int64_t{1} << (right - 1))) >> right);
}
}
"""


def rounding_once(tflm, folder, flags):
    """Returns `folder` as a TFLM_DIR with the headers of `tflm` and its library, changed; `flags` are the core's."""
    library = tflm / "lib" / "libtensorflow-microlite.a"
    copied = folder / "lib" / library.name
    copied.parent.mkdir(parents=True)
    (folder / "include").symlink_to(tflm / "include")
    copied.write_bytes(library.read_bytes())
    names = _tool("nm", "-A", "--defined-only", library).splitlines()
    member = next(line.split(":")[1] for line in names if line.endswith(f" T {SYMBOL}"))
    _tool("ar", "x", library, member, folder=folder)
    _tool("objcopy", f"--redefine-sym={SYMBOL}=rounded_twice", folder / member)
    (folder / "single.cc").write_text(SOURCE)
    _tool("g++", *flags, "-O2", "-c", "single.cc", "-o", "single.o", folder=folder)
    _tool("ar", "r", copied, folder / member, folder / "single.o")
    return folder


def _tool(name, *arguments, folder=None):
    command = [f"arm-none-eabi-{name}", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
