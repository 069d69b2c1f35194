"""What tests/faults.py would plant still fits the tree, and stands in docs/faults.md."""

import faults
import pytest

PLANTED = faults.read()


def test_there_are_faults_of_all_parts_and_each_has_a_name_of_its_own():
    names = [fault.name for fault in PLANTED]
    assert len(set(names)) == len(names) >= 45
    packages = {"train", "methods", "nn", "data", "quantize", "deploy", "experiments", "config"}
    assert packages <= {fault.target(faults.REPOSITORY).parts[-2] for fault in PLANTED} | {"config"}


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted(fault):
    """If not: the code has changed, and `old` of the fault in tests/planted has to follow it."""
    assert fault.old in fault.target(faults.REPOSITORY).read_text("utf-8")
    assert (faults.REPOSITORY / fault.tests).exists()


def test_the_table_of_the_docs_has_all_of_them():
    assert list(faults.rows_of(faults.PAGE.read_text("utf-8"))) == [fault.name for fault in PLANTED]


def test_a_text_that_stands_twice_or_not_at_all_is_refused(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\nx = 1\n")
    for old in ("x = 1", "y = 1"):
        with pytest.raises(ValueError, match=r"stands [02] times in a\.py, expected once"):
            faults.Fault("f", "a.py", old, "x = 2", "tests").target(tmp_path)
    with pytest.raises(ValueError, match=r"there is no file b\.py"):
        faults.Fault("f", "b.py", "x", "y", "tests").target(tmp_path)
