"""A detector on the emulated board: self test, both protocols and bench give the host's boxes."""

import dataclasses
import json
import re
import shutil
import struct
import zlib

import numpy as np
import pytest
from bench_helpers import exported
from firmware_helpers import EMULATED, emulate, needs_emulator, needs_tflm
from int8_models import DETECTOR_SIDE, cells_decoder, cells_model, detector_decoder, detector_model
from PIL import Image
from simulated_board import open_device
from test_firmware_text import talk

from tinytrain.benching.serial import emulator
from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.messages import Kind
from tinytrain.benching.serial.requests import BoardRefused
from tinytrain.benching.text import failure, summary
from tinytrain.commands.bench import bench
from tinytrain.deploy import boards, make, self_test
from tinytrain.deploy.decode import description
from tinytrain.deploy.exported import GOLDEN_FILE, Exported
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError

BOARD = boards.load(EMULATED)
IMAGES = 4
FULL_ARENA_BYTES = 320 * 1024 - 4096 - 8192 - DETECTOR_SIDE**2 * 3 + 16  # leaves an STM32F746 no room to keep the input
PIXELS = np.arange(-128, 128, dtype=np.int8)  # so that any noise comes from pixels


def annotated(count):
    """Boxes of images in pixels of the input: a box for each, and a row that pads."""
    rows = np.zeros((count, 2, 7), np.float32)
    rows[:, 0] = [1, 8, 8, 24, 30, 0, 352]
    rows[:, 1, 0] = -1
    return rows


@pytest.fixture(scope="module")
def model():
    return detector_model()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    target = tmp_path_factory.mktemp("boxes") / "export"
    settings = {"arena_bytes": 32_768, "pixels": PIXELS, "decoder": detector_decoder(model)}
    return exported(target, IMAGES, model=model, annotations=annotated(IMAGES), **settings)


@pytest.fixture(scope="module")
def program(folder):
    return make.build(folder / "firmware", BOARD, None, folder / "build")


@needs_emulator
def test_the_self_test_compares_the_golden_boxes(folder):
    done = emulate(folder / "firmware")
    assert done.returncode == 0, done.stdout
    expected = Exported.open(folder).boxes_of(0)
    assert len(expected) > 10
    assert f"boxes: equal ({len(expected)})\r\n" in done.stdout
    printed = self_test.parse(done.stdout)
    assert (printed["boxes_equal"], printed["golden_equal"]) == (True, True)
    assert printed["decode"]["unit"] == "instructions"
    assert 1_000 < printed["decode"]["count"] < 1_000_000


@needs_emulator
def test_another_decoder_fails_the_self_test(model, tmp_path):
    sources = exported(tmp_path, IMAGES, model=model, arena_bytes=32_768, decoder=detector_decoder(model)) / "firmware"
    data = sources / "model/model_data.cc"
    text = data.read_text()
    first = re.search(r"kGoldenBoxes\[.*?\] = \{\n    \{(\d+),", text)
    assert first
    data.write_text(text[: first.start(1)] + str(int(first[1]) + 1) + text[first.end(1) :])
    done = emulate(sources)
    count = len(Exported.open(tmp_path).boxes_of(0))
    assert f"boxes: different ({count}, golden {count}, the first 0 equal)" in done.stdout
    assert "failed: the boxes are not the golden boxes" in done.stdout
    assert done.returncode != 0
    assert self_test.parse(done.stdout)["boxes_equal"] is False


