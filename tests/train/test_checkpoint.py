"""Checkpoints: which epoch is kept, and what is said of a file that cannot be read, wherever one is."""

import io
import json
import zipfile

import keras
import numpy as np
import pytest

from tinytrain.commands import compare
from tinytrain.config import load as configs
from tinytrain.data.load import load_dataset
from tinytrain.errors import UserError
from tinytrain.run import Run
from tinytrain.train import checkpoint, fit
from tinytrain.train.lr_search import search
from tinytrain.train.resolve import resolve

SMALL = [
    "model.name=resnet8",
    "model.width=0.25",
    "model.resolution=16",
    "data.train_images=64",
    "optim.epochs=1",
    "data.check=false",
    "optim.checkpoint=best",
]


class Learner:
    """What a Checkpoint asks of a method."""

    def __init__(self):
        self.weight = keras.Variable(0.0)
        self.variables, self.network, self.optimizer = [self.weight], self, keras.optimizers.SGD()


def kept(run):
    with np.load(run.best_path) as saved:
        return json.loads(str(saved["state"]))["epoch"], float(saved["00000"])


def train_on(run, history, scores):
    """Gives a Checkpoint epochs of these val top-1; the weight of each is its number."""
    callback, learner = checkpoint.Checkpoint(run, history, "val_top1"), Learner()
    callback.set_model(learner)
    for score in scores:
        learner.weight.assign(len(history) + 1)
        callback.on_epoch_end(len(history), {"val_top1": score})


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.5, 0.7, 0.6], 2),
        ([0.5, 0.7, 0.7, 0.6], 3),
        ([0.7, 0.5, 0.7], 3),
        ([0.7, 0.70004, 0.69996], 3),  # equal to 4 digits
        ([0.7, 0.7002, 0.7], 2),
        ([0.0, 0.0], 2),
    ],
)
@pytest.mark.parametrize("stopped_after", [0, 1, 2])
def test_of_equal_epochs_the_last_is_kept_resumed_or_not(tmp_path, scores, best, stopped_after):
    run = Run(tmp_path)
    train_on(run, [], scores[:stopped_after])
    train_on(run, checkpoint.history(run.last_path), scores[stopped_after:])
    assert kept(run) == (best, best)


def wrong_zip():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("notes.txt", "no numbers")
    return content.getvalue()


def npz(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def damaged(content):
    """Returns {what is wrong: the bytes} of a checkpoint that was `content`."""
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    return {
        "empty": b"",
        "cut short": content[: len(content) // 2],
        "the end cut off": content[:-30],
        "a bit flipped": bytes(flipped),
        "no zip": b"this is no checkpoint",
        "another zip": wrong_zip(),
        "no state": npz(**{"00000": np.zeros(3)}),
        "a state that is none": npz(state=np.array("[1, 2]")),
        "no epoch": npz(state=np.array("{}")),
        "a pickle": npz(state=np.array({"epoch": 1}, dtype=object)),
        "another network": npz(**{"00000": np.zeros(3)}, state=np.array('{"epoch": 1, "history": []}')),
        "an array alone": _array(),
        "missing": None,
    }


def _array():
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


DAMAGES = [*damaged(npz(state=np.zeros(1)))]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run that was stopped after its last epoch, before anything was measured."""
    run = fit.fit(configs.load(None, SMALL), tmp_path_factory.mktemp("checkpoint") / "run")
    run.metrics_path.unlink()
    run.model_path.unlink()
    return run, run.last_path.read_bytes(), run.best_path.read_bytes()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("last.npz", "empty"),
        ("last.npz", "cut short"),
        ("last.npz", "another zip"),
        ("last.npz", "no epoch"),
        ("last.npz", "another network"),
        ("best.npz", "empty"),
        ("best.npz", "missing"),
    ],
)
def test_fit_says_in_one_sentence_what_to_do(interrupted, command_line, name, damage):
    run, last, best = interrupted
    whole, path = {"last.npz": last, "best.npz": best}[name], run.folder / name
    content = damaged(whole)[damage]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    status, out, error = command_line("fit", "--out", run.folder, "--resume")
    path.write_bytes(whole)
    assert (status, out) == (2, "")
    (line,) = error.splitlines()
    assert f"the checkpoint '{path}' " in line
    assert f"delete '{run.last_path}' and resume" in line


def test_what_the_sentence_says_helps(interrupted, tmp_path):
    run, _, best = interrupted
    broken = Run(tmp_path / "run")
    broken.folder.mkdir()
    for path in (broken.config_path, broken.split_path, broken.history_path):
        path.write_bytes((run.folder / path.name).read_bytes())
    broken.best_path.write_bytes(best[:99])
    again = fit.fit(broken.config(), broken.folder, resume=True)
    assert again.metrics()["epochs"] == 1
    checkpoint.history(again.last_path)
    with np.load(again.best_path) as ours, np.load(io.BytesIO(best)) as theirs:
        for name in theirs.files:
            np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name not in ("missing", "another network")])
def test_a_damaged_history_is_the_same_sentence(tmp_path, damage):
    """What the trials of a search are taken up from."""
    path = tmp_path / "last.npz"
    whole = npz(state=np.array('{"epoch": 1, "history": []}'), **{"00000": np.arange(5000.0)})
    path.write_bytes(damaged(whole)[damage])
    with pytest.raises(
        UserError, match=r"the checkpoint '.*last.npz' is damaged \(.+\): delete '.*last.npz' and resume"
    ):
        checkpoint.history(path)


@pytest.mark.parametrize("way", ["grid", "range"])
def test_a_damaged_checkpoint_of_a_search_is_told(tmp_path, way):
    config = configs.load(
        None, [*SMALL, f"search.algorithm={way}", "search.epochs=1", "search.points=2", "optim.batch=2"]
    )
    source = load_dataset(config)
    config = resolve(config, source)
    run = Run(tmp_path)
    folder = run.folder / "search" / {"grid": "trial-000", "range": "first-epoch"}[way]
    folder.mkdir(parents=True)
    (folder / "last.npz").write_bytes(b"")
    (folder / "best.npz").write_bytes(b"")
    with pytest.raises(UserError, match=r"npz' is damaged .*: delete '.*/search/.*/last.npz' and resume"):
        search.find(run, config, fit.Splits(source, config))


@pytest.mark.parametrize("content", ["{}", '{"lr": "0.1"}', '{"lr": NaN}', '{"lr": -1.0}', '{"lr": 1e300}'])
def test_a_damaged_result_of_a_search_is_told(tmp_path, content):
    (tmp_path / "search.json").write_text(content)
    with pytest.raises(UserError, match=r"search.json' holds no learning rate"):
        search.find(Run(tmp_path), configs.load(), None)


def test_compare_tells_it_and_goes_on_with_the_other_runs(interrupted, tmp_path, capsys):
    run, last, _ = interrupted
    file = tmp_path / "one.toml"
    file.write_text(run.config_path.read_text())
    begun = tmp_path / "out/one/digits/seed0"
    begun.mkdir(parents=True)
    for name in ("config.toml", "split.json", "history.csv", "best.npz"):
        (begun / name).write_bytes((run.folder / name).read_bytes())
    (begun / "last.npz").write_bytes(last[:1000])
    with pytest.raises(UserError, match=r"1 of 2 runs failed.*seed0/last.npz' is damaged .*: delete"):
        compare.compare([file], None, 2, tmp_path / "out")
    assert Run(tmp_path / "out/one/digits/seed1").finished
