"""The firmware folder: what is in it, that it builds for every board, what make says when something is missing."""

import re
import subprocess

import numpy as np
import pytest
from conftest import REPOSITORY
from firmware_helpers import EMULATED, emit, make, needs_compiler
from int8_models import conv_model

from tinytrain.deploy import boards, firmware
from tinytrain.errors import DoesNotFit, UserError

# The emitted folder


def test_the_folder_holds_all_that_the_build_needs(tmp_path):
    folder = emit(tmp_path / "export")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    sources = {"Makefile", "README.md", "link.ld.S", "startup.c", "main.cc", "engine_tflm.cc", "boards/mps2_an500.h"}
    assert sources <= names
    assert {"model/model_data.h", "model/model_data.cc", "model/model_ops.h", "model/board.mk"} <= names
    assert not any(name.startswith("build") for name in names)


def test_an_existing_folder_is_not_overwritten(tmp_path):
    folder = emit(tmp_path)
    (folder / "model" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        emit(tmp_path)
    assert (folder / "model" / "mine.txt").read_text() == "mine"


def test_a_failed_export_leaves_nothing(tmp_path):
    with pytest.raises(UserError):
        emit(tmp_path, model=b"no model at all")
    assert list(tmp_path.iterdir()) == []


# Sources


def test_tflm_is_seen_by_the_files_named_after_it_only():
    for path in sorted((REPOSITORY / "firmware").glob("**/*.[ch]*")):
        if not path.stem.endswith("_tflm") and not {"build", "model"} & set(path.parts):
            assert not re.search(r"tflite::|#include.*tensorflow|TfLite|HAL_|stm32f7xx", path.read_text()), path


# Building


@needs_compiler
@pytest.mark.parametrize("name", boards.names())
def test_every_board_compiles_and_starts_with_its_vectors(tmp_path, name):
    board, folder = boards.load(name), emit(tmp_path)
    sizes = firmware.link(folder, board, None, tmp_path / "build")
    image = tmp_path / "image.bin"
    elf = tmp_path / "build" / f"{name}-stand_in" / "firmware.elf"
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", elf, image], check=True)
    stack_top, reset = np.frombuffer(image.read_bytes()[:8], "<u4")
    ram, flash = board.values["RAM_ORIGIN"], board.values["FLASH_ORIGIN"]
    assert stack_top == ram + sizes.stack_bytes  # the stack is the first thing in RAM
    assert stack_top % 8 == 0
    assert reset % 2 == 1  # Thumb
    assert flash < reset < flash + image.stat().st_size
    handlers = np.frombuffer(image.read_bytes(), "<u4", count=16 + int(board.values["IRQS"]))[2:]
    assert len(set(handlers.tolist())) == 1  # every exception and interrupt is handled
    assert image.stat().st_size >= len(conv_model())


@needs_compiler
def test_the_sizes_add_up(tmp_path):
    folder, board = emit(tmp_path, arena_bytes=10_000), boards.load("stm32f746")
    sizes = firmware.link(folder, board, None)
    assert sizes.measured
    assert sizes.model_bytes == len(conv_model())
    assert sizes.arena_bytes == 10_000
    assert sizes.stack_bytes == firmware.STACK_BYTES
    assert 1_000 < sizes.firmware_bytes < 10_000
    assert sizes.flash_bytes == sizes.model_bytes + sizes.runtime_bytes + sizes.firmware_bytes
    assert sizes.ram_bytes == 10_000 + sizes.stack_bytes + sizes.other_ram_bytes
    larger = firmware.link(emit(tmp_path / "b", arena_bytes=11_008), board, None)
    assert larger.ram_bytes - sizes.ram_bytes == 1_008


@needs_compiler
@pytest.mark.parametrize(
    ("changes", "region"),
    [({"arena_bytes": 324 * 1024}, "RAM"), ({"model": conv_model(padding_bytes=1024 * 1024)}, "FLASH")],
)
def test_an_image_over_the_boards_memory_does_not_link(tmp_path, changes, region):
    with pytest.raises(DoesNotFit, match=rf"stm32f746g_disco: {region} has \d+ bytes, \d+ too few"):
        firmware.link(emit(tmp_path, **changes), boards.load("stm32f746"), None)


@needs_compiler
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("BOARD_PLL_N 432", "BOARD_PLL_N 400", "BOARD_CLOCK_HZ is not HSE"),
        ("BOARD_PLL_M 25", "BOARD_PLL_M 5", "PLL input"),
        ("BOARD_APB1_DIVIDER 4", "BOARD_APB1_DIVIDER 2", "APB1: at most"),
        ("BOARD_APB2_DIVIDER 2", "BOARD_APB2_DIVIDER 1", "APB2: at most"),
        ("BOARD_FLASH_WAIT_STATES 7", "BOARD_FLASH_WAIT_STATES 6", "wait state"),
    ],
)
def test_a_wrong_clock_does_not_compile(tmp_path, old, new, message):
    folder = emit(tmp_path)
    header = folder / "boards" / "stm32f746g_disco.h"
    assert old in header.read_text()
    header.write_text(header.read_text().replace(old, new))
    done = make(folder, "ENGINE=stand_in")
    assert done.returncode != 0
    assert message in done.stderr