@needs_emulator
@pytest.mark.parametrize("arena_bytes", [32_768, FULL_ARENA_BYTES], ids=["input kept", "input used up"])
def test_bench_compares_the_boxes_of_every_image(model, tmp_path, arena_bytes):
    decoder = detector_decoder(model, score=0.02, gain=0.5, nms=1.0, room=400)
    settings = {"arena_bytes": arena_bytes, "pixels": PIXELS, "decoder": decoder}
    folder = exported(tmp_path / "export", IMAGES, model=model, annotations=annotated(IMAGES), **settings)
    program = make.build(folder / "firmware", BOARD, None, tmp_path / "build")
    with emulator.running(program, BOARD) as device:
        result, target = bench(folder, device, out=tmp_path / "out")
    assert (result["images"], result["different"], result["boxes"]["different"]) == (IMAGES, 0, 0)
    export = Exported.open(folder)
    counts = [len(export.boxes_of(image)) for image in range(IMAGES)]
    assert max(counts) > 42  # more than a frame holds
    assert result["boxes"]["mean"] == np.mean(counts)
    decode = result["boxes"]["decode"]
    assert decode["unit"] == "instructions"
    assert 1_000 < decode["min"] <= decode["median"] <= decode["max"] < 3_000_000
    assert result["accuracy"]["board"] == result["accuracy"]["host"]
    assert failure(result) == ""
    text = summary(result, target)
    assert f"0 of {IMAGES} lists differ from the host's (expected: 0)" in text
    assert "boxes.png" in text
    with Image.open(target / "boxes.png") as picture:
        assert picture.width > 3 * 240


@needs_emulator
def test_boxes_that_differ_are_listed(folder, program, tmp_path, monkeypatch):
    """The host decodes with another overlap than the firmware; the checksums, which tell so, are made equal."""
    export = Exported.open(folder)
    changed = dataclasses.replace(export.decoder, nms=0.1)
    report = json.loads((folder / "report.json").read_text()) | {"decoder": description.section(changed)}
    with emulator.running(program, BOARD) as device:
        with pytest.raises(UserError, match=r"decodes up to 100 boxes with .*, expected 100 with"):
            bench(copied(folder, tmp_path / "other", report), device)
        monkeypatch.setattr(description, "crc", lambda _: zlib_of(export))
        result, target = bench(copied(folder, tmp_path / "lying", report), device)
    assert result["different"] == 0
    assert 0 < result["boxes"]["different"] == len(result["boxes"]["differences"])
    assert f"the boxes of {result['boxes']['different']} of {IMAGES} images on {EMULATED} differ" in failure(result)
    row = result["boxes"]["differences"][0]
    assert len(row["board"]) > len(row["host"])
    text = summary(result, target)
    assert f"image {row['image']}: {len(row['host'])} and {len(row['board'])} boxes, box" in text
    assert result["boxes"]["shown"][0]["image"] == row["image"]


def copied(folder, target, report):
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("build"))
    (target / "report.json").write_text(json.dumps(report))
    return target


def zlib_of(export):
    section = description.section(export.decoder)
    return zlib.crc32(json.dumps(section, sort_keys=True).encode())


@needs_emulator
def test_a_map_of_cells_gives_the_hosts_boxes(tmp_path):
    model = cells_model()
    settings = {"arena_bytes": 32_768, "decoder": cells_decoder(model)}
    folder = exported(tmp_path / "export", IMAGES, model=model, **settings)
    assert max(len(Exported.open(folder).boxes_of(image)) for image in range(IMAGES)) > 3
    assert "boxes: equal (" in emulate(folder / "firmware").stdout
    program = make.build(folder / "firmware", BOARD, None, tmp_path / "build")
    with emulator.running(program, BOARD) as device:
        result, _ = bench(folder, device, out=tmp_path / "out")
    assert (result["boxes"]["different"], result["accuracy"]) == (0, None)


