"""The stripped model against the one it was made from: same graph, same outputs, same arena, fewer bytes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinytrain.config import plugins
from tinytrain.deploy import memory
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.quantize import convert, tf_keras_clone
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip


@pytest.fixture(scope="module")
def converted():
    model = plugins.load("models", "mobilenet_v2").build(classes=10, channels=3, width=0.35, resolution=32)
    model.layers[-1].bias.assign(np.linspace(-1, 1, 10))  # the converter leaves out a bias of zeros
    noise = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)).astype("float32")
    return convert.convert_post_training(tf_keras_clone.rebuild(model), noise)


@pytest.mark.long
def test_it_computes_the_same_in_the_same_arena_with_a_fifth_less(converted):
    small = strip(converted)
    images = np.random.default_rng(1).integers(-128, 128, (8, 32, 32, 3)).astype(np.int8)
    np.testing.assert_array_equal(
        ReferenceInterpreter(small.content).run(images)[0], ReferenceInterpreter(converted.content).run(images)[0]
    )
    assert memory.target_arena_bytes(small) <= memory.target_arena_bytes(converted)
    assert len(small.content) < 0.8 * len(converted.content)
    assert strip(small).content == small.content


def test_what_tflm_reads_is_kept(converted):
    before, after = converted, Model.parse(strip(converted).content)
    assert before.counts == after.counts
    assert [(t.shape, t.dtype, t.scale, t.zero_point) for t in (*before.inputs, *before.outputs)] == [
        (t.shape, t.dtype, t.scale, t.zero_point) for t in (*after.inputs, *after.outputs)
    ]
    for old, new in zip(before.operators, after.operators, strict=True):
        scales = [[tensor.scale for tensor in node.inputs[:2]] for node in (old, new)]  # image and weights, or summands
        assert scales[0] == scales[1]
        zero_points = [[tensor.zero_point for tensor in node.outputs] for node in (old, new)]
        assert zero_points[0] == zero_points[1]
    fully_connected = next(node for node in after.operators if node.name == "FULLY_CONNECTED")
    assert len(fully_connected.inputs[1].scale) == 10
    assert not fully_connected.inputs[2].scale  # not read where the weights have a scale for each channel


def test_the_bias_scale_that_tflm_checks_is_kept():
    """FULLY_CONNECTED with one scale for all weights, as the converter makes it if told so."""
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.Dense(5, bias_initializer="ones")(keras.layers.Flatten()(image)))
    noise = np.random.default_rng(0).uniform(-1, 1, (8, 4, 4, 3)).astype("float32")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in noise)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    model = Model.parse(converter.convert())
    small = strip(model)
    bias = next(node for node in small.operators if node.name == "FULLY_CONNECTED").inputs[2]
    assert len(bias.scale) == 1
    images = (noise * 127).astype(np.int8)
    np.testing.assert_array_equal(
        ReferenceInterpreter(small.content).run(images)[0], ReferenceInterpreter(model.content).run(images)[0]
    )
