"""The library, built by CMake from its folder alone, gives the host's answers to frames on a Cortex-M4, M7 and M33."""

from pathlib import Path

import numpy as np
import pytest
from conftest import needs_tool
from firmware_helpers import needs_compiler, needs_emulator, needs_tflm
from library_host import build, contents_of, needs_cmake, run, write

from tinytrain.config.fields import FRAME_FORMATS
from tinytrain.data import frames
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.int8_values import pixel_values

PROGRAM = Path(__file__).parent.parent / "helpers" / "library_program"
CORES = {  # machine of QEMU, where code and data begin
    "cortex-m4": ("mps2-an386", "0x00000000", "0x20000000"),
    "cortex-m7": ("mps2-an500", "0x00000000", "0x20000000"),
    "cortex-m33": ("mps2-an505", "0x10000000", "0x38000000"),
}
SIZE = (43, 30)  # of a frame: width, height
STRIDE = 200
pytestmark = [needs_cmake]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Returns a function: (contents, folder of the library) of a model of library_host.MODELS."""
    known = {}

    def of(name):
        if name not in known:
            contents, *_ = contents_of(name, resize="pad")
            known[name] = contents, write(tmp_path_factory.mktemp(name), contents)
        return known[name]

    return of


def answer_to(folder, core, library, pixels, form):
    """Returns what the program answers to frames (N, H, STRIDE), bytes, on a core or, for "host", on this computer."""
    head = np.array([len(pixels), SIZE[0] // 2 * 2, pixels.shape[1], STRIDE, FRAME_FORMATS.index(form)], "<u4")
    (folder / "frames.bin").write_bytes(head.tobytes() + pixels.tobytes())
    if core == "host":
        build(PROGRAM, folder / "build", f"-DLIBRARY={library}")
        run(folder / "build/program", cwd=folder)
    else:
        machine, code, ram = CORES[core]
        toolchain = f"-DCMAKE_TOOLCHAIN_FILE={library / 'cmake/arm-none-eabi.cmake'}"
        places = (f"-DTINYTRAIN_CORE={core}", f"-DCODE={code}", f"-DRAM={ram}")
        build(PROGRAM, folder / "build", f"-DLIBRARY={library}", toolchain, *places)
        options = ("-display", "none", "-monitor", "none", "-serial", "none", "-semihosting")
        run("qemu-system-arm", "-M", machine, *options, "-kernel", folder / "build/program", cwd=folder)
    return (folder / "answers.bin").read_bytes()


def answer_of_host(contents, pixels, form):
    """Returns the same from NumPy's frames, TFLM's interpreter and the decoder of the host."""
    source = contents.model.inputs[0]
    _, rows, columns, channels = source.shape
    width = SIZE[0] // 2 * 2
    images = [frames.resized(frames.colors(frame, width, form, channels), columns, rows, "pad") for frame in pixels]
    outputs = ReferenceInterpreter(contents.model.content).run(pixel_values(source)[np.array(images)])
    answers = []
    for each in zip(*outputs, strict=True):
        answers.append(b"".join(output.tobytes() for output in each))
        if contents.decoder is None:
            zero, scale = source_of(contents)
            best = int(each[0].argmax())
            numbers = [best, round((int(each[0].reshape(-1)[best]) - zero) * scale * 32768), 0]
            answers.append(np.array(numbers, "<i4").tobytes())
            continue
        x, y = frames.place(width, pixels.shape[1], columns, rows, "pad")
        boxes = contents.decoder.decode(list(each))
        answers.append(np.array([0, 0, len(boxes)], "<i4").tobytes())
        for box in boxes:
            corners = [
                axis.edge(int(box[name])) for name, axis in zip(("x0", "y0", "x1", "y1"), (x, y, x, y), strict=True)
            ]
            answers.append(np.array([box["label"], box["score"], *corners], "<i4").tobytes())
    return b"".join(answers)


def source_of(contents):
    output = contents.model.outputs[0]
    return output.zero_point[0], output.scale[0]


def check(exported, tmp_path, core, form, count):
    contents, library = exported
    pixels = np.random.default_rng(3).integers(0, 256, (count, SIZE[1], STRIDE), np.uint8)
    expected = answer_of_host(contents, pixels, form)
    assert answer_to(tmp_path, core, library, pixels, form) == expected


CASES = [("softmax", "rgb565-be"), ("detector", "yuyv"), ("cells", "rgb888")]


@needs_tool("gcc")
@pytest.mark.parametrize(("name", "form"), CASES)
def test_frames_on_this_computer(made, tmp_path, name, form):
    check(made(name), tmp_path, "host", form, 4)


@needs_compiler
@needs_emulator
@pytest.mark.parametrize("core", CORES)
def test_frames_on_an_emulated_core(made, tmp_path, core):
    check(made("detector"), tmp_path, core, "yuyv", 3)


@needs_compiler
@needs_tflm
@pytest.mark.parametrize("name", ["softmax", "detector"])
def test_frames_on_tflm(tmp_path, name):
    contents, *_ = contents_of(name, resize="pad", plan=None, arena_bytes=12000)
    (tmp_path / "export").mkdir()
    library = write(tmp_path / "export", contents)
    check((contents, library), tmp_path, "cortex-m7", "rgb565-le", 3)


@pytest.mark.long
@needs_compiler
@needs_emulator
@pytest.mark.parametrize(("name", "form"), CASES)
@pytest.mark.parametrize("core", CORES)
def test_two_hundred_frames_on_an_emulated_core(made, tmp_path, core, name, form):
    check(made(name), tmp_path, core, form, 200)
