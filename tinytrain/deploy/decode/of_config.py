"""The decoder of a trained detector: what its config says of the head, and its .tflite of the outputs."""

from typing import Any

import numpy as np

from tinytrain.config.fields import LEAST_SCORE
from tinytrain.config.heads import has_anchors
from tinytrain.config.schema import Config
from tinytrain.data import anchors
from tinytrain.deploy.decode.anchors import AnchorDecoder, Output
from tinytrain.deploy.decode.boxes import UNITS, Decoder, Grid, in_units
from tinytrain.deploy.decode.cells import CellDecoder
from tinytrain.errors import UserError
from tinytrain.tflite.model import Model, Tensor


def decoder(config: Config, classes: int, graph: Model) -> Decoder:
    """Returns the decoder that the firmware has: boxes with at least detect.score, at most detect.boxes of them.

    Args:
        config: the run, without "auto".
        classes: how many.
        graph: its .tflite.
    """
    return _of(config, classes, graph, float(config.detect.score))


def keys(decoder: Decoder) -> dict[str, Any]:
    """Returns {dotted key: value} of a config with which `decoder` is the decoder of its .tflite."""
    found: dict[str, Any] = {
        "model.resolution": decoder.side,
        "detect.score": decoder.score,
        "detect.boxes": decoder.room,
    }
    grids = sorted(decoder.grids, key=lambda grid: grid.stride, reverse=True)
    found["detect.strides"] = [grid.stride for grid in grids]
    if not isinstance(decoder, AnchorDecoder):
        return found | {"task": "centroids", "detect.head": "centroid", "detect.anchors": "none"}
    outputs = sorted(decoder.outputs, key=lambda output: output.stride)
    return found | {
        "task": "detect",
        "detect.anchors_per_scale": len(outputs[0].anchors),
        "detect.anchors": [side / UNITS for output in outputs for anchor in output.anchors for side in anchor],
        "detect.gain": decoder.gain,
        "detect.nms": decoder.nms,
        "detect.head": "yolo3_lite",  # as any with anchors
    }


def untrained(config: Config, classes: int, graph: Model) -> Decoder:
    """Returns a decoder as large as that of the firmware will be, before detect.score is known; arguments likewise."""
    return _of(config, classes, graph, LEAST_SCORE)


def measured(config: Config, classes: int, graph: Model, outputs: list[np.ndarray]) -> np.ndarray:
    """Returns what `Decoder.measured` does, (N, detect.boxes, 6) in pixels of the input; detect.score may be "auto".

    Args:
        config: the run, without "auto".
        classes: how many.
        graph: its .tflite.
        outputs: (N, …) int8 of each output, in the order of `graph`.
    """
    return untrained(config, classes, graph).measured(outputs)


def _of(config: Config, classes: int, graph: Model, score: float) -> Decoder:
    detect, side, room = config.detect, int(config.model.resolution), config.detect.boxes
    _check(graph, [int(stride) for stride in detect.strides], side)
    grids = [_grid(output, side) for output in graph.outputs]
    if not has_anchors(detect.head):
        (grid,) = grids
        return CellDecoder(side=side, classes=classes, score=score, room=room, output=Grid(**grid))
    sizes = anchors.by_stride(
        list(map(float, detect.anchors)), list(map(int, detect.strides)), detect.anchors_per_scale
    )
    outputs = tuple(
        Output(
            **grid,
            anchors=tuple((in_units(width), in_units(height)) for width, height in sizes[grid["stride"]].tolist()),
        )
        for grid in grids
    )
    return AnchorDecoder(
        side=side, classes=classes, score=score, room=room, gain=detect.gain, nms=detect.nms, outputs=outputs
    )


def _check(graph: Model, strides: list[int], side: int) -> None:
    """Raises UserError unless there is a map of cells for each stride."""
    expected = sorted(-(-side // stride) for stride in strides)
    shapes = [output.shape for output in graph.outputs]
    if sorted(shape[1] for shape in shapes if len(shape) == 4) != expected or len(shapes) != len(expected):
        raise UserError(
            f"the .tflite is not of this run: with detect.strides = {strides} its outputs have "
            f"{' and '.join(map(str, expected))} rows, received outputs of {', '.join(map(str, shapes))}"
        )


def _grid(output: Tensor, side: int) -> dict[str, Any]:
    """Returns the fields of a Grid for an output (1, rows, columns, channels)."""
    _, rows, columns, _ = output.shape
    quantization = {"scale": float(output.scale[0]), "zero_point": int(output.zero_point[0])}
    return {"stride": side // rows, "rows": rows, "columns": columns, **quantization}
