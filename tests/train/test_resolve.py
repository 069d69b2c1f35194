"""What "auto" becomes."""

import pytest

from tinytrain.config import load as configs
from tinytrain.data.load import load_dataset
from tinytrain.train.resolve import resolve
from tinytrain.train.task import build_network


def resolved(*words):
    """Returns the config of the digits with `words`, without "auto"; and the dataset."""
    config = configs.load(None, ["data.spec=digits", *words])
    dataset = load_dataset(config)
    return resolve(config, dataset), dataset


@pytest.mark.parametrize(
    ("words", "stem"),
    [
        (["model.name=mobilenet_v2", "model.resolution=32"], "cifar"),
        (["model.name=mobilenet_v2", "model.resolution=33"], "imagenet"),
        (["model.name=mobilenet_v2", "model.resolution=32", "model.stem=imagenet"], "imagenet"),
        (["model.name=resnet8", "model.resolution=96"], "cifar"),
        (["model.name=mobilenet_v1"], "cifar"),  # the digits have 8 pixels
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_small_images_are_not_halved_by_the_first_convolution(words, stem):
    assert resolved(*words)[0].model.stem == stem


def test_images_of_32_pixels_leave_maps_that_a_kernel_of_3x3_sees():
    config, dataset = resolved("model.name=mobilenet_v2", "model.width=0.1", "model.resolution=32")
    network = build_network(config, dataset.classes)
    sides = [layer.output.shape[1] for layer in network.layers if len(layer.output.shape) == 4]
    assert min(sides) == 2  # 32 halved by the four other strides of 2 (MobileNetV2, Table 2)
