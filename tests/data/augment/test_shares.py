"""What several workers augment of one batch is, together, what one alone makes of it: bit for bit, for each layer."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import shortened

from tinytrain.config.schema import Augment
from tinytrain.data import batches
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.data.augment.boxes import BoxAugmentation
from tinytrain.data.images import Samples

PLAIN = {"flip": False, "crop": 0.0}
REGIMES = {
    "flip and crop": {"flip": True, "crop": 0.2},
    "resized crop": PLAIN | {"resized_crop": 0.1},
    "small crop": PLAIN | {"small_crop": 0.5, "small_crop_probability": 0.5},
    "jitter": PLAIN | {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "rotation": PLAIN | {"rotation": 10.0, "rotation_probability": 0.7},
    "erasing": PLAIN | {"erasing": 0.7},
    "randaugment": PLAIN | {"randaugment": 2},
    "autoaugment": PLAIN | {"autoaugment": True},
    "augmix": PLAIN | {"augmix": True},
    "mixup": PLAIN | {"flip": True, "mixup": 0.3},
    "one of three": PLAIN | {"flip": True, "cutmix": 1.0, "mixup": 1.0, "fmix": 1.0, "mix_probability": 0.8},
}
ON = {"flip": True, "distort": True, "expand": 0.5, "iou_crop": True}
BATCH, STEPS = 12, 3


def samples(side, annotations):
    return Samples.of(np.random.default_rng(0).integers(0, 256, (24, side, side, 3), np.uint8), annotations)


def check(source, encode, augmentation, workers):
    """Compares the batches of all steps, whole and as the shares of workers."""

    def made(share):
        return list(batches.training_batches(source, encode, BATCH, 3, range(STEPS), augmentation(), share))

    whole = made(None)
    shares = [made(slice(BATCH * k // workers, BATCH * (k + 1) // workers)) for k in range(workers)]
    for step in range(STEPS):
        for part in range(2):
            together = np.concatenate([share[step][part] for share in shares])
            np.testing.assert_array_equal(together, whole[step][part])


@pytest.mark.parametrize("regime", shortened(REGIMES, short=["flip and crop", "randaugment", "one of three"]))
def test_images_of_one_class(regime):
    source = samples(12, np.random.default_rng(1).integers(0, 5, 24))
    mixed = any(REGIMES[regime].get(key) for key in ("mixup", "cutmix", "fmix"))
    for workers in (2, 3) if mixed else (3,):  # of three, the one in the middle is mixed with itself
        check(source, lambda y, _: tf.one_hot(y, 5), lambda: Augmentation(Augment(**REGIMES[regime]), 12), workers)


@pytest.mark.parametrize("more", [{}, {"mixup": 1.5}])
def test_images_with_boxes(more):
    random, boxes = np.random.default_rng(2), np.ones((24, 3, 6), np.float32)
    boxes[..., 0] = random.integers(0, 2, (24, 3))
    boxes[..., 1:3] = random.uniform(0, 8, (24, 3, 2))
    boxes[..., 3:5] = boxes[..., 1:3] + random.uniform(3, 10, (24, 3, 2))
    source = samples(20, boxes)
    check(source, lambda y, _: y, lambda: BoxAugmentation(Augment(**ON, **more), 12, mixing_steps=2), workers=3)


def test_no_more_images_are_read_than_are_needed():
    read = []

    class Counted(np.ndarray):
        def __getitem__(self, index):
            read.append(len(index))
            return np.asarray(super().__getitem__(index))

    source = samples(8, np.zeros(24, np.int64))
    source = Samples(source.images.view(Counted), source.annotations, source.transforms)
    for options, expected in ((PLAIN, 3), (PLAIN | {"mixup": 1.0}, 6)):
        read.clear()
        augmentation = Augmentation(Augment(**options), 8)
        made = batches.training_batches(
            source, lambda y, _: tf.one_hot(y, 2), BATCH, 0, range(1), augmentation, slice(0, 3)
        )
        assert [len(x) for x, _ in made] == [3]
        assert set(read) == {expected}
