"""Images are decoded once, into shards that can be read at random, go on after a kill, and are shared by workers."""

import threading

import numpy as np
import pytest
from PIL import Image

from tinytrain.config.schema import Data
from tinytrain.data import decoding, decoding_beats, resizing
from tinytrain.data.decoding import Workers
from tinytrain.data.source import ImageSet
from tinytrain.datasets import folder
from tinytrain.errors import UserError

COUNT, SIDE = 23, 8


def noise(number, size=(12, 20)):
    """An image (width, height) that is like no other."""
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8))


def image_set(read=None, sizes=lambda number: (12, 20), name="noise"):
    """Returns 23 images; `read` collects the numbers of those that are read."""

    def images(prepare, numbers):
        for number in numbers.tolist():
            if read is not None:
                read.append(number)
            yield prepare(noise(number, sizes(number)))

    return ImageSet(np.zeros(COUNT, int), [str(n) for n in range(COUNT)], name, images)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and shards of at most four images."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(decoding, "SHARD_IMAGES", 4)
    return tmp_path / "cache/tinytrain"


def expected(numbers=range(COUNT)):
    return np.stack([resizing.prepare(noise(number), SIDE, 3, "crop")[0] for number in numbers])


@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(2, 19),
        slice(20, 1, -3),
        slice(30, 40),
        np.array([5, 6, 7, 8, 9, 3, 22, 0, 0, -1]),
        np.array([], int),
        np.arange(COUNT) % 3 == 1,
    ],
)
def test_shards_are_read_like_an_array(cache, index):
    images, transforms = decoding.decode(image_set(), SIDE, 3, "crop")
    whole = expected()
    assert len(list(cache.glob("images-*/*.npy"))) == 6
    assert (images.shape, len(images), images.dtype, transforms.shape) == (whole.shape, COUNT, np.uint8, (COUNT, 4))
    np.testing.assert_array_equal(images[index], whole[index])
    np.testing.assert_array_equal(images[-2], whole[-2])
    np.testing.assert_array_equal(np.asarray(images), whole)
    with pytest.raises(IndexError):
        images[np.array([COUNT])]


def test_some_of_the_images_are_decoded_alone(cache):
    read = []
    numbers = np.array([1, 4, 5, 9, 20, 21])
    images, _ = decoding.decode(image_set(read), SIDE, 3, "crop", numbers)
    np.testing.assert_array_equal(images[:], expected(numbers))
    assert read == numbers.tolist()
    images, _ = decoding.decode(image_set(read), SIDE, 3, "crop", numbers + 1)
    np.testing.assert_array_equal(images[:], expected(numbers + 1))
    cached = sorted(cache.rglob("*"))
    np.testing.assert_array_equal(decoding.read(image_set(), numbers, SIDE, 3, "crop"), expected(numbers))
    assert sorted(cache.rglob("*")) == cached


def test_a_decoding_that_is_killed_goes_on_at_the_last_whole_shard(cache):
    read = []

    def killed(prepare, numbers):
        for number in numbers.tolist():
            if number == 10:
                raise KeyboardInterrupt
            yield prepare(noise(number))

    stopped = ImageSet(np.zeros(COUNT, int), [str(n) for n in range(COUNT)], "noise", killed)
    with pytest.raises(KeyboardInterrupt):
        decoding.decode(stopped, SIDE, 3, "crop")
    np.testing.assert_array_equal(decoding.decode(image_set(read), SIDE, 3, "crop")[0], expected())
    assert read == list(range(8, COUNT))


def test_a_shard_that_is_gone_is_decoded_again_alone(cache):
    decoding.decode(image_set(), SIDE, 3, "crop")
    sorted(cache.glob("images-*/*.npy"))[2].unlink()
    read = []
    np.testing.assert_array_equal(decoding.decode(image_set(read), SIDE, 3, "crop")[0], expected())
    assert read == [8, 9, 10, 11]


def test_workers_decode_different_shards_and_get_all_images(cache, monkeypatch):
    monkeypatch.setattr(decoding, "POLL_S", 0.01)
    read, found = [[], [], []], {}

    def work(number):
        found[number] = decoding.decode(image_set(read[number]), SIDE, 3, "crop", workers=Workers(number, 3))[0][:]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(3):
        np.testing.assert_array_equal(found[number], expected())
        assert read[number] == [n for n in range(COUNT) if n // 4 % 3 == number]


def test_a_worker_that_is_waited_for_in_vain_is_named(cache, monkeypatch):
    monkeypatch.setattr(decoding_beats, "BEGIN_S", 0.0)
    with pytest.raises(
        UserError, match=r"worker 1 of 2, which decodes '.*00001-of-00006.npy', has shown no sign of life for 0"
    ):
        decoding.decode(image_set(), SIDE, 3, "crop", workers=Workers(0, 2))


def test_a_worker_whose_cache_cannot_be_written_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="which other workers wait for"):
        decoding.decode(image_set(), SIDE, 3, "crop", workers=Workers(0, 2))


