"""What the tables of many images take: at most 200 bytes an image, where objects of Python took 2,000."""

import tracemalloc

import numpy as np
import pytest

from tinytrain.config.schema import Config
from tinytrain.data import batches, check, facts, identity, splits
from tinytrain.data.facts import Facts
from tinytrain.data.images import Samples
from tinytrain.data.names import Names
from tinytrain.data.source import Dataset, ImageSet
from tinytrain.run import Run
from tinytrain.train.resolve import resolve

COUNT, MOST_BYTES = 150_000, 200


def made_up():
    """150,000 images in no file, whose names have 20 letters; a few are copies."""
    random, rows = np.random.default_rng(0), np.zeros(COUNT, facts.ROW)
    rows["size"], rows["mode"], rows["orientation"] = 96, b"RGB", 1
    digests = random.integers(1, 256, (COUNT, 16), np.uint8)
    digests[::1000] = digests[1::1000]
    rows["digest"] = digests.view("S16")[:, 0]
    names = Names.of(f"class{n % 100:02d}/{n:08d}.jpg" for n in range(COUNT))
    image_set = ImageSet(np.arange(COUNT) % 100, names, "made up", lambda *_: iter(()), Facts(rows))
    return Dataset([f"class{n:02d}" for n in range(100)], {"all": image_set}, 3, 96)


@pytest.fixture
def traced():
    """Returns a function that says how many bytes an image were held at most since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1] / COUNT
    tracemalloc.stop()


def test_index_split_check_and_order_take_at_most_200_bytes_an_image(traced):
    config = resolve(Config(), made_up())
    tracemalloc.clear_traces()
    tracemalloc.reset_peak()
    dataset = made_up()
    data = splits.Splits(dataset, config)
    found = check.findings(dataset, data.subsets, config, config)
    assert {finding.kind for finding in found} >= {"conflict"}
    images = np.broadcast_to(np.zeros((1, 1, 1, 3), np.uint8), (COUNT, 1, 1, 3))
    samples = Samples.of(images, dataset.image_sets["all"].annotations).take(data.subsets["train"].indices)
    assert len(batches._Order(len(samples.images), 0)(0)) == len(samples.images)
    assert traced() < MOST_BYTES


def test_the_record_of_a_run_is_compared_in_little_memory(traced, tmp_path):
    dataset = made_up()
    config = resolve(Config(), dataset)
    data = splits.Splits(dataset, config)
    run = Run.create(tmp_path / "run", "large")
    identity.record(run, data)
    assert run.images_path.exists()
    found = identity.recorded_splits(run, dataset, config)
    for name, part in data.subsets.items():
        np.testing.assert_array_equal(found.subsets[name].indices, part.indices)
    assert traced() < 2 * MOST_BYTES
