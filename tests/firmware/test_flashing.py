"""`make flash`: the command that each tool gets, what is said where one is missing, the file for UF2 boot loaders."""

import os
import shutil
import struct

import pytest
from firmware_helpers import emit, needs_compiler, run_make

from tinytrain.deploy import boards

U575, PICO2 = "nucleo_u575zi", "raspberry_pi_pico2"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A firmware folder in which both boards are built."""
    folder = emit(tmp_path_factory.mktemp("flashing"))
    for board in (U575, PICO2):
        done = run_make(folder, f"BOARD={board}", "ENGINE=stub", "bin")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Programs that stand for the flash tools; returns the file to which each writes how it was called."""
    programs, called = tmp_path / "programs", tmp_path / "called"
    programs.mkdir()
    for name in ("openocd", "st-flash", "probe-rs", "picotool"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {called}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return called


def flash(folder, board, *arguments):
    return run_make(folder, "flash", f"BOARD={board}", "ENGINE=stub", *arguments)


# The options are those of the tools' own help and manuals.
COMMANDS = [
    (
        U575,
        (),
        ["openocd -f interface/stlink-dap.cfg -f target/stm32u5x.cfg -c program {elf} verify reset exit"],
    ),
    (U575, ("FLASH=st-flash",), ["st-flash --reset write {bin} 0x08000000"]),
    (
        U575,
        ("FLASH=probe-rs",),
        ["probe-rs download --chip STM32U575ZITxQ {elf}", "probe-rs reset --chip STM32U575ZITxQ"],
    ),
    (PICO2, (), ["picotool load -v -x {elf}"]),
    (PICO2, ("FLASH=probe-rs",), ["probe-rs download --chip RP235x {elf}", "probe-rs reset --chip RP235x"]),
]


@needs_compiler
@pytest.mark.parametrize(("board", "arguments", "commands"), COMMANDS)
def test_a_tool_gets_the_program_and_what_the_header_says(built, tools, board, arguments, commands):
    done = flash(built, board, *arguments)
    assert done.returncode == 0, done.stderr
    out = f"build/{board}-stub/firmware"
    expected = [command.format(elf=f"{out}.elf", bin=f"{out}.bin") for command in commands]
    assert tools.read_text().splitlines() == expected
    assert all((built / f"{out}.{kind}").is_file() for kind in ("elf", "bin"))


@needs_compiler
def test_a_tool_that_fails_fails_make(built, tools):
    (tools.parent / "programs" / "picotool").write_text("#!/bin/sh\nexit 3\n")
    failed = flash(built, PICO2)
    assert failed.returncode != 0
    sentence = "picotool could not flash raspberry_pi_pico2, see its lines above: is the board connected by USB, and"
    assert sentence in failed.stderr


@needs_compiler
@pytest.mark.parametrize("board", [name for name in boards.names() if boards.load(name).flash_tools])
@pytest.mark.parametrize(
    ("tool", "remedy"),
    [
        ("openocd", "apt install openocd"),
        ("st-flash", "apt install stlink-tools"),
        ("probe-rs", "https://probe.rs/"),
        ("picotool", "https://github.com/raspberrypi/picotool"),
    ],
)
def test_a_missing_tool_is_named_with_how_to_get_it(built, tmp_path, monkeypatch, board, tool, remedy):
    """Or the tools that the board has, if this is none of them: one line before anything is built."""
    for name in ("make", "sh", "sed", "grep", "awk"):
        (tmp_path / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    done = flash(built, board, f"FLASH={tool}")
    known = boards.load(board).flash_tools
    (line,) = done.stderr.strip().splitlines()
    if tool in known:
        assert f"{tool} is not installed: " in line
        assert remedy in line
        assert f"set FLASH to another of: {' '.join(other for other in known if other != tool)}" in line
    else:
        assert f"FLASH is '{tool}'; {board} is flashed by: {' '.join(known)}" in line


@needs_compiler
def test_a_uf2_file_goes_to_the_drive_of_the_boot_loader(built, tmp_path):
    drive = tmp_path / "RP2350"
    drive.mkdir()
    missing = flash(built, PICO2, "FLASH=uf2", "USER=nobody")
    assert "no drive RP2350 is mounted: hold BOOTSEL while you plug the board in" in missing.stderr
    wrong = flash(built, PICO2, "FLASH=uf2", f"UF2_DRIVE={drive}")
    assert f"UF2_DRIVE is '{drive}', which has no INFO_UF2.TXT" in wrong.stderr
    assert not list(drive.iterdir())
    (drive / "INFO_UF2.TXT").touch()
    done = flash(built, PICO2, "FLASH=uf2", f"UF2_DRIVE={drive}")
    assert done.returncode == 0, done.stderr
    assert (drive / "firmware.uf2").read_bytes() == (built / f"build/{PICO2}-stub/firmware.uf2").read_bytes()


@needs_compiler
def test_a_uf2_file_holds_the_program_as_the_format_says(built):
    """The fields of https://github.com/microsoft/uf2, File format, and the family of its utils/uf2families.json."""
    assert run_make(built, "uf2", f"BOARD={PICO2}", "ENGINE=stub").returncode == 0
    folder = built / f"build/{PICO2}-stub"
    program, file = (folder / "firmware.bin").read_bytes(), (folder / "firmware.uf2").read_bytes()
    assert len(file) % 512 == 0
    flashed = b""
    for number in range(count := len(file) // 512):
        block = file[512 * number : 512 * (number + 1)]
        first, second, flags, address, payload_bytes, index, blocks, family = struct.unpack_from("<8I", block)
        assert (first, second, block[-4:]) == (0x0A324655, 0x9E5D5157, bytes.fromhex("306fb10a"))
        assert (flags, family) == (0x2000, 0xE48BFF59)  # a family: RP2350, Secure Arm image
        assert (index, blocks, address, payload_bytes) == (number, count, 0x10000000 + 256 * number, 256)
        flashed += block[32 : 32 + payload_bytes]
        assert block[32 + payload_bytes : -4] == bytes(476 - 256)
    assert flashed == program.ljust(len(flashed), b"\xff")
    assert 0 <= len(flashed) - len(program) < 256


def test_other_boards_take_no_uf2_file(tmp_path):
    folder = emit(tmp_path)
    assert "nucleo_u575zi does not take UF2 files" in run_make(folder, "uf2", f"BOARD={U575}", "ENGINE=stub").stderr
    assert "nothing to flash" in run_make(folder, "uf2", "BOARD=mps2_an505", "ENGINE=stub").stderr