def test_images_can_be_read_after_the_cache_was_emptied(cache):
    images, _ = decoding.decode(image_set(), SIDE, 3, "crop")
    for path in cache.glob("images-*/*"):
        path.unlink()
    np.testing.assert_array_equal(images[:], expected())


SIZES = [(30, 20), (20, 31), (9, 40), (16, 16), (5, 7)]  # (width, height)


@pytest.mark.parametrize("room", [True, False])
def test_images_that_keep_their_aspect_are_read_by_their_numbers(cache, monkeypatch, tmp_path, room):
    if not room:
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    read, sizes = [], lambda number: SIZES[number % 5]
    for _ in range(2):
        images = decoding.decode_larger(image_set(read, sizes), 16, 3)
        chosen = np.array([7, 0, 22, 22, 3, 4])
        for number, image in zip(chosen, images[chosen], strict=True):
            whole, (width, height) = noise(number, sizes(number)), sizes(number)
            if min(width, height) > 16:  # as torchvision's Resize(16) does
                scaled = (16, int(16 * height / width)) if width <= height else (int(16 * width / height), 16)
                whole = whole.resize(scaled, Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(image, np.asarray(whole))
    assert read == list(range(COUNT)) * (1 if room else 2)


def test_a_shard_of_images_that_keep_their_aspect_is_checked(cache):
    sizes = lambda number: SIZES[number % 5]  # noqa: E731
    before = decoding.decode_larger(image_set(None, sizes), 16, 3)[np.arange(COUNT)]
    path = sorted(cache.glob("images-*/*.bytes"))[1]
    path.write_bytes(path.read_bytes()[:-1])
    read = []
    after = decoding.decode_larger(image_set(read, sizes), 16, 3)[np.arange(COUNT)]
    assert read == [4, 5, 6, 7]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_decoded_images_are_kept_and_found_again(image_folder, monkeypatch):
    source = folder.load(str(image_folder()), Data())
    first, transforms = decoding.decode(source.image_sets["all"], 8, 3, "stretch")
    monkeypatch.setattr(decoding, "_written", lambda *_: pytest.fail("decoded twice"))
    again = decoding.decode(source.image_sets["all"], 8, 3, "stretch")
    np.testing.assert_array_equal(again[0], first)
    np.testing.assert_array_equal(again[1], transforms)


def test_images_brought_to_one_size_in_another_way_are_not_those_in_the_cache():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8))
    images = ImageSet(np.zeros(1, int), ["a"], "as ever", lambda prepare, numbers: iter([prepare(image)]))
    for side, channels, resize in [(8, 3, "pad"), (8, 3, "crop"), (8, 3, "stretch"), (8, 1, "pad"), (6, 3, "pad")]:
        pixels, transforms = decoding.decode(images, side, channels, resize)
        expected, transform = resizing.prepare(image, side, channels, resize)
        np.testing.assert_array_equal(pixels[0], expected)
        np.testing.assert_allclose(transforms[0], transform)


def test_a_changed_image_is_decoded_anew(image_folder):
    root = image_folder()
    first = np.array(decoding.decode(folder.load(str(root), Data()).image_sets["all"], 16, 3, "stretch")[0])
    Image.fromarray(np.full((16, 16, 3), 9, np.uint8)).save(root / "blue/000.png")
    second, _ = decoding.decode(folder.load(str(root), Data()).image_sets["all"], 16, 3, "stretch")
    assert (second[0] == 9).all()
    assert (first[0] != 9).any()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.write_bytes(b"PK\x03\x04 an archive"),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: np.save(path, np.zeros((36, 4, 4, 3), np.uint8)),
        lambda path: np.save(path, np.zeros((35, 8, 8, 3), np.uint8)),
        lambda path: np.save(path, np.zeros((36, 8, 8, 3), np.float32)),
        lambda path: np.save(path, np.asfortranarray(np.zeros((36, 8, 8, 3), np.uint8))),
        lambda path: np.savez(path.open("wb"), x=np.zeros((36, 8, 8, 3), np.uint8)),
        lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
    ],
)
def test_a_damaged_cache_is_decoded_anew(image_folder, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pool = folder.load(str(image_folder()), Data()).image_sets["all"]
    first = np.array(decoding.decode(pool, 8, 3, "stretch")[0])
    (path,) = (tmp_path / "cache/tinytrain").glob("images-*/*.npy")
    damage(path)
    np.testing.assert_array_equal(decoding.decode(pool, 8, 3, "stretch")[0], first)
    monkeypatch.setattr(decoding, "_written", lambda *_: pytest.fail("not kept"))
    np.testing.assert_array_equal(decoding.decode(pool, 8, 3, "stretch")[0], first)
    assert len(list((tmp_path / "cache/tinytrain").glob("images-*/*.npy"))) == 1


def test_a_cache_that_cannot_be_written_is_done_without(image_folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    images, transforms = decoding.decode(folder.load(str(image_folder()), Data()).image_sets["all"], 8, 3, "crop")
    assert (images.shape, transforms.shape) == ((36, 8, 8, 3), (36, 4))
