"""The firmware folder: what is in it, that it builds for every board, what make says when something is missing."""

import contextlib
import dataclasses
import re
import struct
import subprocess

import numpy as np
import pytest
from conftest import REPOSITORY
from firmware_helpers import EMULATED, INPUT, emit, needs_compiler, run_make
from int8_models import FILTERS, conv_model

from tinytrain.deploy import boards, firmware, fit_check, make
from tinytrain.errors import DoesNotFit, UserError
from tinytrain.tflite.model import Model

# The emitted folder


def test_the_folder_holds_all_that_the_build_needs(tmp_path):
    folder = emit(tmp_path / "export")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    sources = {"Makefile", "README.md", "PROTOCOL.md", "app/main.cc", "app/engine_tflm.cc", "platform/Makefile"}
    sources |= {"platform/link.ld.S", "platform/startup.c", "platform/boards/mps2_an500.h"}
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
        emit(tmp_path, model=conv_model(custom="Erf"))
    assert list(tmp_path.iterdir()) == []


# Sources


def test_tflm_is_seen_by_the_files_named_after_it_only():
    for path in sorted((REPOSITORY / "firmware").glob("**/*.[ch]*")):
        if not path.stem.endswith("_tflm") and not {"build", "model"} & set(path.parts):
            assert not re.search(r"tflite::|#include.*tensorflow|TfLite|HAL_|stm32f7xx", path.read_text()), path


def test_the_platform_includes_nothing_of_the_application():
    platform = REPOSITORY / "firmware" / "platform"
    for path in platform.rglob("*.[chS]"):
        for name in re.findall(r'#include "(\S+)"', path.read_text()):
            assert (platform / name).is_file(), f"{path} includes {name}"


# Building


@needs_compiler
@pytest.mark.parametrize("name", boards.names())
def test_every_board_compiles_and_starts_with_its_vectors(tmp_path, name):
    board, folder = boards.load(name), emit(tmp_path)
    sizes = firmware.link(folder, board, None, tmp_path / "build")
    image = tmp_path / "image.bin"
    elf = tmp_path / "build" / f"{name}-stub" / "firmware.elf"
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", elf, image], check=True)
    irq, symbols = int(board.values["UART_IRQ"]), addresses(elf)
    stack_top, *handlers = np.frombuffer(image.read_bytes(), "<u4", count=16 + int(board.values["IRQS"])).tolist()
    ram, flash = board.values.get("FAST_RAM_ORIGIN", board.values["RAM_ORIGIN"]), board.values["FLASH_ORIGIN"]
    assert stack_top == ram + sizes.stack_bytes  # the stack is the first thing in RAM
    assert stack_top % 8 == 0
    wanted = ["reset", "nmi", *["fault"] * (len(handlers) - 2)]
    wanted[15 + irq] = "board_serial_interrupt"
    assert handlers == [symbols[handler] | 1 for handler in wanted]  # Thumb
    assert all(flash < handler < flash + image.stat().st_size for handler in handlers)
    assert image.stat().st_size >= len(conv_model())


def addresses(elf):
    """Returns {symbol: address} of a linked firmware."""
    lines = subprocess.run(["arm-none-eabi-nm", elf], capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: int(address, 16) for address, _, name in (line.split() for line in lines if len(line.split()) == 3)}


H743_DTCM_BYTES = 128 * 1024 - firmware.STACK_BYTES - 64  # without the stack and what the linker script sets aside


