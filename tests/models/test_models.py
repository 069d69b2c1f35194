"""Parameters and MACs against the table of the specification; every model of the room behaves like one."""

import keras
import numpy as np
import pytest
from conftest import architectures

from tinytrain.config import plugins
from tinytrain.nn import macs

# (model, options, parameters with BatchNorm's γ and β, MACs) for 1,000 classes unless said; methods.md B.1
TABLE = [
    ("mobilenet_v2", {"width": 0.35, "resolution": 160}, 1_677_128, 30_874_800),
    ("mobilenet_v2", {"width": 1.0, "resolution": 160}, 3_504_872, 154_083_200),
    ("mobilenet_v1", {"width": 1.0, "resolution": 224}, 4_231_976, 568_740_352),
    ("mobilenet_v1", {"width": 1.0, "resolution": 32, "stem": "cifar", "classes": 100}, 3_309_476, 46_446_592),
    ("mobilenet_v2_tiny", {"width": 0.35, "resolution": 144}, 750_280, 23_499_152),
    ("mcunet", {"width": 1.0, "resolution": 176}, 737_408, 81_785_520),
    ("proxylessnas", {"width": 0.35, "resolution": 160}, 1_781_344, 35_716_800),
    ("proxylessnas", {"width": 1.0, "resolution": 160}, 4_080_512, 164_110_400),
    ("mobilenet_v3_large", {"width": 0.35, "resolution": 160}, 2_109_840, 19_495_688),
    ("mobilenet_v3_large", {"width": 1.0, "resolution": 224}, 5_483_032, 216_589_760),
    ("mobilenet_v3_large", {"width": 0.75, "resolution": 224, "head": "scaled"}, 3_377_576, 140_033_816),
    ("mobilenet_v3_small", {"width": 1.0, "resolution": 224}, 2_542_856, 56_510_400),
    ("efficientnet_b0", {"width": 1.0, "resolution": 224}, 5_288_548, 385_814_752),
    ("resnet50", {"width": 1.0, "resolution": 224}, 25_557_032, 4_089_184_256),
]


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(("name", "options", "params", "mac_count"), TABLE)
def test_parameters_and_macs_equal_the_specification(name, options, params, mac_count):
    model = plugins.load("models", name).build(**{"classes": 1000, "channels": 3} | options)
    assert trainable(model) == params
    assert macs.count(model) == mac_count


def test_mobilenet_v1_vww_has_the_macs_of_mlperf_tiny():
    model = plugins.load("models", "mobilenet_v1").build(classes=2, channels=3, width=0.25, resolution=96)
    assert macs.count(model) == 7_489_664


IN_COLOR = [pytest.param(name, 3, 40) for name in plugins.names("models")]
IN_GRAY = [
    pytest.param(*case.values, 1, 32, marks=case.marks)
    for case in architectures(short=["mobilenet_v1", "mobilenet_v3_small", "resnet8"])
]


@pytest.mark.parametrize(("name", "channels", "resolution"), [*IN_COLOR, *IN_GRAY])
def test_every_model_is_a_functional_image_classifier(name, channels, resolution, tmp_path):
    room = plugins.load("models", name)
    model = room.build(classes=7, channels=channels, width=room.DEFAULTS["width"], resolution=resolution, dropout=0.1)
    images = np.random.default_rng(0).uniform(-1, 1, (2, resolution, resolution, channels)).astype("float32")
    logits = model(images, training=False).numpy()
    assert logits.shape == (2, 7)
    assert np.isfinite(logits).all()
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")  # plain Keras: no custom objects
    np.testing.assert_array_equal(again(images, training=False).numpy(), logits)


def test_width_one_of_mobilenet_v2_computes_what_keras_applications_does():
    ours = plugins.load("models", "mobilenet_v2").build(classes=10, channels=3, width=1.0, resolution=64)
    theirs = keras.applications.MobileNetV2((64, 64, 3), 1.0, weights=None, classes=10, classifier_activation=None)
    random = np.random.default_rng(0)
    weights = [random.uniform(0.05, 0.5, w.shape).astype("float32") * 0.2 for w in ours.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    images = random.uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    expected = theirs(images, training=False).numpy()
    np.testing.assert_allclose(ours(images, training=False).numpy(), expected, rtol=1e-4)
    assert np.ptp(expected) > 0


def test_resnet8_has_the_macs_of_mlperf_tiny():
    model = plugins.load("models", "resnet8").build(classes=10, channels=3, width=1.0, resolution=32)
    assert macs.count(model) == 12_501_632
