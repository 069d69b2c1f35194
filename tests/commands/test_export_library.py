"""`export --target library`: what the folder holds, what the report says, and what cannot be done with it."""

import json

import pytest
from int8_models import converted_model

from tinytrain.deploy.exported import Exported
from tinytrain.errors import UserError


@pytest.fixture
def exported(command_line, tmp_path):
    (tmp_path / "model.tflite").write_bytes(converted_model())
    return command_line("export", "model.tflite", "--mcu", "stm32f746", "--target", "library", "--out", "out")


def test_the_export_holds_the_library_in_place_of_the_firmware(exported, tmp_path):
    status, out, _ = exported
    assert status == 0
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["target"], report["engine"]["name"]) == ("library", "compiled")
    assert not (tmp_path / "out/firmware").exists()
    assert (tmp_path / "out/library/include/tinytrain.h").is_file()
    (build,) = [line for line in out.splitlines() if line.split()[:1] == ["build"]]
    assert build.removeprefix("  build").strip() == (
        "cmake -S out/library -B build -DCMAKE_TOOLCHAIN_FILE=out/library/cmake/arm-none-eabi.cmake "
        "-DTINYTRAIN_CORE=cortex-m7 && cmake --build build"
    )


def test_bench_says_that_a_library_answers_nobody(exported, tmp_path):
    with pytest.raises(UserError, match="is a library, which bench cannot run: export with --target bare-metal, too"):
        Exported.open(tmp_path / "out")


def test_an_unknown_target_names_the_nearest(command_line, tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"")
    status, _, errors = command_line("export", "model.tflite", "--mcu", "stm32f746", "--target", "baremetal")
    assert status == 2
    assert "unknown target 'baremetal'; did you mean 'bare-metal'?" in errors
