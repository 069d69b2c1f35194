"""The firmware, built for every board and run in QEMU: with a stand-in engine, and with TFLM where TFLM_DIR is set."""

import os
import re
import subprocess

import numpy as np
import pytest
from conftest import REPOSITORY, needs_tool
from int8_models import FILTERS, INPUT_SHAPE, conv_model, converted_model

from tinytrain.deploy import boards, firmware, flatbuffer
from tinytrain.errors import DoesNotFit, TinytrainError, UserError

EMULATED = "mps2_an500"
INPUT = np.random.default_rng(1).integers(-128, 128, INPUT_SHAPE).astype(np.int8)
needs_compiler = needs_tool("arm-none-eabi-gcc")
needs_emulator = pytest.mark.skipif(bool(firmware.lacking(emulator=True, tflm=False)), reason="make firmware-tools")
needs_tflm = pytest.mark.skipif(bool(firmware.lacking(emulator=True)), reason=firmware.lacking(emulator=True))


def stand_in_output(values, count):
    """Returns what engine_stand_in.cc computes: FNV-1a of the input, then a linear congruential generator."""
    state, output = 2166136261, []
    for value in values.astype(np.uint8).ravel().tolist():
        state = (state ^ value) * 16777619 % 2**32
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        output.append(state >> 24)
    return np.array(output, np.uint8).view(np.int8)


def emit(folder, **changes):
    arguments = {
        "model": conv_model(),
        "name": "conv",
        "arena_bytes": 8192,
        "labels": ["cat", "dog"],
        "golden_input": INPUT,
        "golden_output": stand_in_output(INPUT, 16 * FILTERS),
    }
    return firmware.emit(folder, boards.load("stm32f746"), **arguments | changes)


def make(folder, *words):
    command = ["make", "-s", "-C", str(folder), *words]
    variables = {key: value for key, value in os.environ.items() if key not in ("TFLM_DIR", "MAKEFLAGS")}
    done = subprocess.run(command, capture_output=True, env=variables, check=False)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()  # text=True would turn \r\n into \n
    return done


def emulate(folder, *words):
    return make(folder, "emulate", f"BOARD={EMULATED}", "ENGINE=stand_in", *words)


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


def test_tflm_is_named_in_one_file_only():
    for path in sorted((REPOSITORY / "firmware").glob("**/*.[ch]*")):
        if path.name != "engine_tflm.cc" and not {"build", "model"} & set(path.parts):
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


# Running in the emulator, with the stand-in engine


@needs_emulator
def test_the_firmware_runs_and_says_so(tmp_path):
    done = emulate(emit(tmp_path), "INFERENCES=5")
    assert done.returncode == 0, done.stdout + done.stderr
    printed = firmware.parse_output(done.stdout)
    assert printed["board"] == EMULATED
    assert printed["clock"] == "25000000 Hz"
    assert printed["engine"] == "stand_in"
    assert printed["model"] == f"conv ({len(conv_model())} bytes)"
    assert (printed["arena_used_bytes"], printed["arena_bytes"]) == (48 + 80, 8192)
    assert printed["golden"] == "equal (80 bytes)"
    assert printed["golden_equal"] is True
    assert printed["inference"]["unit"] == "instructions"
    assert printed["inference"]["count"] == 5
    # 48 turns of the hash and 80 of the generator, a few instructions each; the same in every run
    assert (
        128 * 3
        < printed["inference"]["min"]
        <= printed["inference"]["median"]
        <= printed["inference"]["max"]
        < 128 * 12
    )
    assert printed["inference"]["max"] - printed["inference"]["min"] <= 1  # a tick is 3.2 instructions
    assert 40 < printed["stack_used_bytes"] < printed["stack_bytes"] == firmware.STACK_BYTES
    assert printed["done"]
    assert printed["failed"] == ""
    assert "\n" not in done.stdout.replace("\r\n", "")  # terminals want both


@needs_emulator
def test_a_different_golden_output_is_counted_and_fails(tmp_path):
    golden = stand_in_output(INPUT, 16 * FILTERS)
    golden[[7, 31]] += 1
    folder = emit(tmp_path, golden_output=golden)
    done = emulate(folder)
    assert done.returncode != 0
    assert "golden: different (2 of 80 bytes, first at 7)" in done.stdout
    assert "failed: the output is not the golden output" in done.stdout
    printed = firmware.emulate(folder, boards.load(EMULATED), None)
    assert (printed["golden_equal"], printed["different_bytes"], printed["done"]) == (False, 2, False)


@needs_emulator
def test_another_golden_input_is_seen(tmp_path):
    other = INPUT.copy()
    other[0, 0, 0, 0] ^= 1
    assert emulate(emit(tmp_path, golden_input=other)).returncode != 0


