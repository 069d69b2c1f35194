"""Shared helpers: small folders of images, a run of the command line, the tools that some tests need."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinytrain.quiet import import_tensorflow

import_tensorflow()

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Decoded images of a test never meet those of the user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def image_folder(tmp_path):
    """Returns a function that makes class folders of small noise images around a color of their class."""

    def make(root="images", classes=("blue", "green", "red"), count=12, size=(16, 16), mode="RGB"):
        random = np.random.default_rng(0)
        for number, name in enumerate(classes):
            folder = tmp_path / root / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                pixels = random.integers(0, 80, (size[1], size[0], 3), dtype=np.uint8)
                pixels[..., number % 3] += 150
                Image.fromarray(pixels).convert(mode).save(folder / f"{i:03d}.png")
        return tmp_path / root

    return make


@pytest.fixture
def tinytrain(tmp_path):
    """Returns a function that runs the command line in tmp_path and returns the finished process."""

    def run(*words, timeout=300, **environment):
        command = [sys.executable, "-m", "tinytrain", *map(str, words)]
        variables = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")} | environment
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture
def command_line(tmp_path, monkeypatch, capfd):
    """Returns a function that runs the command line in this process, in tmp_path: (status, stdout, stderr)."""
    from tinytrain.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*words):
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main.main([str(word) for word in words])
        return stop.value.code, *capfd.readouterr()

    return run


def needs_tool(name):
    """Returns a mark that skips a test where a program is missing, and says how to get it."""
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is missing: make firmware-tools")
