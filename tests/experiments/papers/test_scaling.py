"""`--scale` and `--batch`: each number that is counted in epochs or images, worked by hand."""

import pytest

from tinytrain.config import load as configs
from tinytrain.config import schema
from tinytrain.errors import UserError
from tinytrain.experiments.papers import scaling
from tinytrain.experiments.papers.scaling import Scale
from tinytrain.train.plateau import Plateau


def scaled(scale, *words, train=45_000, val=5_000, classes=10):
    return scaling.scaled(configs.load(None, words), scale, train, val, classes)


def test_a_scale_is_a_share_of_the_work_or_of_each_part():
    assert scaling.parse(None) == Scale(1, 1)
    assert scaling.parse(None).full
    assert scaling.parse("1").full
    sixteenth = scaling.parse("0.0625")  # a quarter of the epochs, and half of the width: a quarter of the work again
    assert (sixteenth.epochs, sixteenth.width, sixteenth.images, sixteenth.resolution) == (0.25, 0.5, 1, 1)
    assert (sixteenth.work, sixteenth.text, sixteenth.full) == (0.0625, "0.0625", False)
    assert sixteenth.at_full_width() == Scale(0.0625)
    assert scaling.parse("0.1").text == "0.1"
    assert scaling.parse("0.5,0.02") == Scale(0.5, 0.02)
    assert not scaling.parse("1,0.5").full
    assert scaling.parse("0.5,1,0.25") == Scale(0.5, 1, 0.25)
    assert (scaling.parse("0.5,1,0.25").text, scaling.parse("0.5,1").text) == ("0.5,1,0.25", "0.5,1")


def test_a_share_of_the_work_keeps_all_images_and_narrows_every_network():
    config = scaled(Scale.of_work(0.0625), "optim.epochs=15", "model.width=0.35", "optim.warmup_epochs=3")
    assert (config.optim.epochs, config.model.width) == (4, 0.175)
    assert config.optim.warmup_epochs == pytest.approx(3 * 4 / 15)
    assert (config.data.train_images, config.data.val_images) == (0, 0)
    assert scaled(Scale.of_work(0.0625), "model.name=mobilenet_v1").model.width == 0.125  # of its usual 0.25
    assert scaled(Scale(0.25)).model.width == "auto"


@pytest.mark.parametrize("word", ["0", "-1", "1.5", "half", "0.1,0.2,0.3,0.4", "", "nan"])
def test_what_is_no_scale_is_told(word):
    with pytest.raises(UserError, match="is not a scale: expected a share of the work"):
        scaling.parse(word)


def test_a_share_that_leaves_out_less_than_an_image_of_each_class_is_all():
    assert scaled(Scale(1, 0.999), train=45_000, classes=100).data.train_images == 0
    assert scaled(Scale(1, 0.99), train=45_000, classes=100).data.train_images == 44_550


def test_epochs_and_warm_up_scale_by_what_is_left_after_rounding():
    config = scaled(Scale(0.1, 1), "optim.epochs=155", "optim.warmup_epochs=5", "optim.warmup_from=0.0625")
    assert config.optim.epochs == 16  # of 15.5
    assert config.optim.warmup_epochs == pytest.approx(5 * 16 / 155)
    assert config.optim.warmup_from == 0.0625
    assert (config.data.train_images, config.data.val_images) == (0, 0)
    assert scaled(Scale(0.001, 1), "optim.epochs=30").optim.epochs == 1


def test_drops_keep_their_share_of_the_epochs():
    """200 epochs are 4 at 0.02, and 160 and 180 of them 3.2 and 3.6; one epoch still has its two drops."""
    words = ["optim.schedule=steps", "optim.drops=[160, 180]", "optim.epochs=200", "task=detect"]
    config = scaled(Scale(0.02, 1), *words, "augment.mix_off_epochs=25")
    assert (config.optim.epochs, config.optim.drops) == (4, [pytest.approx(3.2), pytest.approx(3.6)])
    assert config.augment.mix_off_epochs == 0  # of 0.5, to even
    assert configs.apply(scaled(Scale(0.001, 1), *words), []).optim.drops == [pytest.approx(0.8), pytest.approx(0.9)]
    assert scaled(Scale(0.02, 1), "optim.epochs=200").augment.mix_off_epochs == 20  # it is for boxes


