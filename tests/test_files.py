"""Files are written whole or not at all, whoever reads them meanwhile."""

import pytest

from tinytrain import files
from tinytrain.errors import TinytrainError


def test_who_reads_a_file_that_is_written_anew_reads_the_old_one_to_its_end(tmp_path):
    path = tmp_path / "table.csv"
    files.write_text(path, "old " * 10)
    with path.open("rb", buffering=0) as reader:
        assert reader.read(4) == b"old "
        files.write_text(path, "new")
        assert reader.read() == b"old " * 9
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "run.json"
    files.write_json(path, {"loss": 1.5})
    before = path.read_bytes()

    def half(file):
        file.write(b'{"loss"')
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        files.write_atomically(path, half)
    with pytest.raises(TinytrainError, match="not finite"):
        files.write_json(path, {"loss": float("nan")})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]