@needs_compiler
def test_a_changed_header_builds_anew(tmp_path):
    folder = emit(tmp_path)
    assert make(folder, "ENGINE=stand_in").returncode == 0
    target = folder / "build" / "stm32f746g_disco-stand_in" / "firmware.elf"
    before = target.read_bytes()
    data = folder / "model" / "model_data.h"
    data.write_text(data.read_text().replace("kArenaBytes = 8192", "kArenaBytes = 9216"))
    assert make(folder, "ENGINE=stand_in").returncode == 0
    assert target.read_bytes() != before


# What make says when something is missing


@needs_compiler
@pytest.mark.parametrize(
    ("words", "messages"),
    [
        ((), ["TFLM_DIR is not set; set it to", "https://github.com/tensorflow/tflite-micro"]),
        (("TFLM_DIR=/nowhere",), ["TFLM_DIR is '/nowhere'", "libtensorflow-microlite.a", "https://"]),
        (("BOARD=stm32", "ENGINE=stand_in"), ["BOARD is 'stm32'", *boards.names()]),
        (("ENGINE=other",), ["ENGINE is 'other'", "stand_in tflm"]),
        (("emulate", "ENGINE=stand_in"), ["stm32f746g_disco has no emulator", EMULATED]),
        (("flash", f"BOARD={EMULATED}", "ENGINE=stand_in"), ["nothing to flash"]),
    ],
)
def test_make_says_in_one_line_what_to_set(tmp_path, words, messages):
    done = make(emit(tmp_path), *words)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(message in done.stderr for message in messages)


def test_make_without_a_model_points_to_the_export(tmp_path):
    folder = emit(tmp_path)
    (folder / "model" / "model_data.cc").unlink()
    done = make(folder, "ENGINE=stand_in")
    assert "`tinytrain export`" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_and_clean_need_nothing(tmp_path):
    folder = emit(tmp_path)
    assert "stm32f746g_disco" in make(folder, "help").stdout
    assert make(folder, "clean").returncode == 0


@needs_compiler
def test_a_double_precision_library_is_refused(tmp_path):
    folder, library = emit(tmp_path / "export"), tmp_path / "tflm"
    (library / "lib").mkdir(parents=True)
    (library / "include" / "tensorflow" / "lite" / "micro").mkdir(parents=True)
    (library / "include" / "tensorflow" / "lite" / "micro" / "micro_interpreter.h").touch()
    (tmp_path / "double.c").write_text("double f(double x) { return x * x; }")
    flags = ["-mcpu=cortex-m7", "-mfloat-abi=hard", "-mthumb", "-c", "double.c", "-o", "double.o"]
    goal = "build/stm32f746g_disco-tflm/checked"
    for fpu, refused in [("fpv5-d16", True), ("fpv5-sp-d16", False)]:
        subprocess.run(["arm-none-eabi-gcc", f"-mfpu={fpu}", *flags], cwd=tmp_path, check=True)
        archive = library / "lib" / "libtensorflow-microlite.a"
        archive.unlink(missing_ok=True)
        subprocess.run(["arm-none-eabi-ar", "rc", archive, tmp_path / "double.o"], check=True)
        done = make(folder, goal, f"TFLM_DIR={library}")
        assert ("double-precision FPU" in done.stderr) == refused
        assert (done.returncode != 0) == refused