@needs_emulator
def test_too_small_an_arena_fails_with_a_line(tmp_path):
    done = emulate(emit(tmp_path, arena_bytes=112))
    assert done.returncode != 0
    assert "failed: init: the arena is too small (arena: 112 bytes)" in done.stdout
    assert "golden" not in done.stdout
    assert emulate(emit(tmp_path / "exact", arena_bytes=128)).returncode == 0


@needs_emulator
def test_a_model_of_another_size_than_its_description_fails(tmp_path):
    folder = emit(tmp_path)
    engine = folder / "engine_stand_in.cc"
    engine.write_text(engine.read_text().replace("{ return kOutputBytes; }", "{ return kOutputBytes + 1; }"))
    done = emulate(folder)
    assert done.returncode != 0
    assert "does not describe this model" in done.stdout


def crash(folder, statement):
    """Runs a stand-in engine that executes `statement` in its first inference."""
    engine = (folder / "engine_stand_in.cc").read_text()
    body = engine.replace("  uint32_t hash = 2166136261u;", f"  {statement}\n  uint32_t hash = 2166136261u;")
    assert body != engine
    declarations = 'extern "C" [[noreturn]] void abort(void);\n' + OVERFLOW
    (folder / "engine_crash.cc").write_text(declarations + body)
    return make(folder, "emulate", f"BOARD={EMULATED}", "ENGINE=crash", "TIMEOUT_S=30")


OVERFLOW = """
__attribute__((noinline)) static unsigned Deep(volatile unsigned depth) {
  volatile unsigned room[64] = {};
  room[depth % 64] = depth;
  if (depth == 0) return room[0];
  return Deep(depth - 1) + room[depth % 64];
}
static volatile unsigned depth_wanted = 4;
unsigned UseDeep() { return Deep(depth_wanted); }
"""


@needs_emulator
def test_a_fault_prints_its_place_and_cause(tmp_path):
    folder = emit(tmp_path)
    done = crash(folder, '__asm volatile("udf #0");')
    assert done.returncode != 0
    place = re.search(r"failed: fault at 0x([0-9a-f]{8}), lr 0x[0-9a-f]{8}, CFSR 0x00010000", done.stdout)
    assert place, done.stdout  # CFSR: undefined instruction (ARMv7-M B3.2.15)
    elf = folder / "build" / f"{EMULATED}-crash" / "firmware.elf"
    command = ["arm-none-eabi-addr2line", "-f", "-e", elf, place[1]]
    assert "engine_invoke" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@needs_emulator
def test_a_stack_overflow_is_no_silent_corruption(tmp_path):
    done = crash(emit(tmp_path), "depth_wanted = 1000; UseDeep();")
    assert done.returncode != 0
    assert "failed: fault, stack overflow" in done.stdout


@needs_emulator
def test_the_deepest_stack_is_reported(tmp_path):
    folder = emit(tmp_path)
    shallow = firmware.parse_output(crash(folder, "depth_wanted = 1; UseDeep();").stdout)["stack_used_bytes"]
    deep = firmware.parse_output(crash(folder, "depth_wanted = 9; UseDeep();").stdout)["stack_used_bytes"]
    assert 8 * 256 <= deep - shallow <= 8 * (256 + 32)


@needs_emulator
def test_abort_is_a_line_and_a_status(tmp_path):
    done = crash(emit(tmp_path), "abort();")
    assert done.returncode != 0
    assert "failed: abort" in done.stdout


@needs_emulator
def test_static_objects_are_constructed_and_data_is_initialized(tmp_path):
    folder = emit(tmp_path)
    check = """
    static volatile unsigned initialized = 0x1234;
    struct Once { Once() { value = initialized + 1; } ~Once() { value = 0; } volatile unsigned value; };
    static Once once;
    static volatile unsigned zero;
    static volatile float half = 0.5f;
    """
    engine = folder / "engine_stand_in.cc"
    text = engine.read_text().replace("namespace {", check + "namespace {", 1)
    engine.write_text(
        text.replace(
            "  used_bytes = ",
            "  if (once.value != 0x1235 || zero != 0 || half * 4 != 2) return false;\n  used_bytes = ",
        )
    )
    done = emulate(folder)
    assert done.returncode == 0, done.stdout


# Reading what the firmware prints


