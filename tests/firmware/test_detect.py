"""firmware/app/detect.c on a computer, with the sanitizers: the boxes of deploy/decode, equal to the byte."""

import dataclasses
import re
import struct
import subprocess

import numpy as np
import pytest
from conftest import REPOSITORY, needs_tool
from firmware_helpers import needs_compiler
from literal_decode import anchor_decoder, cell_decoder, drawn_outputs

from tinytrain.deploy.decode.anchors import AnchorDecoder
from tinytrain.deploy.decode.boxes import BOX

SOURCE = REPOSITORY / "firmware/app/detect.c"
DECODERS, IMAGES = 200, 50  # of each kind of head, and of each decoder: 10,000 outputs of a head with anchors
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wundef", "-Wshadow", "-Wconversion", "-Wdouble-promotion"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns a function that decodes [(decoder, [outputs of an image, …]), …] with the C code: a list of arrays BOX.

    A fault, or what a sanitizer finds, ends it with a status.
    """
    program = tmp_path_factory.mktemp("detect") / "detect"
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]
    driver = REPOSITORY / "tests/helpers/detect_driver.c"
    folders = [f"-I{SOURCE.parent}"]
    subprocess.run(["gcc", *STRICT, *sanitizers, *folders, SOURCE, driver, "-o", program], check=True)

    def decode(cases):
        sent = b"".join(
            described(decoder) + struct.pack("<i", len(images)) + b"".join(map(joined, images))
            for decoder, images in cases
        )
        done = subprocess.run([program], input=sent + bytes(4), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        boxes, position = [], 0
        for _ in range(sum(len(images) for _, images in cases)):
            (count,) = struct.unpack_from("<i", done.stdout, position)
            boxes.append(np.frombuffer(done.stdout, BOX, count, position + 4))
            position += 4 + count * BOX.itemsize
        assert position == len(done.stdout)
        return boxes

    return decode


def joined(outputs):
    return b"".join(output.tobytes() for output in outputs)


def described(decoder):
    """Returns a decoder as detect_driver.c reads it."""
    head = (decoder.room, decoder.classes, 16 * decoder.side, decoder.least_score)
    if not isinstance(decoder, AnchorDecoder):
        numbers = (2, *head, decoder.output.stride, decoder.output.rows, decoder.output.columns)
        return struct.pack("<8i", *numbers) + decoder.table.astype("<u2").tobytes()
    parts = [struct.pack("<8i", 1, *head, decoder.overlap, len(decoder.outputs), decoder.candidates)]
    for number in decoder.scanned:
        output, tables = decoder.outputs[number], decoder.tables[number]
        numbers = (number, output.stride, output.rows, output.columns, len(output.anchors), tables.least_objectness)
        parts += [
            struct.pack("<6i", *numbers),
            tables.scores.astype("<u2").tobytes(),
            tables.places.astype("<u2").tobytes(),
            tables.sizes.astype("<u4").tobytes(),
            np.array(output.anchors, "<u2").tobytes(),
        ]
    return b"".join(parts)


def drawn_cases(make, decoders, images):
    random = np.random.default_rng(17)
    cases = []
    for _ in range(decoders):
        decoder = make(random)
        cases.append((decoder, [drawn_outputs(decoder, random) for _ in range(images)]))
    return cases


@needs_tool("gcc")
@pytest.mark.parametrize(("make", "decoders"), [(anchor_decoder, DECODERS), (cell_decoder, DECODERS // 4)])
def test_random_outputs_give_the_same_boxes(run, make, decoders):
    cases = drawn_cases(make, decoders, IMAGES)
    found = run(cases)
    pairs = [(decoder, outputs) for decoder, images in cases for outputs in images]
    counts = []
    for (decoder, outputs), boxes in zip(pairs, found, strict=True):
        expected = decoder.decode(outputs)
        assert boxes.tobytes() == expected.tobytes(), decoder
        assert len(boxes) <= decoder.room
        counts.append(len(boxes))
    assert len(counts) == decoders * IMAGES
    assert counts.count(0) < 0.5 * len(counts)  # else it would show little
    assert max(counts) > 50


@needs_tool("gcc")
def test_extreme_decoders_give_the_same_boxes(run):
    """The largest sides, classes, anchors and overlaps: no sum and no product is too large for its type."""
    random = np.random.default_rng(5)
    cases = []
    for side, classes, stride in [(2047, 1, 64), (2047, 255, 64), (1, 255, 1), (2047, 3, 1)]:
        cells = min(-(-side // stride), 40)
        decoder = anchor_decoder(random, side=side, classes=classes, score=0.0, room=400, gain=4.0)
        output = dataclasses.replace(decoder.outputs[0], stride=stride, rows=cells, columns=cells, scale=1.0)
        output = dataclasses.replace(output, anchors=((65535, 65535), (1, 65535), (1, 1)))
        for nms in (0.0, 0.45, 1.0):
            changed = dataclasses.replace(decoder, outputs=(output,), nms=nms)
            cases.append((changed, [drawn_outputs(changed, random) for _ in range(2)]))
    found = iter(run(cases))
    for decoder, images in cases:
        for outputs in images:
            assert next(found).tobytes() == decoder.decode(outputs).tobytes(), decoder


@needs_tool("gcc")
@pytest.mark.parametrize("make", [anchor_decoder, cell_decoder])
def test_no_room_is_no_box(run, make):
    """A decoder has room for at least one, but a program of its own may call it with none."""
    random = np.random.default_rng(2)
    decoder = make(random)
    object.__setattr__(decoder, "room", 0)
    (boxes,) = run([(decoder, [[np.full(shape, 127, np.int8) for shape in decoder.shapes]])])
    assert len(boxes) == 0


@needs_compiler
def test_it_compiles_for_a_microcontroller_without_the_rest(tmp_path):
    """Read by nobody else, it needs <stdint.h> alone, calls no library, and has no variable."""
    for name in ("detect.c", "detect.h"):
        (tmp_path / name).write_text((SOURCE.parent / name).read_text())
    core = ["-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard", "-O2", "-funsigned-char"]
    command = ["arm-none-eabi-gcc", *STRICT, *core, "-ffunction-sections", "-c", "detect.c", "-o", "detect.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    includes = re.findall(r"#include (\S+)", "".join(path.read_text() for path in tmp_path.glob("detect.[ch]")))
    assert set(includes) == {'"detect.h"', "<stdint.h>"}
    symbols = listed(["arm-none-eabi-nm", "detect.o"], tmp_path)
    assert {line.split()[-1]: line.split()[-2] for line in symbols if line.split()[-2] in "UBDC"} == {}
    sizes = {
        line.split()[0]: int(line.split()[1])
        for line in listed(["arm-none-eabi-size", "-A", "detect.o"], tmp_path)
        if line.startswith(".text.")
    }
    assert sum(sizes.values()) - sizes[".text.detect_cells"] < 1_100
    assert sizes[".text.detect_cells"] < 900


def listed(command, folder):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()
