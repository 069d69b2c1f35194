"""What is drawn: only networks that fit, and no key that the user has typed. Nothing is built."""

import optuna
import pytest

from tinytrain.config import load as configs
from tinytrain.searching import space as spaces
from tinytrain.searching.space import Network, Space


class Room:
    """A board on which a network fits if width · resolution is at most `most`, less where the stem is cifar's."""

    def __init__(self, most=50.0):
        self.most = most

    def may_fit(self, network):
        return network.width * network.resolution * (2 if network.stem == "cifar" else 1) <= self.most

    def widths(self, name, resolution, stem, candidates):
        return [width for width in candidates if self.may_fit(Network(name, width, resolution, stem))]


def space(*words, side=96, room=None):
    return Space(configs.load(None, words), configs.typed(None, words), side, room or Room())


def draws(of, count=60):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [of.draw(study.ask(), of.architectures) for _ in range(count)]


@pytest.mark.parametrize(("side", "expected"), [(32, [24, 32]), (8, [8]), (50, [24, 32, 48, 50]), (640, [224])])
def test_no_resolution_is_larger_than_the_images_and_one_is_theirs(side, expected):
    assert spaces.resolutions(side)[-len(expected) :] == expected
    assert spaces.resolutions(640)[:3] == [24, 32, 48]


def test_every_draw_fits_and_all_kinds_are_drawn():
    of = space()
    networks = [network for network, _ in draws(of)]
    assert all(of.fits.may_fit(network) for network in networks)
    assert {network.stem for network in networks if network.resolution <= spaces.MOST_CIFAR} == {"imagenet", "cifar"}
    assert {network.stem for network in networks if network.resolution > spaces.MOST_CIFAR} == {"imagenet"}
    assert len({network.name for network in networks}) == len(of.architectures)
    assert {network.resolution for network in networks} == set(of.all_resolutions)


def test_the_share_of_the_width_is_of_those_that_fit():
    of, study = space("model.name=resnet8", "model.stem=imagenet", "model.resolution=48"), optuna.create_study()
    study.enqueue_trial({"width": 1.0})
    study.enqueue_trial({"width": 0.0})
    widest, narrowest = (of.draw(study.ask(), of.architectures)[0].width for _ in range(2))
    assert (narrowest, widest) == (0.1, 1.0)  # 50/48 = 1.04, and 1.25 is the next


def test_what_was_typed_is_not_drawn():
    words = ("model.name=resnet8", "model.width=0.5", "model.resolution=32", "model.stem=cifar", "optim.lr=0.1")
    words += ("optim.weight_decay=0", "optim.label_smoothing=0", "augment.resized_crop=1")
    of, study = space(*words), optuna.create_study()
    trial = study.ask()
    assert of.draw(trial, of.architectures) == (Network("resnet8", 0.5, 32, "cifar"), {})
    assert set(trial.params) == {"architecture"}


def test_the_parameters_of_a_network_draw_it_again():
    of, network = space(), Network("mobilenet_v2", 0.35, 48, "cifar")
    study = optuna.create_study()
    study.enqueue_trial(of.parameters(network))
    drawn, training = of.draw(study.ask(), of.architectures)
    assert drawn == network
    assert training == {"optim.lr": 1.0, "optim.weight_decay": 1.0}


def test_the_nearest_network_fits():
    assert space().nearest(Network("resnet8", 4.0, 128, "cifar")) == Network("resnet8", 0.5, 96, "imagenet")
    assert space(side=32).nearest(Network("resnet8", 1.0, 32, "cifar")) == Network("resnet8", 0.75, 32, "cifar")


def test_a_resolution_without_room_is_not_drawn():
    of = space(room=Room(most=0.1 * 64))
    assert max(network.resolution for network, _ in draws(of)) == 64