def test_a_boards_lines_are_parsed():
    text = (
        "\r\ntinytrain: firmware\r\nboard: stm32f746g_disco\r\nmodel: digits (239112 bytes)\r\n"
        "arena: 100 of 128 bytes\r\n"
        "golden: equal (10 bytes)\r\ninference: 24012345 cycles (median of 10, min 24012340, max 24012399)\r\n"
        "latency: 111168 us (median of 10, min 111167, max 111169)\r\nstack: 948 of 4096 bytes\r\ndone\r\n"
    )
    printed = firmware.parse_output(text)
    assert printed["model_bytes"] == 239_112
    assert printed["inference"] == {"unit": "cycles", "median": 24012345, "count": 10, "min": 24012340, "max": 24012399}
    assert printed["latency"]["median"] == 111_168
    assert printed["done"]


def test_an_output_that_stops_short_has_failed():
    printed = firmware.parse_output("\r\ntinytrain: firmware\r\nboard: mps2_an500\r\n")
    assert not printed["done"]
    assert printed["failed"] == "the firmware stopped before its last line"


# With TFLM


@pytest.fixture(scope="module")
def real():
    """A converted model, an input and what the tflite_micro interpreter makes of it."""
    from tflite_micro import runtime

    model = converted_model()
    interpreter = runtime.Interpreter.from_bytes(model)
    frame = np.random.default_rng(3).integers(-128, 128, (1, 16, 16, 3)).astype(np.int8)
    interpreter.set_input(frame, 0)
    interpreter.invoke()
    output = interpreter.get_output(0)
    assert len(set(output.ravel().tolist())) > 3  # a constant output would prove nothing
    return {"model": model, "name": "real", "arena_bytes": 32_768, "golden_input": frame, "golden_output": output}


@needs_tflm
def test_the_real_model_gives_the_golden_output(tmp_path, real):
    folder, tflm = emit(tmp_path, **real), firmware.tflm_dir()
    printed = firmware.emulate(folder, boards.load(EMULATED), tflm)
    assert printed["engine"] == "tflm"
    assert printed["golden_equal"], printed["text"]
    assert printed["done"]
    assert printed["operators"] == str(len(flatbuffer.read(real["model"]).operators))
    assert 1_000 < printed["arena_used_bytes"] < 32_768
    assert 100_000 < printed["inference"]["median"] < 10_000_000
    assert printed["stack_used_bytes"] < firmware.STACK_BYTES / 2


@needs_tflm
def test_the_arena_used_is_enough_and_less_fails(tmp_path, real):
    board, tflm = boards.load(EMULATED), firmware.tflm_dir()
    used = firmware.emulate(emit(tmp_path / "a", **real), board, tflm)["arena_used_bytes"]
    exact = emit(tmp_path / "b", **real | {"arena_bytes": (used + 15) // 16 * 16})
    assert firmware.emulate(exact, board, tflm)["golden_equal"]
    short = firmware.emulate(emit(tmp_path / "c", **real | {"arena_bytes": used // 16 * 16 - 64}), board, tflm)
    assert short["failed"].startswith("init: the arena is too small")


@needs_tflm
def test_a_corrupted_golden_output_of_the_real_model_is_different(tmp_path, real):
    golden = real["golden_output"].copy()
    golden[0, 4] ^= 1
    printed = firmware.emulate(
        emit(tmp_path, **real | {"golden_output": golden}), boards.load(EMULATED), firmware.tflm_dir()
    )
    assert printed["different_bytes"] == 1
    assert not printed["done"]


@needs_tflm
def test_an_operator_that_is_not_registered_fails_with_a_line(tmp_path, real):
    folder = emit(tmp_path, **real)
    header = folder / "model" / "model_ops.h"
    header.write_text(re.sub(r"  TF_LITE_ENSURE_STATUS\(resolver->AddMean.*\n", "", header.read_text()))
    printed = firmware.emulate(folder, boards.load(EMULATED), firmware.tflm_dir())
    assert printed["failed"].startswith("init: ")


@needs_tflm
def test_the_estimate_is_close_to_the_link(tmp_path, real):
    board = boards.load("stm32f746")
    linked = firmware.link(emit(tmp_path, **real), board, firmware.tflm_dir())
    estimated = firmware.estimate(flatbuffer.read(real["model"]), len(real["model"]), real["arena_bytes"])
    assert not estimated.measured
    assert estimated.model_bytes == linked.model_bytes
    assert abs(estimated.ram_bytes - linked.ram_bytes) < 1_024
    # The table is for a library with error texts; one without is smaller.
    assert 0.95 * linked.flash_bytes < estimated.flash_bytes < 1.6 * linked.flash_bytes


@needs_tflm
def test_a_library_that_lacks_its_headers_fails_in_one_message(tmp_path):
    with pytest.raises(TinytrainError, match="TFLM_DIR is"):
        firmware.link(emit(tmp_path), boards.load("stm32f746"), tmp_path)
