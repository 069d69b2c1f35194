"""Which network teaches, by MACs that are given; and what the configs of the arms are."""

import pytest

from tinytrain.config import load as configs
from tinytrain.data.load import load_dataset
from tinytrain.errors import UserError
from tinytrain.experiments.teaching import larger
from tinytrain.experiments.teaching.arms import Arms, Student
from tinytrain.nn import imagenet

SMALL = ["model.name=resnet8", "model.width=0.25", "model.resolution=32", "model.channels=3", "model.stem=cifar"]


def student(*words):
    """Returns the student of the digits with these words."""
    config = configs.load(None, [*SMALL, *words])
    return Student.of(config, configs.typed(None, [*SMALL, *words]), load_dataset(config))


def counted(**macs):
    """Returns a count of MACs: so many million for the width 1 of an architecture, in proportion to width squared."""
    return lambda config, classes: round(1e6 * macs[config.model.name] * float(config.model.width) ** 2)


@pytest.mark.parametrize(
    ("words", "macs", "expected"),
    [
        ([], {"resnet8": 12}, ("resnet8", 1.0, 16)),
        (["model.width=0.5"], {"resnet8": 12}, ("resnet8", 1.0, 4)),
        (["model.width=0.6"], {"resnet8": 12}, ("resnet8", 1.5, 6.25)),
        (["model.width=1"], {"resnet8": 12}, ("resnet8", 2.0, 4)),
        (["model.name=mobilenet_v2", "model.width=0.5"], {"resnet8": 12, "mobilenet_v2": 24}, ("resnet8", 1.5, 4.5)),
        # above 64 pixels the architecture stays
        (
            ["model.name=mobilenet_v2", "model.width=0.35", "model.resolution=96"],
            {"resnet8": 12, "mobilenet_v2": 24},
            ("mobilenet_v2", 1.0, 1 / 0.35**2),
        ),
    ],
)
def test_the_teacher_is_the_first_with_four_times_the_macs(words, macs, expected):
    chosen = larger.choose(student(*words).known, 10, counted(**macs))
    assert (chosen.name, chosen.width, chosen.ratio) == (*expected[:2], pytest.approx(expected[2]))
    assert chosen.weights == ""


def test_a_published_file_that_is_there_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    known, macs = student("model.width=1").known, counted(resnet8=12, mobilenet_v2=48)
    (tmp_path / "models" / imagenet.PUBLISHED["mobilenet_v2"].file(0.75, 96)).touch()  # 27 million: too small
    assert larger.choose(known, 10, macs).name == "resnet8"
    (tmp_path / "models" / imagenet.PUBLISHED["mobilenet_v2"].file(1.0, 96)).touch()
    chosen = larger.choose(known, 10, macs)
    assert (chosen.name, chosen.width, chosen.weights, chosen.stem) == ("mobilenet_v2", 1.0, "imagenet", "cifar")
    gray = student("model.width=1", "model.channels=1").known
    assert larger.choose(gray, 10, macs).name == "resnet8"


def test_a_student_that_nothing_is_larger_than():
    with pytest.raises(UserError, match="no network with 4 times the MACs of resnet8 of width 4, 192,000,000"):
        larger.choose(student("model.width=4").known, 10, counted(resnet8=12))


def test_the_macs_of_a_teacher_are_those_of_its_network():
    # MLPerf Tiny's ResNet-8 has 12.5 million (https://arxiv.org/abs/2106.07597)
    assert larger.network_macs(student("model.width=1").known, 10) == pytest.approx(12.5e6, rel=0.005)


@pytest.fixture
def arms(tmp_path):
    """Returns a function that gives the arms of a student with these words."""
    teacher = larger.Larger("mobilenet_v1", 1.0, "cifar", "", 9.0)
    return lambda *words, known=teacher, given="": Arms(student(*words), tmp_path, known, given)


def test_the_teacher_sees_the_same_images_and_has_no_methods(arms, tmp_path):
    words = ["method=netaug", "model.weights=elsewhere", "model.init=netaug", "optim.epochs=7", "seed=3"]
    taught = arms(*words)
    config = taught.teacher.config
    assert (config.model.name, config.model.width, config.model.stem) == ("mobilenet_v1", 1.0, "cifar")
    assert (config.method, config.model.weights, config.model.init) == ("", "", "auto")
    assert (config.model.resolution, config.model.channels, config.optim.epochs, config.seed) == (32, 3, 7, 3)
    assert {"model.name", "model.width", "method", "optim.epochs"} <= set(taught.teacher.typed)
    assert taught.plain.config.method == "netaug"
    assert [run.folder.name for run in taught.first] == ["plain", "teacher"]
    assert taught.teacher_key == str(tmp_path / "teacher")


def test_distillation_goes_around_the_methods_of_the_user(arms):
    assert arms().taught(False).config.method == "distill"
    planned = arms("method=sam").taught(False)
    assert (planned.config.method, planned.folder.name) == ("sam+distill", "distilled")
    assert arms("method=sam").why_no_netaug() == "it is already trained with method=sam"
    given = arms(known=None, given="runs/large")
    assert given.taught(False).config.distill.teacher == "runs/large"
    assert given.teacher is None


def test_netaug_widens_all_the_time_where_there_is_no_expansion(arms):
    planned = arms().taught(True)
    assert (planned.config.method, planned.folder.name) == ("netaug+distill", "netaug_distilled")
    assert planned.config.netaug.expansion_only == 0
    assert arms().why_no_netaug() == ""
    own = arms("netaug.expansion_only=0.3").taught(True)
    assert own.config.netaug.expansion_only == 0.3
    assert arms("model.name=mobilenet_v2", "model.width=0.1").taught(True).config.netaug.expansion_only == 0.5


def test_longer_training_drops_its_rate_at_the_same_shares(arms):
    planned = arms("optim.schedule=steps", "optim.drops=[4,6]", "optim.epochs=8").longer(20)
    assert (planned.config.optim.epochs, planned.config.optim.drops) == (20, [10, 15])
    assert arms("optim.epochs=8").longer(20).config.optim.drops == "none"
