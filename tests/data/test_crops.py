"""Training images that are kept larger than the input are cropped as torchvision does, others as papers evaluate."""

import json
import math

import numpy as np
import pytest
import scipy.stats
from encoding import one_hot
from PIL import Image

from tinytrain.config import load as configs
from tinytrain.config.schema import Config, Data, Model
from tinytrain.data import batches, crops, identity, resizing
from tinytrain.data.crops import CroppedImages
from tinytrain.data.images import IndexedView, Samples, for_training
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset, ImageSet
from tinytrain.data.splits import Splits
from tinytrain.errors import UserError
from tinytrain.predicting import float_model, pictures
from tinytrain.run import Run
from tinytrain.train import task
from tinytrain.train.resolve import resolve


def torchvision_box(random, size, scale, ratio=(3 / 4, 4 / 3)):
    """RandomResizedCrop.get_params of torchvision 0.19, with NumPy's draws in place of torch's: (i, j, h, w)."""
    width, height = size
    area = height * width
    log_ratio = (math.log(ratio[0]), math.log(ratio[1]))
    for _ in range(10):
        target_area = area * random.uniform(scale[0], scale[1])
        aspect_ratio = math.exp(random.uniform(log_ratio[0], log_ratio[1]))
        w = round(math.sqrt(target_area * aspect_ratio))
        h = round(math.sqrt(target_area / aspect_ratio))
        if 0 < w <= width and 0 < h <= height:
            i = random.integers(0, height - h + 1)
            j = random.integers(0, width - w + 1)
            return i, j, h, w
    in_ratio = float(width) / float(height)
    if in_ratio < min(ratio):
        w = width
        h = round(w / min(ratio))
    elif in_ratio > max(ratio):
        h = height
        w = round(h * max(ratio))
    else:
        w = width
        h = height
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (256, 341), (40, 40), (400, 20), (7, 300)])
@pytest.mark.parametrize("least", [0.08, 0.22, 0.95])
def test_a_box_is_that_of_torchvision(size, least):
    for seed in range(200):
        left, top, width, height = crops.random_box(np.random.default_rng(seed), size, least)
        assert (top, left, height, width) == torchvision_box(np.random.default_rng(seed), size, (least, 1.0))


def test_areas_are_uniform_and_aspects_log_uniform():
    """Where every box fits: of at most half of the area."""
    random = np.random.default_rng(0)
    boxes = np.array([crops.random_box(random, (400, 400), 0.08) for _ in range(4000)])
    area, aspect = boxes[:, 2] * boxes[:, 3] / 400**2, boxes[:, 2] / boxes[:, 3]
    small = area < 0.7
    assert scipy.stats.kstest((area[small] - 0.08) / 0.62, "uniform").pvalue > 0.01
    shares = (np.log(aspect[small]) + math.log(4 / 3)) / (2 * math.log(4 / 3))
    assert scipy.stats.kstest(shares, "uniform").pvalue > 0.01


