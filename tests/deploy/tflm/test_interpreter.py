"""TFLM's interpreter: outputs against TensorFlow's reference kernels, the arena against its own record."""

import subprocess
import sys
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_networks import trained

from tinytrain.deploy.tflm import interpreter
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError
from tinytrain.quantize import convert, tf_keras_clone

SHAPE = (12, 12, 3)


@cache
def model():
    """Returns the .tflite of a small network without FULLY_CONNECTED, which TensorFlow rounds otherwise."""
    image = keras.Input(SHAPE)
    x = layers.ReLU(6.0)(layers.Conv2D(8, 3, 2, padding="same")(image))
    x = layers.Add()([layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(x)), x])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1)(x))
    built = tf_keras_clone.rebuild(trained(keras.Model(image, x)))
    return convert.convert_post_training(built, images(20, seed=1).astype("float32") / 128).content


def images(count, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (count, *SHAPE), np.int8)


def reference(content, int8):
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_REF
    lite = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    lite.allocate_tensors()
    outputs = []
    for image in int8:
        lite.set_tensor(lite.get_input_details()[0]["index"], image[None])
        lite.invoke()
        outputs.append(lite.get_tensor(lite.get_output_details()[0]["index"])[0].copy())
    return np.array(outputs)


@pytest.mark.parametrize("count", [1, 7])
def test_outputs_equal_the_reference_kernels_in_the_order_of_the_images(count):
    found = ReferenceInterpreter(model()).run(images(count))[0]
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, reference(model(), images(count)))
    assert count == 1 or len(np.unique(found, axis=0)) > 1


def test_progress_ends_at_the_number_of_images():
    steps = []
    ReferenceInterpreter(model()).run(images(5), lambda done, total: steps.append((done, total)))
    assert steps[-1] == (5, 5)
    assert steps == sorted(steps)


RECORD = """
import sys
import numpy as np
from tflite_micro.python.tflite_micro.runtime import Interpreter
interpreter = Interpreter.from_bytes(open(sys.argv[1], "rb").read(), arena_size=int(sys.argv[2]))
interpreter.set_input(np.zeros((1, 12, 12, 3), np.int8), 0)
interpreter.invoke()
interpreter.print_allocations()
"""


def interpret(path, arena_bytes):
    """Runs TFLM in a fresh process and returns it; it may crash."""
    command = [sys.executable, "-c", RECORD, str(path), str(arena_bytes)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_arena_is_the_smallest_that_works(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model())
    arena_bytes = ReferenceInterpreter(model()).arena_bytes
    assert arena_bytes % 16 == 0
    works = interpret(path, arena_bytes)
    assert works.returncode == 0
    total = int(works.stderr.split("allocation total ")[1].split()[0])
    assert total <= arena_bytes <= total + 1024
    assert interpret(path, arena_bytes - 16).returncode != 0


@pytest.mark.parametrize("content", [b"no flatbuffer at all" * 10, model], ids=["garbage", "truncated"])
def test_what_tflm_cannot_run_is_refused_in_one_sentence(content, capfd):
    content = content if isinstance(content, bytes) else content()[:1500]
    with pytest.raises(UserError, match="TFLM interpreter cannot run"):
        ReferenceInterpreter(content).run(images(2))
    with pytest.raises(UserError, match="TFLM interpreter cannot run"):
        _ = ReferenceInterpreter(content).arena_bytes
    assert capfd.readouterr() == ("", "")


def test_no_images_are_refused():
    with pytest.raises(UserError, match="no images"):
        ReferenceInterpreter(model()).run(images(0))


def test_the_worker_imports_no_tensorflow():
    program = (
        f"import sys; sys.argv = ['x', 'none', '/dev/null']; sys.path.insert(0, {str(interpreter.WORKER.parent)!r})\n"
    )
    program += "import interpreter_process; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
