"""docs/own-firmware.md: the empty CMake project of the page, built and run as it stands there."""

import re

import pytest
from conftest import REPOSITORY, needs_tool
from firmware_helpers import needs_compiler
from library_host import contents_of, needs_cmake, run, write

PAGE = (REPOSITORY / "docs/own-firmware.md").read_text("utf-8")


def block_of(name):
    """Returns the code that the page shows of a file."""
    (code,) = re.findall(rf"^`{re.escape(name)}`:\n\n```\w+\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    return code


def commands_with(text):
    """Returns the commands of the page's only block `sh` that holds a text."""
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if text in block]
    return block


@pytest.fixture
def project(tmp_path):
    for name in ("CMakeLists.txt", "main.c"):
        (tmp_path / name).write_text(block_of(name), "utf-8")
    write(tmp_path, contents_of("logits")[0])
    return tmp_path


@needs_cmake
@needs_tool("gcc")
def test_the_empty_project_answers(project):
    run("bash", "-ec", commands_with("./build/product"), cwd=project)
    first, second = run(project / "build/product").splitlines()
    assert first == "self test: all is well"
    assert re.fullmatch(r".*, \d+\.\d %", second)


@needs_cmake
@needs_compiler
def test_the_same_folder_is_compiled_for_a_microcontroller(project):
    run("bash", "-ec", commands_with("build-m7"), cwd=project)
    archive = project / "build-m7/library/libtinytrain.a"
    assert "Tag_CPU_arch: v7E-M" in run("arm-none-eabi-readelf", "-A", archive)


@needs_cmake
@needs_tool("gcc")
def test_it_is_installed(project):
    commands = commands_with("--prefix").replace("EXPORT/library", "library").replace("PREFIX", "prefix")
    run("bash", "-ec", commands, cwd=project)
    assert (project / "prefix/include/tinytrain.h").is_file()
    assert (project / "prefix/lib/cmake/tinytrain/tinytrain-config.cmake").is_file()


def test_every_status_is_on_the_page():
    header = (REPOSITORY / "firmware/library/include/tinytrain.h").read_text("utf-8")
    names = re.findall(r"^    TINYTRAIN_(\w+)(?: = 0)?,\s+//", header, re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if name not in PAGE] == []
