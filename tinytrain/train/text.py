"""What `tinytrain fit` prints last."""

from pathlib import Path
from typing import Any


def summary(folder: Path, result: dict[str, Any]) -> str:
    """Returns the line of a finished run from its metrics.json; what uneven classes hide in top-1 stands beside it."""
    test = result["test"]
    hides = abs(test["balanced_top1"] - test["top1"]) >= 0.01
    balanced = f" ({100 * test['balanced_top1']:.2f} % with each class counted the same)" if hides else ""
    return (
        f"{folder}: test top-1 {100 * test['top1']:.2f} %{balanced} on {test['images']:,} images, val top-1 "
        f"{100 * result['val']['top1']:.2f} %, {result['params']:,} parameters, {result['macs']:,} MACs, "
        f"{result['images_per_second']:,.0f} images/s"
    )
