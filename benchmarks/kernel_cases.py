"""Layer shapes as networks have them, for benchmarks/kernels.py."""

from collections.abc import Iterator
from dataclasses import replace

from operator_models import Case


def cases() -> Iterator[Case]:
    """Yields layer shapes as networks have them."""
    for side, first, second, stride in [(16, 3, 16, 1), (24, 3, 8, 2), (24, 3, 16, 2)]:
        yield Case("CONV_2D", (side, side, first), (3, 3), second, stride)
    for side, first, second, stride in [(8, 16, 16, 1), (8, 16, 32, 2), (8, 32, 32, 1), (4, 64, 64, 1), (5, 13, 7, 1)]:
        yield Case("CONV_2D", (side, side, first), (3, 3), second, stride)
    pairs = [(12, 8, 16), (12, 8, 48), (12, 16, 8), (12, 16, 16), (12, 16, 96), (12, 48, 8), (6, 32, 32), (6, 64, 64)]
    pairs += [
        (6, 144, 24),
        (6, 24, 144),
        (3, 128, 128),
        (3, 256, 128),
        (3, 112, 320),
        (1, 64, 16),
        (1, 16, 64),
        (7, 13, 9),
    ]
    for side, first, second in pairs:
        yield Case("CONV_2D", (side, side, first), filters=second)
    yield Case("CONV_2D", (16, 16, 16), filters=32, stride=2)
    for tap in (3, 5, 7):
        for side, channels in [(24, 4), (12, 16), (6, 32), (3, 64), (2, 64), (1, 64)]:
            for stride in (1, 2):
                yield Case("DEPTHWISE_CONV_2D", (side, side, channels), (tap, tap), channels, stride)
    yield from (
        Case("FULLY_CONNECTED", (count,), filters=filters)
        for count, filters in [(64, 10), (256, 2), (1280, 10), (1280, 100)]
    )
    yield from (Case("ADD", shape) for shape in [(24, 24, 8), (12, 12, 16), (6, 6, 24), (32, 32, 16)])
    yield from (
        Case("AVERAGE_POOL_2D", shape, shape[:2]) for shape in [(2, 2, 384), (3, 3, 256), (8, 8, 64), (3, 3, 1280)]
    )


def small_maps() -> Iterator[Case]:
    """Yields shapes of few pixels that networks seldom have, with outputs that are clamped and such that are not."""
    roundings = ({"zero": -128}, {"relu": True})
    squares, others = [(side, side) for side in range(1, 7)], [(1, 2), (2, 1), (3, 2), (2, 3), (3, 1), (1, 3)]
    for tap in (3, 5, 7):
        for height, width in squares + others:
            for stride in (1, 2):
                case = Case("DEPTHWISE_CONV_2D", (height, width, 48), (tap, tap), 48, stride)
                yield from (replace(case, **rounding) for rounding in roundings)
        for side in range(tap, 6):
            yield from (Case("DEPTHWISE_CONV_2D", (side, side, 48), (tap, tap), 48, s, same=False) for s in (1, 2))
    for shape in [
        (2, 2, 240),
        (2, 2, 30),
        (2, 2, 8),
        (1, 1, 64),
        (3, 3, 20),
        (2, 2, 3),
        (4, 4, 10),
        (2, 1, 64),
        (7, 7, 33),
    ]:
        yield from (Case("AVERAGE_POOL_2D", shape, shape[:2], **rounding) for rounding in roundings)
    for side in (8, 16):
        for channels in (8, 16, 30):
            yield Case("AVERAGE_POOL_2D", (side, side, channels), (2, 2), stride=2)
            yield Case("AVERAGE_POOL_2D", (side, side, channels), (3, 3))