@needs_compiler
@pytest.mark.parametrize(
    ("name", "arena_bytes", "first", "last"),
    [
        ("stm32f746g_disco", 8192, 0x20000000, 0x20010000),  # all of it in DTCM
        ("nucleo_f746zg", 60_000, 0x20000000, 0x20010000),
        ("nucleo_f746zg", 200_000, 0x20000000, 0x20050000),  # its beginning
        ("nucleo_h743zi", 8192, 0x20000000, 0x20020000),
        ("nucleo_h743zi", H743_DTCM_BYTES, 0x20000000, 0x20020000),
        ("nucleo_h743zi", H743_DTCM_BYTES + 16, 0x24000000, 0x24080000),
        ("nucleo_h743zi", 500 * 1024, 0x24000000, 0x24080000),
        ("nucleo_l4r5zi", 600_000, 0x20000000, 0x200A0000),
        ("nucleo_u575zi", 700_000, 0x20000000, 0x200C0000),
        ("raspberry_pi_pico2", 500_000, 0x20000000, 0x20082000),
    ],
)
def test_the_arena_is_in_the_fastest_ram_that_holds_it(tmp_path, name, arena_bytes, first, last):
    board, folder = boards.load(name), emit(tmp_path, arena_bytes=arena_bytes)
    sizes = firmware.link(folder, board, None, tmp_path / "build")
    symbols = addresses(tmp_path / "build" / f"{name}-stub" / "firmware.elf")
    fast = board.values.get("FAST_RAM_ORIGIN", board.values["RAM_ORIGIN"])
    assert (symbols["stack_limit"], symbols["stack_top"]) == (fast, fast + firmware.STACK_BYTES)
    assert first <= symbols["arena_start"] < symbols["arena_end"] <= last
    assert symbols["arena_start"] - first <= firmware.STACK_BYTES + 64
    assert symbols["arena_start"] % 16 == 0
    assert symbols["bss_start"] >= board.values["RAM_ORIGIN"]
    assert fit_check.on_board(sizes, board).fits


@needs_compiler
@pytest.mark.parametrize("name", ["stm32f746g_disco", "nucleo_h743zi", "nucleo_f401re"])
def test_the_limit_of_ram_is_what_the_linker_takes(tmp_path, name):
    """All of RAM links, an arena of 16 bytes more neither links nor fits."""
    board = boards.load(name)
    some = firmware.link(emit(tmp_path / "some", arena_bytes=8192), board, None)
    room = board.ram_limit_bytes(some.stack_bytes) - some.ram_bytes
    most = (
        8192 + room
    ) // 16 * 16 - 256  # where no image is kept, .bss keeps an output; alignment and .noinit count nowhere
    whole = firmware.link(emit(tmp_path / "most", arena_bytes=most), board, None)
    assert fit_check.on_board(whole, board).fits
    over = emit(tmp_path / "over", arena_bytes=8192 + room + 16)
    with pytest.raises(DoesNotFit, match="RAM has"):
        firmware.link(over, board, None)
    larger = dataclasses.replace(some, arena_bytes=8192 + room + 16)
    assert not fit_check.on_board(larger, board).fits


@needs_compiler
@pytest.mark.parametrize("name", ["stm32f746g_disco", "nucleo_h743zi"])
def test_where_the_input_is_not_kept_the_estimate_counts_what_takes_its_place(tmp_path, name):
    """The first arena beside which the firmware has no room for the input (kImageFits), and the last that leaves it."""
    board, model = boards.load(name), Model.parse(conv_model())
    most = board.ram_bytes - firmware.STACK_BYTES - 8 * 1024 - INPUT.size
    other_ram_bytes = {}
    for arena_bytes in (most, most + 16):
        linked = firmware.link(emit(tmp_path / str(arena_bytes), arena_bytes=arena_bytes), board, None)
        estimated = firmware.estimate(model, arena_bytes, board)
        other_ram_bytes[arena_bytes] = (linked.other_ram_bytes, estimated.other_ram_bytes)
    kept, not_kept = other_ram_bytes.values()
    assert not_kept[1] - kept[1] == 16 * FILTERS + 16  # and bytes, CRC-32 and ticks of what came
    assert not_kept[0] - kept[0] == pytest.approx(not_kept[1] - kept[1], abs=4)  # alignment


@needs_compiler
def test_the_sizes_add_up(tmp_path):
    folder, board = emit(tmp_path, arena_bytes=10_000), boards.load("stm32f746")
    sizes = firmware.link(folder, board, None)
    assert sizes.measured
    assert sizes.model_bytes == len(conv_model())
    assert sizes.arena_bytes == 10_000
    assert sizes.stack_bytes == firmware.STACK_BYTES
    assert 5_000 < sizes.firmware_bytes < 16_000
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
    refuse(tmp_path, "stm32f746g_disco", old, new, message)


