"""tinytrain from Python: what `import tinytrain` offers, as a user writes it, without the command line."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinytrain

FUNCTIONS = sorted(tinytrain.MODULES)
PAGE = Path(__file__).parents[1] / "docs" / "python.md"
MORE = """
import json, sys

small = ["data.train_images=64", "optim.epochs=1", "search.algorithm=none", "model.resolution=8", "model.width=0.35"]
result, _ = tinytrain.compare(["adaptive_baseline"], ["digits"], out="table", overrides=small)
print(json.dumps([row["config"] for row in result["runs"]]))
"""


@pytest.mark.long
def test_the_example_of_the_documentation(tmp_path):
    """And `compare` after it, with the name of a recipe."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    command = [sys.executable, "-c", example + MORE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    top1, told, int8, compared = done.stdout.splitlines()
    assert 0 < float(top1) < 1
    assert f"'int8': {int8}" in told
    assert told.endswith("True")
    assert json.loads(compared) == ["adaptive_baseline"]
    assert (tmp_path / "digits.html").stat().st_size > 10_000
    assert "WARNING" not in done.stderr  # nor TensorFlow's, of a function that is traced again and again


def test_tensorflow_is_not_imported_before_it_is_used():
    code = "import sys, tinytrain; dir(tinytrain); tinytrain.load_config(); print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


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


def test_a_process_after_quantization_prints_no_more_than_one_before():
    """tensorflow_model_optimization sets it for whatever is started after it; KerasCV then tells its backend."""
    code = "import tinytrain; tinytrain.fit; import keras_cv.src.backend.config as c; print(c.keras_3())"
    environment = os.environ | {"TF_USE_LEGACY_KERAS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "True\n"


def test_what_turned_tensorflow_to_keras_2_before_is_named():
    code = "import tensorflow_model_optimization, tinytrain; tinytrain.fit"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "tinytrain.errors.UserError: tensorflow_model_optimization was imported before" in done.stderr
