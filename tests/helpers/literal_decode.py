"""Integer decoding as one writes it down: every anchor of every cell in turn, a list that is kept sorted, plain ints.

And decoders and int8 outputs to try it on.
"""

import math

import numpy as np

from tinytrain.deploy.decode.anchors import AnchorDecoder, Output
from tinytrain.deploy.decode.boxes import Grid
from tinytrain.deploy.decode.cells import CellDecoder


def half_up(value):
    return math.floor(value + 0.5)


def sigmoid(value):
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0


def insert(found, box, room):
    """`found` is sorted by score falling; the new box goes behind its equals, and the last one falls out."""
    place = len(found)
    while place > 0 and found[place - 1][4] < box[4]:
        place -= 1
    found.insert(place, box)
    del found[room:]


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0, 1
    intersection = width * height
    return intersection, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection


def decode_anchors(decoder, outputs):
    """Returns [(x0, y0, x1, y1, score, class), …] in integers."""
    found, limit, least = [], 16 * decoder.side, math.ceil(decoder.score * 32768)
    pairs = sorted(zip(decoder.outputs, outputs, strict=True), key=lambda pair: -pair[0].stride)
    for output, flat in pairs:
        real = [output.scale * (q - output.zero_point) for q in range(-128, 128)]
        score = [half_up(32768 * sigmoid(decoder.gain * value)) for value in real]
        place = [half_up(32768 * sigmoid(value)) for value in real]
        size = [half_up(65536 * math.exp(min(value, math.log(16)))) for value in real]
        values, position = [int(value) + 128 for value in flat.ravel()], 0
        for row in range(output.rows):
            for column in range(output.columns):
                for anchor in output.anchors:
                    tx, ty, tw, th, objectness, *classes = values[position : position + 5 + decoder.classes]
                    position += 5 + decoder.classes
                    x = ((column << 15) + place[tx]) * output.stride >> 11
                    y = ((row << 15) + place[ty]) * output.stride >> 11
                    w, h = (min(size[t] * side >> 16, 32767) for t, side in zip((tw, th), anchor, strict=True))
                    corners = x - (w >> 1), y - (h >> 1), x + ((w + 1) >> 1), y + ((h + 1) >> 1)
                    x0, y0, x1, y1 = (max(0, min(corner, limit)) for corner in corners)
                    if x0 >= x1 or y0 >= y1:
                        continue
                    for label, value in enumerate(classes):
                        product = (score[objectness] * score[value] + 2**14) >> 15
                        if product >= least:
                            insert(found, (x0, y0, x1, y1, product, label), 400)
    kept, hundredths = [], half_up(100 * decoder.nms)
    for box in found:
        pairs = [iou(box, other) for other in kept if other[5] == box[5]]
        if not any(100 * intersection > hundredths * union for intersection, union in pairs):
            kept.append(box)
    return kept[: decoder.room]


def decode_cells(decoder, outputs):
    """Returns [(x0, y0, x1, y1, score, class), …] in integers."""
    (values,) = outputs
    output = decoder.output
    cells = values.reshape(output.rows, output.columns, 1 + decoder.classes).astype(int)
    exponential = [half_up(32768 * math.exp(-output.scale * d)) for d in range(256)]
    scores = {}
    for row in range(output.rows):
        for column in range(output.columns):
            parts = [exponential[cells[row, column].max() - value] for value in cells[row, column]]
            for label, part in enumerate(parts[1:]):
                scores[row, column, label] = (part * 32768 + sum(parts) // 2) // sum(parts)
    found, side, limit = [], 16 * output.stride, 16 * decoder.side
    for (row, column, label), score in scores.items():
        around = [(row + down, column + right, label) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        before = [scores[cell] for cell in around[:4] if cell in scores]
        after = [scores[cell] for cell in around[5:] if cell in scores]
        corners = column * side, row * side, (column + 1) * side, (row + 1) * side
        x0, y0, x1, y1 = (min(corner, limit) for corner in corners)
        if score < math.ceil(decoder.score * 32768) or x0 >= x1 or y0 >= y1:
            continue
        if all(score > other for other in before) and all(score >= other for other in after):
            insert(found, (x0, y0, x1, y1, score, label), decoder.room)
    return found


def anchor_decoder(random, side=None, **changes):
    """Returns a decoder with drawn strides, classes, anchors and scales, its outputs in any order."""
    side = side or int(random.integers(20, 120))
    outputs = []
    for stride in random.permutation([32, 16, 8])[: random.integers(1, 4)]:
        cells = -(-side // int(stride))
        anchors = random.integers(1, [16 * side, 16 * side], (random.integers(1, 4), 2)).tolist()
        scale, zero_point = float(random.choice([0.01, 0.03, 0.1, 0.3])), int(random.integers(-128, 128))
        grid = {"stride": int(stride), "rows": cells, "columns": cells, "scale": scale, "zero_point": zero_point}
        outputs.append(Output(**grid, anchors=tuple(map(tuple, anchors))))
    settings = {
        "classes": int(random.choice([1, 1, 2, 3, 20])),
        "gain": float(random.choice([1, 4])),
        "score": float(random.choice([0.01, 0.3, 0.41, 0.9])),
        "nms": float(random.choice([0.3, 0.45, 0.6])),
        "room": int(random.choice([1, 5, 100])),
    }
    return AnchorDecoder(side=side, outputs=tuple(outputs), **settings | changes)


def cell_decoder(random):
    """Returns a decoder of cells with drawn settings."""
    side = int(random.integers(20, 90))
    cells = -(-side // 8)
    return CellDecoder(
        side=side,
        classes=int(random.choice([1, 3, 20])),
        score=float(random.choice([0.01, 0.3, 0.5])),
        room=int(random.choice([1, 5, 100])),
        output=Grid(
            stride=8, rows=cells, columns=cells, scale=float(random.choice([0.01, 0.05, 0.2, 1.0])), zero_point=7
        ),
    )


def drawn_outputs(decoder, random):
    """Returns int8 outputs: uniform, around a value, all the least or the largest, of few values, or a few peaks."""
    kind = random.integers(6)
    outputs = []
    for shape in decoder.shapes:
        values = random.integers(-128, 128, shape)
        if kind == 1:
            values = random.normal(random.integers(-128, 128), 20, shape).clip(-128, 127)
        elif kind == 2:
            values = np.full(shape, random.choice([-128, 127]))
        elif kind == 3:
            values = random.choice([-128, 0, 60, 127], shape)
        elif kind == 4:
            values = np.where(random.random(shape) < 0.05, values, -128)
        outputs.append(values.astype(np.int8))
    return outputs


def tuples(boxes):
    """Returns boxes (D,) BOX as the functions above do."""
    return [tuple(box)[:6] for box in boxes.tolist()]
