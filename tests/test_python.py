"""tinytrain from Python: what `import tinytrain` offers, as a user writes it, without the command line."""

import inspect
import json
import subprocess
import sys

import pytest

import tinytrain

FUNCTIONS = sorted(tinytrain.MODULES)
WAY = """
import json, sys
import tinytrain

assert "tensorflow" not in sys.modules
config = tinytrain.load_config(overrides=["data.train_images=64", "optim.epochs=1", "qat.epochs=0"])
run = tinytrain.fit(config, out="run", mcu="stm32f746")
float_model = tinytrain.evaluate(run)
exported, folder = tinytrain.export(run, "stm32f746")
int8_model = tinytrain.evaluate(folder / "model.tflite")
tinytrain.report([run], "run.html")
small = ["data.train_images=64", "optim.epochs=1", "search.way=none", "model.resolution=8", "model.width=0.35"]
result, _ = tinytrain.compare(["adaptive_baseline"], ["digits"], out="table", overrides=small)
measured = [evaluated["top1"] for evaluated in (float_model, run.metrics()["test"], int8_model)]
print(json.dumps([*measured, exported["accuracy"], result]))
"""


def test_the_whole_way_from_python(tmp_path):
    done = subprocess.run([sys.executable, "-c", WAY], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    measured, kept, int8, told, table = json.loads(done.stdout.splitlines()[-1])
    assert measured == kept
    assert told == {"float": measured, "int8": int8, "images": 359}
    assert [row["config"] for row in table["runs"]] == ["adaptive_baseline"]
    assert (tmp_path / "run.html").stat().st_size > 10_000
    assert "WARNING" not in done.stderr  # nor TensorFlow's, of a function that is traced again and again


def test_a_mistake_is_an_error_of_ours(tmp_path):
    with pytest.raises(tinytrain.UserError, match=r"did you mean 'optim\.epochs'"):
        tinytrain.load_config(overrides=["optim.epoch=3"])
    with pytest.raises(tinytrain.UserError, match="does not exist"):
        tinytrain.export(tmp_path / "none", "stm32f746")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_takes_and_raises(name):
    function = getattr(tinytrain, name)
    told = inspect.getdoc(function)
    assert [word for word in inspect.signature(function).parameters if f"{word}:" not in told] == []
    assert "Raises" in told
    assert name in dir(tinytrain)
    assert name in tinytrain.__all__


def test_a_warning_after_the_quiet_import_reaches_the_terminal():
    code = "import tinytrain; tinytrain.fit; import tensorflow as tf; tf.get_logger().warning('seen')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [line for line in done.stderr.splitlines() if line] == ["WARNING:tensorflow:seen"]
