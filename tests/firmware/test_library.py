"""The library of an export on this computer: outputs of the reference, statuses in place of harm, nothing global."""

import ctypes
import math
import shutil
import subprocess
import zlib
from ctypes import byref, c_size_t, c_uint32

import numpy as np
import pytest
from conftest import needs_tool
from firmware_helpers import needs_compiler
from int8_models import conv_model
from library_host import LABELS, MODELS, Box, HostLibrary, Output, Result, build, contents_of, needs_cmake, run, write

from tinytrain import distribution
from tinytrain.deploy import c_library
from tinytrain.errors import UserError

pytestmark = [needs_cmake, needs_tool("gcc")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Returns a function: (contents, images, outputs, HostLibrary) of a model of MODELS, built once."""
    known = {}

    def of(name):
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            contents, images, outputs = contents_of(name)
            known[name] = contents, images, outputs, HostLibrary(write(folder, contents), folder / "build")
        return known[name]

    return of


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_the_reference(made, name):
    _, images, outputs, library = made(name)
    arena = library.arena()
    assert library.init(arena) == "OK"
    for number, image in enumerate(images):
        library.run(arena, image)
        for found, expected in zip(library.outputs(arena, len(outputs)), outputs, strict=True):
            assert (found == expected[number].reshape(-1)).all()


@pytest.mark.parametrize("name", ["softmax", "logits"])
def test_the_result_of_a_classifier_is_the_best_class_with_its_probability(made, name):
    contents, images, outputs, library = made(name)
    arena, scale = library.arena(), contents.model.outputs[0].scale[0]
    zero = contents.model.outputs[0].zero_point[0]
    library.init(arena)
    for image, output in zip(images, outputs[0], strict=True):
        library.run(arena, image)
        status, result = library.result(arena)
        real = (output.reshape(-1).astype(float) - zero) * scale
        shares = np.exp(real - real.max()) / np.exp(real - real.max()).sum() if name == "logits" else real
        assert status == "OK"
        assert result.class_index == output.argmax()
        assert result.label.decode() == (LABELS[output.argmax()] if output.argmax() < len(LABELS) else "")
        assert math.isclose(result.probability, shares.max(), abs_tol=1e-4)
        assert (result.probability * 32768).is_integer()
        assert result.boxes == 0


@pytest.mark.parametrize("name", ["detector", "cells"])
def test_the_boxes_of_a_detector_are_those_of_the_host(made, name):
    contents, images, outputs, library = made(name)
    arena, found = library.arena(), 0
    library.init(arena)
    for number, image in enumerate(images):
        library.run(arena, image)
        expected = contents.decoder.decode([output[number] for output in outputs])
        boxes = library.boxes(arena)
        found += len(boxes)
        assert [(box.x0, box.y0, box.x1, box.y1, box.probability * 32768, box.class_index) for box in boxes] == [
            (*(int(row[corner]) for corner in ("x0", "y0", "x1", "y1")), int(row["score"]), int(row["label"]))
            for row in expected
        ]
        assert [box.label.decode() for box in boxes] == [contents.labels[row["label"]] for row in expected]
    assert found > 0
    assert library.call("box", arena, c_uint32(len(boxes)), byref(Box())) == "NO_SUCH"


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_written_beyond_the_arena_nor_into_one_that_is_refused(made, name):
    _, images, _, library = made(name)
    memory = library.arena(more=64)
    needed = c_size_t()
    for size in (0, 1, library.arena_bytes - 1):
        assert library.call("init", memory, c_size_t(size), byref(needed)) == "ARENA_TOO_SMALL"
        assert needed.value == library.arena_bytes
    for offset in (1, 4, 8, 15):
        assert library.init(memory[offset:], library.arena_bytes) == "ARENA_MISALIGNED"
    assert (memory == 0xA5).all()
    assert library.init(memory, library.arena_bytes) == "OK"
    library.run(memory, images[0])
    library.result(memory)
    assert (memory[library.arena_bytes :] == 0xA5).all()


def test_calls_in_a_wrong_order_have_a_status(made):
    _, images, outputs, library = made("softmax")
    arena = library.arena()
    for name, more in [("invoke", ()), ("result", (byref(Result()),)), ("output", (0, byref(Output())))]:
        assert library.call(name, arena, *more) == "NOT_INITIALIZED"
        assert library.call(name, None, *more) == "NOT_INITIALIZED"
        assert library.call(name, arena[1:], *more) == "NOT_INITIALIZED"
    assert library.values(arena, images[0]) == "NOT_INITIALIZED"
    library.init(arena)
    assert library.result(arena)[0] == "NO_RESULT"
    assert library.invoke(arena) == "NO_INPUT"
    assert library.values(arena, images[0][:3]) == "OK"
    assert library.invoke(arena) == "NO_INPUT"
    assert library.values(arena, images[0][4:], first=images[0][:4].size) == "NOT_NEXT"
    assert library.values(arena, images[0][3:], first=images[0][:3].size) == "OK"
    assert library.values(arena, images[0][:1], first=images[0].size) == "NOT_NEXT"
    assert library.result(arena)[0] == "NO_RESULT"
    assert library.invoke(arena) == "OK"
    assert library.invoke(arena) == "NO_INPUT"
    assert library.call("output", arena, 1, byref(Output())) == "NO_SUCH"
    assert library.call("box", arena, 0, byref(Box())) == "NO_SUCH"
    assert (library.output(arena, 0) == outputs[0][0].reshape(-1)).all()
    library.values(arena, images[1][:1])
    assert library.result(arena)[0] == "NO_RESULT"


@pytest.mark.parametrize("name", ["softmax", "detector"])
def test_two_arenas_are_two_networks(made, name):
    _, images, outputs, library = made(name)
    first, second = library.arena(), library.arena(fill=0)
    library.init(first)
    library.init(second)
    for row in range(len(images[0])):  # in turn, a row of each
        for arena, image in ((first, images[0]), (second, images[1])):
            assert library.values(arena, image[row : row + 1], first=row * image[0].size) == "OK"
    assert library.invoke(first) == library.invoke(second) == "OK"
    for arena, number in ((first, 0), (second, 1)):
        for found, expected in zip(library.outputs(arena, len(outputs)), outputs, strict=True):
            assert (found == expected[number].reshape(-1)).all()


def test_the_self_test_proves_the_outputs(made, tmp_path):
    contents, _, _, library = made("logits")
    arena = library.arena()
    assert library.call("self_test", arena) == "NOT_INITIALIZED"
    library.init(arena)
    assert library.call("self_test", arena) == "OK"
    wrong = contents.golden_outputs[0].copy()
    wrong.flat[-1] ^= 1
    changed, *_ = contents_of("logits", golden_outputs=[wrong])
    other = HostLibrary(write(tmp_path, changed), tmp_path / "build")
    arena = other.arena()
    other.init(arena)
    assert other.call("self_test", arena) == "DIFFERENT"


def test_every_status_has_a_sentence_of_its_own(made):
    library = made("logits")[3]
    library.dll.tinytrain_status_text.restype = ctypes.c_char_p
    texts = [library.dll.tinytrain_status_text(status) for status in range(12)]
    assert len(set(texts)) == 12
    assert library.dll.tinytrain_status_text(12) == library.dll.tinytrain_status_text(-1) == b"unknown status"


MAIN = """#include <stdio.h>
#include <tinytrain.h>
static uint8_t arena[TINYTRAIN_ARENA_BYTES] TINYTRAIN_ALIGNED;
int main(void) {
    const TinytrainAbout about = tinytrain_about();
    printf("%s %08x %d\\n", about.model, about.model_crc, about.arena_bytes == sizeof arena);
    return tinytrain_init(arena, sizeof arena, NULL) || tinytrain_self_test(arena);
}
"""
PROJECT = f"""cmake_minimum_required(VERSION 3.16)
project(product C)
find_package(tinytrain {distribution.version()} REQUIRED)
add_executable(product main.c)
target_link_libraries(product PRIVATE tinytrain::tinytrain)
"""


def test_the_installed_package_is_found(made, tmp_path):
    contents, _, _, library = made("logits")
    run("cmake", "--install", library.folder, "--prefix", tmp_path / "prefix")
    (tmp_path / "main.c").write_text(MAIN)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    build(tmp_path, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}")
    assert run(tmp_path / "build" / "product") == f"logits {zlib.crc32(contents.stored.content):08x} 1\n"


@needs_compiler
def test_for_a_microcontroller_there_are_no_variables(made, tmp_path):
    folder = made("detector")[3].folder.parent / "library"
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={folder / 'cmake/arm-none-eabi.cmake'}"
    build(folder, tmp_path, toolchain, "-DTINYTRAIN_CORE=cortex-m33")
    listed = run("arm-none-eabi-nm", tmp_path / "libtinytrain.a")
    assert " T tinytrain_invoke" in listed
    assert not [line for line in listed.splitlines() if line[9:11].strip() in tuple("bBdDcC")]


@needs_compiler
def test_a_core_without_the_dsp_extension_is_refused_in_one_sentence(made, tmp_path):
    folder = made("logits")[3].folder.parent / "library"
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m3", f"-I{folder / 'src'}", "-c", folder / "src/kernels/conv_1x1.c"]
    done = subprocess.run([*command, "-o", tmp_path / "out.o"], capture_output=True, text=True, check=False)
    (line,) = [line for line in done.stderr.splitlines() if ": error:" in line]
    assert "these kernels need a core with the DSP extension: a Cortex-M4, M7 or M33; export with --engine tflm" in line


def test_only_the_kernels_that_are_called_are_there(made):
    folder = made("logits")[3].folder.parent / "library"
    there = {path.name for path in (folder / "src/kernels").glob("*.c")}
    assert "conv_1x1.c" in there
    assert not there & {"depthwise.c", "softmax.c", "max_pool.c"}
    assert not (folder / "src/app/detect.c").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "library").mkdir()
    with pytest.raises(UserError, match="exists already"):
        write(tmp_path, contents_of("logits")[0])


def test_a_library_says_how_large_its_arena_is(made):
    contents, _, _, library = made("cells")
    assert c_library.arena_bytes(contents) == library.arena_bytes


def test_a_compiler_finds_the_folder_without_cmake(tmp_path):
    """As in an IDE: all sources below src, and the two include folders."""
    contents, *_ = contents_of(conv_model(scale=1 / 64))
    sources = write(tmp_path, contents)
    files = sorted((sources / "src").rglob("*.c"))
    folders = [f"-I{sources / name}" for name in ("include", "src")]
    run(shutil.which("gcc"), *folders, "-o", tmp_path / "example", sources / "example/main.c", *files)
    assert f"{c_library.arena_bytes(contents)} bytes of arena" in run(tmp_path / "example")
