"""What all tests share: one thread for each process, runs trained once, folders of images, the command line."""

import fcntl
import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

# A thread for each process, as there is a worker for each core. TensorFlow reads it when it is imported.
os.environ["TINYTRAIN_PROGRESS"] = "0"  # tests read what a command says, however slow the machine is
os.environ.update({"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"})

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).parent.parent


def pytest_configure(config):
    """Imports TensorFlow where tests run: not in the process that only hands them out to workers."""
    if not getattr(config.option, "numprocesses", None):
        from tinytrain.quiet import import_tensorflow

        import_tensorflow()


def pytest_collection_finish():
    """Takes what is there for the whole run out of garbage collection: a million objects of TensorFlow's import."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _memory_is_given_back():
    """Keras and TensorFlow keep the graphs of a module's networks in cycles that Python seldom collects by itself.

    What survives a collection is frozen: it is TensorFlow's own, and each later collection would walk it again.
    """
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session(free_memory=False)  # it would collect once more
    if "tf_keras" in sys.modules:
        sys.modules["tf_keras"].backend.clear_session()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _weights_are_drawn_alike():
    """A test's untrained networks are the same whatever ran before it, so that it fails always or never."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _own_cache(shared_folder, monkeypatch):
    """Decoded images of a test never meet those of the user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_folder / "cache"))


@pytest.fixture(autouse=True)
def _exports_are_not_built(request, monkeypatch):
    """In tests of other things an export leaves its firmware unbuilt, as where no compiler is: that takes 15 seconds.

    `exported_run` has it built and emulated, as have the tests of the firmware, and all with TFLM_DIR.
    """
    folder = request.path.relative_to(REPOSITORY / "tests").parts[0]
    others = ("commands", "data", "methods", "models", "nn", "reporting", "tasks", "tflite")
    if folder in others and "TFLM_DIR" not in os.environ:
        from tinytrain.deploy import make

        monkeypatch.setattr(make, "lacking", lambda **_: "the compiler is left out of this test")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """The temporary folder of this run of the tests, one for all workers."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def made_once(shared_folder):
    """Returns a function that makes a folder or file for all workers: the first that asks makes it, others wait.

    made_once(name, make) calls make(path) if no worker has finished that yet, and returns the path, which tests must
    leave as it is.
    """

    def made(name, make):
        path, done = shared_folder / name, shared_folder / f"{name}.done"
        with open(shared_folder / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(path)
                done.touch()
        return path

    return made


@pytest.fixture(scope="session")
def trained_run(made_once):
    """A run on the digits that has learnt something: mobilenet_v1 of width 0.25, 8 epochs."""
    from tinytrain.commands import fit
    from tinytrain.config import load as configs
    from tinytrain.run import Run

    words = ["optim.epochs=8", "model.width=0.25", "model.stem=imagenet", "optim.batch=32"]
    return Run(made_once("trained-run", lambda folder: fit.fit(configs.load(None, words), folder)))


@pytest.fixture(scope="session")
def converted(made_once):
    """Returns a function: the stripped int8 .tflite of `small_networks.small(name, resolution=48)`, parsed."""
    from small_networks import small

    from tinytrain.quantize import convert
    from tinytrain.tflite.model import Model
    from tinytrain.tflite.strip import strip

    def of(name):
        def make(path):
            path.write_bytes(strip(convert.convert_untrained(small(name, resolution=48))).content)

        return Model.parse(made_once(f"{name}-at-48.tflite", make).read_bytes(), name)

    return of


@pytest.fixture(scope="session")
def exported_run(made_once, trained_run):
    """Its export for an STM32F746 in its own folder, fine-tuned for an epoch: (report, folder)."""
    from tinytrain.commands.export import export

    made_once("exported-run", lambda _: export(trained_run.folder, "stm32f746", overrides=["qat.epochs=1"]))
    folder = trained_run.folder / "export-stm32f746g_disco"
    return json.loads((folder / "report.json").read_text()), folder


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
    """Returns a function that runs the command line in tmp_path and returns the finished process.

    For what only a process of its own shows; `command_line` is faster.
    """

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


def shortened(names, short):
    """Returns parameters of a test: all names, those that are not in `short` with the mark `long`."""
    assert set(short) <= set(names)
    return [pytest.param(name, marks=[] if name in short else pytest.mark.long) for name in names]


def architectures(short):
    """Returns every architecture as a parameter of a test, those that are not in `short` with the mark `long`."""
    from tinytrain.config import plugins

    return shortened(plugins.names("models"), short)
