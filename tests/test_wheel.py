"""A wheel built from the repository works outside the checkout: firmware, configs and templates travel with it."""

import subprocess
import sys

import pytest
from conftest import REPOSITORY

from tinytrain.commands import fit
from tinytrain.config import load as configs


@pytest.mark.slow
def test_a_wheel_exports_outside_the_checkout(tmp_path):
    def python(*words, cwd=tmp_path, **kwargs):
        return subprocess.run(
            [sys.executable, *map(str, words)], cwd=cwd, check=True, capture_output=True, text=True, **kwargs
        )

    python("-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", REPOSITORY)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    python("-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "site", wheel)
    run = fit.fit(configs.load(None, ["optim.epochs=1", "model.width=0.25"]), tmp_path / "run")
    # -P keeps the current folder off the path; PYTHONPATH comes before the editable installation
    code = "import sys, tinytrain; print(tinytrain.__file__); from tinytrain.cli.main import main; main(sys.argv[1:])"
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    words = ["export", run.folder, "--mcu", "stm32f746", "--out", "exported", "qat.epochs=0"]
    done = python("-P", "-c", code, *words, env=environment)
    assert done.stdout.startswith(str(tmp_path / "site"))
    assert (tmp_path / "exported/firmware/Makefile").read_text() == (REPOSITORY / "firmware/Makefile").read_text()
    python("-P", "-c", code, "report", run.folder, env=environment)
    assert "</html>" in (tmp_path / "report.html").read_text()
    listed = python("-P", "-c", code, "list", "configs", env=environment)
    assert "digits" in listed.stdout