@pytest.mark.parametrize("size", [(50, 30), (31, 47), (24, 24), (18, 90)])
@pytest.mark.parametrize("resolution", [14, 21, 32])
def test_the_evaluation_crop_is_that_of_the_papers(size, resolution):
    """Resize(ceil(R / 0.875)) and CenterCrop(R) of torchvision, methods.md A.5."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image, shorter = Image.fromarray(pixels), math.ceil(resolution / 0.875)
    width, height = (
        (shorter, int(shorter * size[1] / size[0]))
        if size[0] <= size[1]
        else (int(shorter * size[0] / size[1]), shorter)
    )
    resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    top, left = round((height - resolution) / 2.0), round((width - resolution) / 2.0)
    ours, transform = resizing.prepare(image, resolution, 3, "eval_crop")
    np.testing.assert_array_equal(ours, resized[top : top + resolution, left : left + resolution])
    assert transform == (width / size[0], height / size[1], -left, -top)
    gray, _ = resizing.prepare(image, resolution, 1, "eval_crop")
    assert gray.shape == (resolution, resolution, 1)


@pytest.fixture
def folder(tmp_path):
    """Class folders of 12 images of noise each, of several sizes."""
    random = np.random.default_rng(0)
    for name in ("blue", "red"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(12):
            size = [(60, 40), (40, 71), (33, 33)][number % 3]
            pixels = random.integers(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number:02d}.png")
    return tmp_path / "images"


def splits_of(folder, *words):
    overrides = [f"data.spec=folder:{folder}", "model.resolution=16", "augment.resized_crop=0.08", "augment.crop=0"]
    overrides += ["data.decode_resolution=32", *words]
    read = load_dataset(configs.load(None, overrides))
    config = resolve(configs.load(None, overrides), read)
    return Splits(read, config), config


def test_training_draws_its_crops_in_the_larger_images(folder):
    data, config = splits_of(folder)
    samples = data.samples("train")
    names = [data.dataset.image_sets["all"].names[index] for index in data.subsets["train"].indices]
    assert isinstance(samples.images.images, CroppedImages)
    assert (samples.images.shape, config.data.resize) == ((len(names), 16, 16, 3), "eval_crop")
    chosen = np.array([3, 0, 7])
    drawn = for_training(samples.images, chosen, 5, 9)
    for place, index in enumerate(chosen):
        original = Image.open(folder / names[index])
        if min(original.size) > 32:
            scale = (32, int(32 * original.height / original.width))
            if original.width > original.height:
                scale = (int(32 * original.width / original.height), 32)
            original = original.resize(scale, Image.Resampling.BILINEAR)
        random = np.random.Generator(np.random.Philox(key=[(5 << 32) + 9, data.subsets["train"].indices[index]]))
        i, j, h, w = torchvision_box(random, original.size, (0.08, 1.0))
        part = original.crop((j, i, j + w, i + h)).resize((16, 16), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(drawn[place], np.asarray(part))


def test_a_crop_depends_on_seed_step_and_image_alone(folder):
    images = splits_of(folder)[0].samples("train").images
    first = for_training(images, np.array([4, 2, 9]), 1, 7)
    np.testing.assert_array_equal(for_training(images, np.array([9, 4]), 1, 7), first[[2, 0]])
    for seed, step in ((1, 8), (2, 7)):
        assert (for_training(images, np.array([4, 2, 9]), seed, step) != first).any(axis=(1, 2, 3)).all()
    view = IndexedView(images, np.array([9, 9, 4]))
    np.testing.assert_array_equal(for_training(view, np.array([2, 0]), 1, 7), first[[0, 2]])


def test_batches_of_training_hold_the_crops(folder):
    data, config = splits_of(folder, "augment.flip=false")
    samples = data.samples("train")
    augmentation = task.of(config, data.dataset.classes).augmentation(steps_per_epoch=4)
    for steps in (range(0, 6), range(3, 6)):
        made = batches.training_batches(samples, one_hot(2), 4, 0, steps, augmentation)
        for step, (x, _) in zip(steps, made, strict=True):
            order = np.random.default_rng([0, step // 4]).permutation(len(samples.images))
            chosen = order[step % 4 * 4 : (step % 4 + 1) * 4]
            expected = batches.normalize(for_training(samples.images, chosen, 0, step))
            np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("resize", ["auto", "crop"])
def test_other_splits_are_brought_to_the_size_as_data_resize_says(folder, resize):
    data, _ = splits_of(folder, f"data.resize={resize}")
    for split in ("val", "test"):
        samples = data.samples(split)
        for image, index in zip(samples.images[:], data.subsets[split].indices, strict=True):
            file = folder / data.dataset.image_sets["all"].names[index]
            expected = resizing.prepare(Image.open(file), 16, 3, "eval_crop" if resize == "auto" else resize)[0]
            np.testing.assert_array_equal(image, expected)


def test_without_a_random_resized_crop_training_images_are_as_the_others(folder):
    data, _ = splits_of(folder, "augment.resized_crop=1")
    images = data.samples("train").images
    name = data.dataset.image_sets["all"].names[data.subsets["train"].indices[2]]
    expected = resizing.prepare(Image.open(folder / name), 16, 3, "eval_crop")[0]
    np.testing.assert_array_equal(images[2], expected)
    np.testing.assert_array_equal(for_training(images, np.array([2]), 0, 0)[0], expected)


def test_the_centre_of_training_images_is_read_like_an_array(folder):
    images = splits_of(folder)[0].samples("train").images
    whole = np.asarray(images)
    np.testing.assert_array_equal(images[2:4], whole[2:4])
    np.testing.assert_array_equal(images[3], whole[3])
    samples = Samples.of(images, np.zeros(len(images), int)).take(np.array([5, 1]))
    np.testing.assert_array_equal(samples.images[:], whole[[5, 1]])


def test_a_decode_resolution_is_refused_for_boxes():
    config = Config(model=Model(resolution=16), data=Data(decode_resolution=32, spec="voc:x"))
    image_set = ImageSet(np.zeros((1, 1, 7), np.float32), ["a"], "key", lambda *_: iter(()))
    with pytest.raises(UserError, match=r"data\.decode_resolution = 32, but 'voc:x' has boxes: set detect\.canvas"):
        Splits(Dataset(["a"], {"all": image_set}, 3, 0, task="detect"), config)


def test_a_decode_resolution_below_the_input_is_refused(folder):
    with pytest.raises(UserError, match=r"data\.decode_resolution = 12 is less than model\.resolution = 16"):
        splits_of(folder, "data.decode_resolution=12")


def test_a_run_is_measured_and_asked_as_it_was_evaluated(folder, tmp_path, command_line):
    words = ["--data", f"folder:{folder}", "--out", str(tmp_path / "run"), "data.decode_resolution=32"]
    words += ["augment.resized_crop=0.08", "augment.crop=0", "model.name=resnet8", "model.width=0.25"]
    status, _, error = command_line("fit", *words, "model.resolution=16", "optim.epochs=1", "optim.batch=4")
    assert status == 0, error
    run = Run(tmp_path / "run")
    status, out, error = command_line("evaluate", str(run.folder), "--json")
    assert status == 0, error
    assert json.loads(out.splitlines()[-1])["loss"] == pytest.approx(run.metrics()["test"]["loss"])
    config = run.config()
    samples = identity.recorded_splits(run, load_dataset(config), config).samples("test")
    names, model = run.split()["test"], float_model.of_run(run, None)
    prepared = pictures.prepare([folder / name for name in names], model)
    np.testing.assert_array_equal(np.stack([one.pixels for one, _ in prepared]), samples.images[:])