def test_images_are_those_of_the_split_and_enough_to_choose_an_epoch():
    config = scaled(Scale(1, 0.1), "optim.epochs=155")
    assert (config.optim.epochs, config.data.train_images, config.data.val_images) == (155, 4500, 1000)
    assert scaled(Scale(1, 0.4)).data.val_images == 2000
    assert scaled(Scale(1, 0.1), val=300).data.val_images == 300
    assert scaled(Scale(1, 0.1), val=0).data.val_images == 0  # the data's own
    assert scaled(Scale(1, 1e-5)).data.train_images == 10  # one of each class


def test_a_smaller_resolution_of_boxes_is_a_multiple_of_the_stride_and_takes_the_anchors_with_it():
    """A third of 416 is 139; 128 of 416 are a share of 4/13."""
    words = ["task=detect", "model.resolution=416", "detect.anchors=[13, 26, 2, 416]", "detect.strides=[32, 16]"]
    config = scaled(Scale(1, 1, 1 / 3), *words)
    assert config.model.resolution == 128
    assert config.detect.anchors == [pytest.approx(4), pytest.approx(8), 1, pytest.approx(128)]
    assert scaled(Scale(1, 1, 0.01), *words).model.resolution == 32
    assert scaled(Scale(1, 1, 0.4), "model.resolution=160").model.resolution == 64
    assert scaled(Scale(1, 1, 0.4)).model.resolution == "auto"


def test_the_plateau_counts_fewer_epochs_and_ends():
    config = scaled(Scale(0.1, 1), "optim.schedule=plateau", "optim.epochs=200", "optim.warmup_epochs=5")
    assert config.optim.epochs == 20
    assert (config.plateau.patience, config.plateau.stop_patience) == (1, 1)  # of 0.5
    assert config.optim.warmup_epochs == 0  # of half an epoch; the plateau's is whole
    half = scaled(Scale(0.5, 1), "optim.schedule=plateau", "optim.epochs=200", "optim.warmup_epochs=5")
    assert (half.plateau.patience, half.plateau.stop_patience, half.optim.warmup_epochs) == (2, 2, 2)
    plateau = Plateau(half.optim, half.plateau)
    for _ in range(100):
        plateau.after_epoch(1.0, 0.5)
    assert plateau.stopped


@pytest.mark.parametrize(("way", "epochs"), [("tpe", 2), ("grid", 3)])
def test_a_search_is_shorter(way, epochs):
    config = scaled(Scale(0.3, 1), f"search.algorithm={way}", "optim.epochs=200")
    assert config.search.epochs == epochs  # of 1.8 and 2.7
    assert config.search.trials == schema.Search().trials
    assert scaled(Scale(0.3, 1), "optim.epochs=200").search.epochs == "auto"


def test_the_whole_scale_changes_nothing():
    words = ["optim.epochs=155", "optim.warmup_epochs=5", "search.algorithm=tpe", "optim.schedule=plateau"]
    assert scaled(Scale(), *words) == configs.load(None, words)


def test_a_smaller_batch_takes_the_rate_of_sgd_with_it():
    config = scaling.batched(configs.load(None, ["optim.batch=2048", "optim.lr=0.4", "search.low=0.02"]), 64 / 2048)
    assert (config.optim.batch, config.optim.lr) == (64, pytest.approx(0.0125))
    assert (config.search.low, config.search.high) == (
        pytest.approx(0.02 / 32),
        pytest.approx(0.029 / 32),
    )  # methods.md C.5
    adam = scaling.batched(configs.load(None, ["optim.name=adam", "optim.batch=128", "optim.lr=0.001"]), 0.5)
    assert (adam.optim.batch, adam.optim.lr) == (64, 0.001)


def test_an_arm_of_small_batches_keeps_batch_statistics():
    tinytl = scaling.batched(configs.load(None, ["optim.batch=8", "optim.lr=0.1"]), 32 / 256)
    assert (tinytl.optim.batch, tinytl.optim.lr) == (8, 0.1)
    assert scaling.batched(configs.load(None, ["optim.batch=16"]), 0.25).optim.batch == 8
    assert scaling.batched(configs.load(None, ["optim.batch=4"]), 0.25).optim.batch == 4