@needs_compiler
@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("nucleo_h743zi", "BOARD_PLL_N 400", "BOARD_PLL_N 480", "PLL output before P"),
        ("nucleo_h743zi", "BOARD_AHB_DIVIDER 2", "BOARD_AHB_DIVIDER 1", "AXI and AHB: at most"),
        ("nucleo_h743zi", "BOARD_APB_DIVIDER 2", "BOARD_APB_DIVIDER 1", "APB: at most"),
        ("nucleo_l4r5zi", "BOARD_PLL_N 60", "BOARD_PLL_N 80", "BOARD_CLOCK_HZ is not MSI"),
        ("nucleo_l4r5zi", "BOARD_FLASH_WAIT_STATES 5", "BOARD_FLASH_WAIT_STATES 4", "wait state"),
        ("nucleo_u575zi", "BOARD_PLL_R 2", "BOARD_PLL_R 1", "BOARD_CLOCK_HZ is not MSIS"),
        ("nucleo_u575zi", "BOARD_FLASH_WAIT_STATES 4", "BOARD_FLASH_WAIT_STATES 3", "wait state"),
        ("raspberry_pi_pico2", "BOARD_PLL_FBDIV 125", "BOARD_PLL_FBDIV 150", "PLL output before its dividers"),
        ("raspberry_pi_pico2", "BOARD_PLL_POSTDIV1 5", "BOARD_PLL_POSTDIV1 4", "BOARD_CLOCK_HZ is not XOSC"),
        ("nucleo_f401re", "BOARD_PLL_P 4", "BOARD_PLL_P 2", "BOARD_CLOCK_HZ is not HSE"),
        ("nucleo_f401re", "BOARD_APB1_DIVIDER 2", "BOARD_APB1_DIVIDER 1", "APB1: at most"),
        ("nucleo_f746zg", "(BOARD_CLOCK_HZ / BOARD_APB1_DIVIDER)", "BOARD_CLOCK_HZ", "BOARD_UART_CLOCK_HZ is not"),
    ],
)
def test_a_wrong_clock_of_another_family_does_not_compile(tmp_path, name, old, new, message):
    refuse(tmp_path, name, old, new, message)


def refuse(tmp_path, name, old, new, message):
    """Changes the header of a board and builds for it, which fails with `message`."""
    folder = emit(tmp_path)
    header = folder / "platform/boards" / f"{name}.h"
    assert old in header.read_text()
    header.write_text(header.read_text().replace(old, new))
    port = f"build/{name}-stub/platform/ports/{boards.load(name).values['PORT']}.o"
    done = run_make(folder, f"BOARD={name}", port, "ENGINE=stub")
    assert done.returncode != 0
    assert message in done.stderr


@needs_compiler
def test_a_changed_header_builds_anew(tmp_path):
    folder = emit(tmp_path)
    assert run_make(folder, "ENGINE=stub").returncode == 0
    target = folder / "build" / "stm32f746g_disco-stub" / "firmware.elf"
    before = target.read_bytes()
    data = folder / "model" / "model_data.h"
    data.write_text(data.read_text().replace("kArenaBytes = 8192", "kArenaBytes = 9216"))
    assert run_make(folder, "ENGINE=stub").returncode == 0
    assert target.read_bytes() != before


# What make says when something is missing


@needs_compiler
@pytest.mark.parametrize(
    ("words", "messages"),
    [
        ((), ["TFLM_DIR is not set; set it to", "https://github.com/tensorflow/tflite-micro"]),
        (("TFLM_DIR=/nowhere",), ["TFLM_DIR is '/nowhere'", "libtensorflow-microlite.a", "https://"]),
        (("BOARD=stm32", "ENGINE=stub"), ["BOARD is 'stm32'", *boards.names()]),
        (("ENGINE=other",), ["ENGINE is 'other'", "compiled stub tflm"]),
        (("emulate", "ENGINE=stub"), ["stm32f746g_disco has no emulator", EMULATED]),
        (("flash", f"BOARD={EMULATED}", "ENGINE=stub"), ["nothing to flash"]),
    ],
)
def test_make_says_in_one_line_what_to_set(tmp_path, words, messages):
    done = run_make(emit(tmp_path), *words)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(message in done.stderr for message in messages)


def test_make_without_a_model_points_to_the_export(tmp_path):
    folder = emit(tmp_path)
    (folder / "model" / "model_data.cc").unlink()
    done = run_make(folder, "ENGINE=stub")
    assert "`tinytrain export`" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@needs_compiler
