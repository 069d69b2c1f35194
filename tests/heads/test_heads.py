"""The heads of detectors: parameters and MACs worked out from the published layers, shapes, what int8 makes of them."""

import collections
import functools
import re

import keras
import numpy as np
import pytest
from conftest import architectures

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.nn import macs
from tinytrain.nn.taps import taps
from tinytrain.quantize import convert
from tinytrain.train import task as tasks

HEADS = plugins.names("heads")
PAPER = {"mobilenet_v2": "0.35", "mobilenet_v3_large": "0.35"}
WIDE, NARROW, NARROWEST = [512, 256, 128], [256, 128, 128], [96, 96, 96]

# tap, channels, backbone, classes, parameters (convolutions and BatchNorm's γ and β), MACs at 416 pixels.
PUBLISHED = [
    ("block", WIDE, "mobilenet_v2", 20, 4_185_281, 1_765_785_008),
    ("block", WIDE, "mobilenet_v2", 80, 4_508_381, 1_983_835_568),
    ("block", WIDE, "mobilenet_v3_large", 20, 4_286_441, 1_702_464_520),
    ("block", WIDE, "mobilenet_v3_large", 80, 4_609_541, 1_920_515_080),
    ("block", NARROW, "mobilenet_v2", 20, 1_453_633, 1_009_746_608),
    ("block", NARROW, "mobilenet_v2", 80, 1_638_493, 1_181_072_048),
    ("block", NARROW, "mobilenet_v3_large", 20, 1_568_105, 948_156_680),
    ("block", NARROW, "mobilenet_v3_large", 80, 1_752_965, 1_119_482_120),
    ("block", NARROWEST, "mobilenet_v2", 20, 637_409, 610_198_160),
    ("block", NARROWEST, "mobilenet_v2", 80, 741_629, 732_851_600),
    ("block", NARROWEST, "mobilenet_v3_large", 20, 760_585, 549_949_416),
    ("block", NARROWEST, "mobilenet_v3_large", 80, 864_805, 672_602_856),
    ("last", WIDE, "mobilenet_v2", 20, 4_929_217, 1_891_077_552),
    ("last", WIDE, "mobilenet_v2", 80, 5_252_317, 2_109_128_112),
    ("last", WIDE, "mobilenet_v3_large", 20, 4_449_289, 1_729_872_264),
    ("last", WIDE, "mobilenet_v3_large", 80, 4_772_389, 1_947_922_824),
]


@pytest.fixture(autouse=True, scope="module")
def one_backbone():
    """Heads are put on the same network again where [model] is equal: building it takes longest."""
    build, built = tasks.build_model, {}

    def build_once(config, *classes):
        key = repr(config.model)
        if key not in built:
            built[key] = build(config, *classes)
        return built[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "build_model", build_once)
        yield


def detector(head, model="mobilenet_v1", resolution=160, classes=3, **detect):
    """Returns the network of a task, with the usual values of its head where `detect` says nothing."""
    usual = plugins.load("heads", head).DEFAULTS | detect
    strides = usual["strides"]
    channels = usual["channels"] if len(usual["channels"]) > 1 else usual["channels"] * len(strides)
    anchors = 2 * usual.get("anchors_per_scale", 3) * len(strides)
    values = usual | {"channels": channels, "anchors": [10.0] * anchors, "head": head}
    words = ["task=detect", f"model.name={model}", f"model.resolution={resolution}", "model.channels=3"]
    words += [f"model.width={PAPER.get(model, '0.25')}", "model.stem=imagenet", "device.precision=float32"]
    words += [f"detect.{key}={value}" for key, value in values.items()]
    return tasks.build_network(configs.load(None, words), [f"class {number}" for number in range(classes)])


def parameters(model):
    """Returns the number of what is trained: kernels, biases, BatchNorm's γ and β."""
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.parametrize(("tap", "channels", "model", "classes", "count", "at_416"), PUBLISHED)
def test_the_head_of_the_paper_has_its_parameters_and_macs(tap, channels, model, classes, count, at_416):
    network = detector("yolo3", model, 416, classes, tap=tap, channels=channels)
    assert (parameters(network), macs.count(network)) == (count, at_416)
    assert [output.shape[1:] for output in network.outputs] == [
        (side, side, 3 * (5 + classes)) for side in (13, 26, 52)
    ]


def test_its_parameters_are_convolutions_with_bias_and_batch_norms():
    network = detector("yolo3", "mobilenet_v2", 416, 20)
    of_batch_norm = sum(
        parameters(layer) for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)
    )
    assert (parameters(network) - of_batch_norm, of_batch_norm) == (4_151_489, 33_792)


@pytest.mark.parametrize(
    ("model", "resolution", "expected"),
    [
        ("mobilenet_v2", 352, 1_264_260_272),
        ("mobilenet_v2", 320, 1_044_843_200),
        ("mobilenet_v2", 256, 668_699_648),
        ("mobilenet_v2", 224, 511_973_168),
        ("mobilenet_v2", 160, 261_210_800),
        ("mobilenet_v3_large", 320, 1_007_451_808),
        ("mobilenet_v3_large", 160, 252_003_208),
    ],
)
def test_the_macs_of_the_paper_at_other_resolutions(model, resolution, expected):
    assert macs.count(detector("yolo3", model, resolution, 20)) == expected


@pytest.mark.parametrize(
    ("head", "detect", "expected"),
    [
        ("yolo3_lite", {}, 25_836_800),
        ("yolo3_lite", {"strides": [32, 16, 8]}, 39.4e6),
        ("yolo3_lite", {"strides": [32, 16, 8], "channels": [96], "depth": 5, "fuse": "concat"}, 83.0e6),
        ("yolo_single", {}, 25.7e6),
    ],
)
def test_the_macs_of_the_heads_for_microcontrollers(head, detect, expected):
    """On MobileNetV1 of width 0.25 at 160 pixels, 3 classes."""
    found = macs.count(detector(head, **detect))
    assert found == expected if isinstance(expected, int) else abs(found - expected) <= 50_000


