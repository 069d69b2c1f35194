"""Frames become inputs by the same integers in C and in NumPy, to the bit, whatever their size, stride and format."""

import ctypes
from ctypes import POINTER, Structure, byref, c_int32, c_uint8, c_uint16, c_uint32, c_void_p

import numpy as np
import pytest
from conftest import REPOSITORY, needs_tool
from library_host import STATUSES, Frame, run

from tinytrain.config.fields import FRAME_FORMATS
from tinytrain.data import frames

RESIZES = ("stretch", "crop", "eval_crop", "pad")
FOLDER = REPOSITORY / "firmware/library"


class Input(Structure):
    _fields_ = (
        *((name, c_uint16) for name in ("height", "width", "channels")),
        ("resize", c_uint32),
        ("bgr", c_uint8),
        ("tables", c_uint8),
        ("values", c_void_p),
    )


class Axis(Structure):
    _fields_ = (
        *((name, c_int32) for name in ("offset", "size")),
        *((name, c_uint32) for name in ("first", "length", "step", "last")),
    )


class Place(Structure):
    _fields_ = (("x", Axis), ("y", Axis))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frame")
    (folder / "tinytrain_model.h").touch()
    sanitizer = ("-fsanitize=undefined", "-fno-sanitize-recover")
    command = ["gcc", "-std=gnu11", "-O1", "-shared", "-fPIC", *sanitizer, f"-I{folder}", f"-I{FOLDER / 'include'}"]
    run(*command, "-o", folder / "frame.so", FOLDER / "src/frame.c")
    dll = ctypes.CDLL(str(folder / "frame.so"))
    dll.tinytrain_frame_place.restype = Place
    dll.tinytrain_frame_edge.argtypes = (POINTER(Axis), c_int32)
    return dll


def input_of(rows, columns, channels, resize, tables, bgr=False):
    number = RESIZES.index(resize)
    return Input(rows, columns, channels, number, bgr, len(tables), tables.ctypes.data)


def frame_of(pixels, width, form):
    return Frame(pixels.ctypes.data, width, len(pixels), pixels.shape[1], FRAME_FORMATS.index(form))


def computed(library, source, frame):
    """Returns the input that C makes of a frame, (rows, columns, channels) int8."""
    assert STATUSES[library.tinytrain_frame_check(byref(source), byref(frame))] == "OK"
    place = library.tinytrain_frame_place(byref(source), c_uint32(frame.width), c_uint32(frame.height))
    values = np.zeros((source.height, source.width, source.channels), np.int8)
    for row in range(source.height):
        at = c_void_p(values[row].ctypes.data)
        library.tinytrain_frame_row(byref(source), byref(frame), byref(place), c_uint32(row), at)
    return values


def draw(random):
    """Returns random bytes (H, stride), width and format of a frame; rows, columns, channels and resize of an input."""
    form = FRAME_FORMATS[random.integers(len(FRAME_FORMATS))]
    width, height = (int(2 ** random.uniform(0, 8)) for _ in range(2))
    width += width % 2 if form in frames.YUV else 0
    stride = width * frames.BYTES[form] + int(random.integers(5))
    rows, columns = (int(random.integers(1, 40)) for _ in range(2))
    resize = RESIZES[random.integers(4)]
    if resize == "eval_crop":
        rows = columns
    channels = 1 if form == "gray8" or random.random() < 0.3 else 3
    return random.integers(0, 256, (height, stride), np.uint8), width, form, rows, columns, channels, resize


@needs_tool("gcc")
@pytest.mark.parametrize("seed", range(8))
def test_random_frames_become_the_same_input(library, seed):
    random = np.random.default_rng(seed)
    for _ in range(40):
        pixels, width, form, rows, columns, channels, resize = draw(random)
        count, bgr = (1, channels)[random.integers(2)], bool(random.integers(2))
        tables = random.integers(-128, 128, (count, 256)).astype(np.int8)
        found = computed(library, input_of(rows, columns, channels, resize, tables, bgr), frame_of(pixels, width, form))
        image = frames.resized(frames.colors(pixels, width, form, channels), columns, rows, resize)
        image = image[..., ::-1] if bgr else image
        expected = tables[np.arange(channels) % count, image]
        what = f"{form} {width}x{len(pixels)} to {columns}x{rows}x{channels} by {resize}"
        assert (found == expected).all(), what


@needs_tool("gcc")
def test_edges_of_boxes_lie_at_the_same_place_of_the_frame(library):
    random = np.random.default_rng(0)
    for _ in range(500):
        pixels, width, _, rows, columns, channels, resize = draw(random)
        source = input_of(rows, columns, channels, resize, np.zeros((1, 256), np.int8))
        place = library.tinytrain_frame_place(byref(source), c_uint32(width), c_uint32(len(pixels)))
        x, y = frames.place(width, len(pixels), columns, rows, resize)
        for axis, ours, side, pixels_of_side in ((place.x, x, columns, width), (place.y, y, rows, len(pixels))):
            for edge in (0, 16 * side, int(random.integers(16 * side + 1))):
                found = library.tinytrain_frame_edge(byref(axis), edge)
                assert found == ours.edge(edge)
                assert 0 <= found <= 16 * pixels_of_side


@needs_tool("gcc")
@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [(32767, 1), (1, 32767), (32767, 32766), (2, 1)])
def test_the_largest_frames_have_the_same_geometry(library, size, resize):
    source = input_of(96, 96, 3, resize, np.zeros((1, 256), np.int8))
    place = library.tinytrain_frame_place(byref(source), *map(c_uint32, size))
    for found, ours in zip((place.x, place.y), frames.place(*size, 96, 96, resize), strict=True):
        numbers = ours.offset, ours.size, ours.first, ours.length, ours.step, ours.side - 1
        assert (found.offset, found.size, found.first, found.length, found.step, found.last) == numbers


@needs_tool("gcc")
def test_frames_that_cannot_be_have_a_status(library):
    pixels = np.zeros((4, 12), np.uint8)
    color, gray, other = (input_of(8, 8, channels, "pad", np.zeros((1, 256), np.int8)) for channels in (3, 1, 4))

    def status(source, width=4, height=4, stride=12, form="rgb888", address=pixels.ctypes.data):
        number = FRAME_FORMATS.index(form) if isinstance(form, str) else form
        frame = Frame(address, width, height, stride, number)
        return STATUSES[library.tinytrain_frame_check(byref(source), byref(frame))]

    assert status(color) == status(gray) == status(color, stride=0) == "OK"
    assert status(gray, form="gray8") == status(color, width=6, form="yuyv") == "OK"
    assert status(color, form="gray8") == status(other) == "BAD_FORMAT"
    assert status(color, form=6) == status(color, form=2**32 - 1) == "BAD_FORMAT"
    for wrong in ({"width": 0}, {"height": 0}, {"width": 40000}, {"stride": 11}, {"address": None}):
        assert status(color, **wrong) == "BAD_FRAME", wrong
    assert status(color, width=3, form="uyvy") == "BAD_FRAME"
    assert STATUSES[library.tinytrain_frame_check(byref(color), None)] == "BAD_FRAME"