def test_bin_and_hex_are_what_lies_in_flash(tmp_path):
    """From the vectors on: the initial stack pointer, and the reset handler in Thumb state."""
    folder = emit(tmp_path)
    done = run_make(folder, "bin", "hex", "BOARD=nucleo_f746zg", "ENGINE=stub")
    assert done.returncode == 0, done.stderr
    out = folder / "build/nucleo_f746zg-stub"
    stack, reset = struct.unpack_from("<II", (out / "firmware.bin").read_bytes())
    assert (stack, reset & 0xFF000001) == (0x20000000 + firmware.STACK_BYTES, 0x08000001)
    lines = (out / "firmware.hex").read_text().splitlines()
    assert lines[0] == ":020000040800F2"  # addresses from 0x08000000 on
    first = lines[1]
    assert (first[:9], bytes.fromhex(first[9:25])) == (":10000000", struct.pack("<II", stack, reset))


def test_help_and_clean_need_nothing(tmp_path):
    folder = emit(tmp_path)
    assert "stm32f746g_disco" in run_make(folder, "help").stdout
    assert run_make(folder, "clean").returncode == 0


SOFT = "-mfloat-abi=soft"
HARD = "-mfloat-abi=hard"


@needs_compiler
@pytest.mark.parametrize(
    ("flags", "name", "refused"),
    [
        (["-mcpu=cortex-m7", "-mfpu=fpv5-d16", HARD], "stm32f746g_disco", "a double-precision FPU"),
        (["-mcpu=cortex-m7", "-mfpu=fpv5-d16", HARD], "nucleo_h743zi", ""),
        (["-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", HARD], "stm32f746g_disco", ""),
        (["-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", HARD], "nucleo_h743zi", ""),
        (["-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", HARD], "nucleo_l4r5zi", "an FPv5, the FPU of a cortex-m7"),
        (["-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", HARD], "mps2_an386", "an FPv5, the FPU of a cortex-m7"),
        (["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", HARD], "nucleo_f401re", ""),
        (["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", HARD], "stm32f746g_disco", ""),  # slower than need be, but it runs
        (["-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16", HARD], "stm32f746g_disco", "v8-M.mainline"),
        (["-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16", HARD], "nucleo_u575zi", ""),
        (["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", HARD], "nucleo_u575zi", ""),
        (["-mcpu=cortex-m33+nodsp", SOFT], "mps2_an505", "a core without FPU"),
        (["-mcpu=cortex-m3", SOFT], "nucleo_f401re", "v7"),
        (["-mcpu=cortex-m4", SOFT], "nucleo_f401re", "a core without FPU"),
    ],
)
def test_a_library_for_another_core_or_fpu_is_refused(tmp_path, monkeypatch, flags, name, refused):
    folder, library = emit(tmp_path / "export"), tmp_path / "tflm"
    (library / "lib").mkdir(parents=True)
    (library / "include" / "tensorflow" / "lite" / "micro").mkdir(parents=True)
    (library / "include" / "tensorflow" / "lite" / "micro" / "micro_interpreter.h").touch()
    (tmp_path / "f.c").write_text("float f(float x) { return x * x; }")
    subprocess.run(["arm-none-eabi-gcc", *flags, "-mthumb", "-c", "f.c", "-o", "f.o"], cwd=tmp_path, check=True)
    archive = library / "lib" / "libtensorflow-microlite.a"
    subprocess.run(["arm-none-eabi-ar", "rc", archive, tmp_path / "f.o"], check=True)
    done = run_make(folder, f"build/{name}-tflm/checked", f"BOARD={name}", f"TFLM_DIR={library}")
    board = boards.load(name)
    wanted = f"{archive} is for {refused}; {name} has a {board.core} with {board.values['FPU']}: build it with"
    assert (done.returncode != 0) == bool(refused)
    assert (wanted in done.stderr) == bool(refused), done.stderr
    monkeypatch.setenv("TFLM_DIR", str(library))  # and in Python, without a model, before the work
    sentence = re.escape(f"TFLM_DIR does not suit {name}: {wanted}")
    told = pytest.raises(UserError, match=sentence) if refused else contextlib.nullcontext()
    with told:
        make.check_library(board)