def test_the_smallest_head_is_a_hidden_layer_and_a_class_for_each_cell():
    """64 channels at stride 8 to 48, those to 3 classes and background, at 20 x 20 cells."""
    network = detector("centroid")
    backbone = keras.Model(network.input, taps(network)[8])
    assert backbone.output.shape[1:] == (20, 20, 64)
    assert macs.count(network) == macs.count(backbone) + 20 * 20 * (64 * 48 + 48 * 4)


@functools.cache
def strides_of(model):
    """Returns the strides that a head can take in an architecture, largest first."""
    options = {"width": float(PAPER.get(model, "0.25")), "stem": "imagenet"}
    build = plugins.load("models", model).build
    there = taps(build(classes=2, channels=3, resolution=64, **options))
    return sorted([stride for stride in there if stride >= 4], reverse=True)  # as detect.strides allows


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("model", architectures(["mobilenet_v1", "mobilenet_v3_small", "resnet8"]))
def test_every_head_stands_on_every_architecture(model, head):
    usual = plugins.load("heads", head).DEFAULTS
    there = [stride for stride in strides_of(model) if stride <= max(usual["strides"])]
    strides = usual["strides"] if {*usual["strides"]} <= {*there} else there[: len(usual["strides"])]
    channels = usual["channels"][: len(strides)]
    network = detector(head, model, 64, 4, strides=strides, channels=channels)
    depth = 1 + 4 if head == "centroid" else 3 * (5 + 4)
    assert [output.shape for output in network.outputs] == [
        (None, 64 // stride, 64 // stride, depth) for stride in strides
    ]
    outputs = network(np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32"), training=False)
    if head != "centroid":
        objectness = np.concatenate([np.reshape(each, (-1, 3, 9))[..., 4].ravel() for each in outputs])
        np.testing.assert_allclose(1 / (1 + np.exp(-4 * objectness)), 0.01, rtol=0.5)  # 4: the gain
    names = [weight.path for weight in network.weights]
    assert not any("logits" in name for name in names)  # nothing of the classifier is left


@pytest.mark.parametrize(("gain", "bias"), [(1.0, -4.59512), (4.0, -1.14878)])
def test_objectness_begins_at_0_01_and_nothing_else_with_a_bias(gain, bias):
    """-ln 99, over the gain that it is multiplied by."""
    network = detector("yolo3_lite", gain=gain)
    for stride in (32, 16):
        found = network.get_layer(f"boxes{stride}").bias.numpy().reshape(3, 8)
        np.testing.assert_allclose(found, np.tile(bias * (np.arange(8) == 4), (3, 1)), atol=1e-5)


def test_scales_are_joined_by_what_detect_fuse_says():
    for fuse, kind in (("add", keras.layers.Add), ("concat", keras.layers.Concatenate)):
        network = detector("yolo3_lite", strides=[32, 16, 8], fuse=fuse)
        kinds = [type(layer) for layer in network.layers if layer.name.startswith("scale")]
        assert [kinds.count(each) for each in (keras.layers.Add, keras.layers.Concatenate)] == [
            2 * (fuse == "add"),
            2 * (fuse == "concat"),
        ]
        joined = [layer for layer in network.layers if isinstance(layer, kind) and layer.name.startswith("scale")]
        # The taps of strides 16 and 8 have 128 and 64 channels; a concatenation puts the 64 of the head before them.
        assert [layer.output.shape[-1] for layer in joined] == ([128, 64] if fuse == "add" else [192, 128])


@pytest.mark.parametrize(
    ("fuse", "options"),
    [
        ("add", {"model": "mobilenet_v1"}),
        pytest.param("concat", {"model": "mobilenet_v1", "depth": 5}, marks=pytest.mark.long),
        pytest.param("add", {"model": "mobilenet_v3_large"}, marks=pytest.mark.long),
    ],
)
def test_int8_has_the_operators_of_the_head_and_no_other(fuse, options):
    """One RESIZE and one ADD or CONCATENATION between two scales, no QUANTIZE, one output for each scale."""
    network = detector("yolo3_lite", resolution=96, fuse=fuse, strides=[32, 16, 8], **options)
    model = convert.convert_untrained(network)
    of_head = [each for each in model.operators if re.search(r"quant_(scale|boxes)\d", each.outputs[0].name)]
    joined = {"add": "ADD", "concat": "CONCATENATION"}[fuse]
    depth = options.get("depth", 3)
    separable = 3 * (1 + depth // 2)
    expected = {
        "RESIZE_NEAREST_NEIGHBOR": 2,
        joined: 2,
        "DEPTHWISE_CONV_2D": separable,
        "CONV_2D": 3 * (depth + 1 + 1)
        + 2,  # the cells of the body, tip and output; one on each way to a smaller stride
    }
    assert collections.Counter(operator.name for operator in of_head) == expected
    assert not {"QUANTIZE", "DEQUANTIZE", "TILE", "LOGISTIC", "RESHAPE"} & set(model.counts)
    assert [tuple(output.shape) for output in model.outputs] == [(1, side, side, 24) for side in (3, 6, 12)]
    for operator in model.operators:
        if operator.name in ("CONCATENATION", "RESIZE_NEAREST_NEIGHBOR"):
            tensors = [*(each for each in operator.inputs if each.dtype == "int8"), *operator.outputs]
            assert len({(float(each.scale[0]), int(each.zero_point[0])) for each in tensors}) == 1