@needs_emulator
def test_boxes_are_those_of_the_last_inference(folder, program):
    export = Exported.open(folder)
    first, second = export.input_of(0), export.input_of(1)
    with emulator.running(program, BOARD) as device, open_device(device) as port:
        link = BoardLink(port)
        hello = link.hello()
        assert (hello.boxes, hello.decoder_crc) == (100, zlib_of(export))

        def refused(image, number, code, match):
            with pytest.raises(BoardRefused, match=match) as error:
                link.ask(Kind.BOXES, struct.pack("<IH", zlib.crc32(image), number), bytes)
            assert error.value.code == code

        refused(first, 0, 3, "the last inference was not of the input")
        link.infer(first)
        boxes, ticks = link.boxes(first, 100)
        assert boxes.tobytes() == export.boxes_of(0).tobytes()
        assert ticks > 100
        refused(second, 0, 3, "the last inference was not of the input")
        refused(first, len(boxes), 2, "there are not so many boxes")
        refused(first, 65_535, 2, "there are not so many boxes")
        link.profile(first, len(export.summary.operators))  # an inference of its own
        refused(first, 0, 3, "the last inference was not of the input")
        with pytest.raises(BoardRefused, match="BOXES takes a CRC-32 and the number of a box"):
            link.ask(Kind.BOXES, b"\0", bytes)


@needs_emulator
def test_a_classifier_has_no_boxes(tmp_path):
    folder = exported(tmp_path / "export")
    program = make.build(folder / "firmware", BOARD, None, tmp_path / "build")
    with emulator.running(program, BOARD) as device, open_device(device) as port:
        link = BoardLink(port)
        assert (link.hello().boxes, link.hello().decoder_crc) == (0, 0)
        with pytest.raises(BoardRefused, match="error 1: the model is no detector"):
            link.ask(Kind.BOXES, bytes(6), bytes)
    answers = talk(folder / "firmware", "boxes%help%")
    assert answers[1] == ["e-[Unknown command: boxes]"]
    assert not any("boxes" in line for line in answers[2])


@needs_emulator
def test_the_text_protocol_prints_boxes(folder):
    export = Exported.open(folder)
    pixels = export.pixels_of(0)
    loads = "".join(f"db {pixels[i : i + 31].hex()}%" for i in range(0, len(pixels), 31))
    text = f"boxes%db load {len(pixels)}%{loads}infer 1 0%boxes%help%"
    answers = talk(folder / "firmware", text)
    assert answers[1] == ["e-[No inference has run: infer first]"]
    *lines, last = answers[-2]
    expected = export.boxes_of(0)
    assert last == f"m-boxes-{len(expected)}"
    for line, box in zip(lines, expected, strict=True):
        score, *corners, label, name = re.fullmatch(r"m-box-\[(.*)\]", line)[1].split(",")
        assert float(score) == pytest.approx(box["score"] / 32768, abs=0.00051)
        assert [float(corner) for corner in corners] == [box[edge] / 16 for edge in ("x0", "y0", "x1", "y1")]
        assert (int(label), name) == (box["label"], ["cat", "dog"][box["label"]])
    assert any(line.startswith("boxes ") for line in answers[-1])


@needs_tflm
def test_a_real_network_gives_the_same_boxes(model, tmp_path):
    """TFLM with CMSIS-NN on the emulated core; the host's outputs are those of TFLM's own interpreter."""
    inputs = np.random.default_rng(2).integers(-128, 128, (IMAGES, DETECTOR_SIDE, DETECTOR_SIDE, 3)).astype(np.int8)
    outputs = ReferenceInterpreter(model).run(inputs)
    settings = {"golden_input": inputs[0], "golden_outputs": [output[0] for output in outputs]}
    decoder = detector_decoder(model, score=0.3)
    folder = exported(tmp_path / "export", IMAGES, model=model, arena_bytes=65_536, decoder=decoder, **settings)
    np.savez(folder / GOLDEN_FILE, inputs=inputs, outputs_0=outputs[0], outputs_1=outputs[1])
    assert sum(len(Exported.open(folder).boxes_of(image)) for image in range(IMAGES)) > 5
    program = make.build(folder / "firmware", BOARD, make.tflm_dir(), tmp_path / "build")
    with emulator.running(program, BOARD) as device:
        result, _ = bench(folder, device, out=tmp_path / "out")
    assert (result["engine"], result["different"], result["boxes"]["different"]) == ("tflm", 0, 0)
