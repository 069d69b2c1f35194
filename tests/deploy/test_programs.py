"""Programs that are not built again: the same sources, library, compiler and variables give what is kept."""

import pytest
from firmware_helpers import EMULATED, emit, needs_compiler

from tinytrain import files
from tinytrain.deploy import boards, make, programs

BOARD = boards.load(EMULATED)


@pytest.fixture
def calls(monkeypatch):
    """Each call of make, whose program is the number of the call."""
    found = []

    def build(firmware, board, tflm, folder):
        found.append(board.name)
        program = folder / "built.elf"
        program.write_text(f"program {len(found)}")
        return program

    monkeypatch.setattr(make, "build", build)
    return found


@pytest.fixture
def built(tmp_path, monkeypatch):
    """Returns the text of the program that `programs.build` returns for a folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda folder, board=BOARD, tflm=None: programs.build(folder, board, tflm, tmp_path).read_text()


def test_the_same_is_built_once(tmp_path, calls, built):
    first = emit(tmp_path / "first")
    assert built(first) == built(first) == built(emit(tmp_path / "second")) == "program 1"
    (first / "build").mkdir()
    (first / "build/rest.o").write_text("of `make` by hand")
    assert built(first) == "program 1"


def test_whatever_make_reads_makes_another(tmp_path, calls, built, monkeypatch):
    folder = emit(tmp_path / "firmware")
    assert built(folder) == "program 1"
    assert built(folder, boards.load("mps2_an386")) == "program 2"
    source = folder / "app/main.cc"
    source.write_text(source.read_text() + "\n")
    assert built(folder) == "program 3"
    (folder / "model/model_data.h").rename(folder / "model/other.h")
    assert built(folder) == "program 4"
    monkeypatch.setenv("STACK_BYTES", "8192")
    assert built(folder) == "program 5"
    library = tmp_path / "tflm" / make.TFLM_FILES[0]
    library.parent.mkdir(parents=True)
    library.write_text("a")
    assert built(folder, tflm=tmp_path / "tflm") == "program 6"
    library.write_text("another")
    assert built(folder, tflm=tmp_path / "tflm") == "program 7"
    assert built(folder) == "program 5"


def test_only_the_latest_are_kept_and_none_is_no_error(tmp_path, calls, built, monkeypatch):
    monkeypatch.setattr(programs, "MOST", 2)
    folder = emit(tmp_path / "firmware")
    for size in ("1000", "2000", "3000"):
        monkeypatch.setenv("STACK_BYTES", size)
        built(folder)
    assert len(list((files.cache_folder() / "firmware").iterdir())) == 2
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert built(folder) == "program 4"


@needs_compiler
def test_a_real_program_is_the_same_one(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, (first, second) = emit(tmp_path / "firmware"), [tmp_path / "first", tmp_path / "second"]
    second.mkdir()
    program = programs.build(folder, BOARD, None, first).read_bytes()
    monkeypatch.setattr(make, "run", lambda *_, **__: pytest.fail("it was built again"))
    assert programs.build(folder, BOARD, None, second).read_bytes() == program
