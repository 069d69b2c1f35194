"""The sdist holds the repository, and the wheel built from it works elsewhere: firmware and configs travel with it."""

import email
import subprocess
import sys
import tarfile
import zipfile

import pytest
from conftest import REPOSITORY


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the sdist, and the wheel that is built from it and not from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    python("-m", "build", "--no-isolation", "--outdir", folder, REPOSITORY, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


def python(*words, **options):
    return subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True, text=True, **options)


def test_the_sdist_holds_every_file_of_the_repository(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.check_output(["git", "ls-files"], cwd=REPOSITORY, text=True).splitlines()
    assert {name for name in tracked if not name.startswith(".ci/")} <= held


def test_twine_takes_both_and_their_long_description_renders(built):
    pytest.importorskip("twine", reason="twine is not installed: pip install 'tinytrain-mcu[dev]'")
    checked = python("-m", "twine", "check", "--strict", *built.iterdir(), cwd=built).stdout
    assert checked.count("PASSED") == 2


def test_the_metadata_names_distribution_command_and_extras(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name.rpartition("/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = email.message_from_bytes(archive.read(names["METADATA"]))
        commands = archive.read(names["entry_points.txt"]).decode()
    assert metadata["Name"] == "tinytrain-mcu"
    assert metadata["Requires-Python"] == "<3.14,>=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("Provides-Extra") == ["cpu", "dev", "docs"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "tinytrain = tinytrain.cli.main:main" in commands


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
