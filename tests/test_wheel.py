"""A wheel built from the repository works outside the checkout: firmware, configs and templates travel with it."""

import subprocess
import sys
import zipfile

import pytest
from conftest import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPOSITORY, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


def python(*words, **options):
    return subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True, text=True, **options)


def test_the_wheel_holds_the_package_and_the_files_that_it_reads(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    tracked = subprocess.check_output(["git", "ls-files", "tinytrain"], cwd=REPOSITORY, text=True).splitlines()
    assert set(tracked) <= held
    data = subprocess.check_output(["git", "ls-files", "firmware", "configs"], cwd=REPOSITORY, text=True).splitlines()
    assert {f"tinytrain/_data/{file}" for file in data} <= held


@pytest.mark.long
def test_a_wheel_exports_outside_the_checkout(wheel, trained_run, tmp_path):
    python("-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "site", wheel, cwd=tmp_path)
    # -P keeps the current folder off the path; PYTHONPATH comes before the editable installation
    code = "import sys, tinytrain; print(tinytrain.__file__); from tinytrain.cli.main import main; main(sys.argv[1:])"
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    words = ["export", trained_run.folder, "--mcu", "stm32f746", "--out", "exported", "qat.epochs=0"]
    done = python("-P", "-c", code, *words, env=environment, cwd=tmp_path)
    assert done.stdout.startswith(str(tmp_path / "site"))
    assert (tmp_path / "exported/firmware/Makefile").read_text() == (REPOSITORY / "firmware/Makefile").read_text()
    python("-P", "-c", code, "report", trained_run.folder, "--out", "page.html", env=environment, cwd=tmp_path)
    assert "</html>" in (tmp_path / "page.html").read_text()
    listed = python("-P", "-c", code, "list", "configs", env=environment, cwd=tmp_path)
    assert "digits" in listed.stdout
