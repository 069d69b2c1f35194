"""The table of docs/choosing-a-model.md: MACs, arena and size of networks for 10 classes, and the boards they fit.

    python benchmarks/candidates.py

All is estimated from the graphs of untrained networks for color images (deploy/estimate.py), for the compiled engine
with the least memory. Prints Markdown.
"""

from tinytrain import tables
from tinytrain.cli.lists import models
from tinytrain.config import plugins
from tinytrain.deploy import estimate
from tinytrain.nn import macs

HEADINGS = ("network, width, pixels", "MACs", "arena", "model", "F401", "F746", "L4R5", "H743")
BOARDS = ("nucleo_f401re", "stm32f746g_disco", "nucleo_l4r5zi", "nucleo_h743zi")
CANDIDATES = (  # architecture, width, resolution, stem
    ("resnet8", 1.0, 32, "cifar"),
    ("mobilenet_v2", 0.35, 32, "cifar"),
    *(("mobilenet_v2", 0.35, side, "imagenet") for side in (48, 96, 128, 160, 224)),
    *(("mobilenet_v2", width, 96, "imagenet") for width in (0.2, 0.5)),
    ("mobilenet_v2_tiny", 0.35, 96, "imagenet"),
    *(("mobilenet_v1", 0.25, side, "imagenet") for side in (48, 96, 128, 224)),
    ("mobilenet_v3_small", 0.35, 96, "imagenet"),
    *(("mcunet", 1.0, side, "imagenet") for side in (96, 176)),
)


def row(name: str, width: float, resolution: int, stem: str) -> tuple[str, ...]:
    """Returns the row of one network."""
    model = plugins.load("models", name).build(width=width, resolution=resolution, classes=10, channels=3, stem=stem)
    arena, size = estimate.arena_and_model_bytes(model, compiled=True)
    label = f"{name} {width:g} at {resolution}{', stem=cifar' if stem == 'cifar' and name != 'resnet8' else ''}"
    fits = ["yes" if models.fits_board(arena, size, board) else "no" for board in BOARDS]
    return label, f"{macs.count(model):,}", f"{arena:,}", f"{size:,}", *fits


if __name__ == "__main__":
    print(tables.markdown([HEADINGS, *(row(*candidate) for candidate in CANDIDATES)], "<>>><<<<"))
