"""`tinytrain clean`: what it finds in the cache, what it removes, and what it leaves alone."""

import json
import select
import subprocess
import sys

import pytest

from tinytrain import files
from tinytrain.commands.clean import clean
from tinytrain.config import load as configs
from tinytrain.data.load import load_dataset
from tinytrain.data.splits import Splits
from tinytrain.train.resolve import resolve

USE = """import sys
from tinytrain import files
print("begun", flush=True)
files.cache_folder()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The empty cache of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path / "caches/tinytrain"


def fill(folder):
    """Makes entries of 1, 2, 4 … bytes of each kind in the cache."""
    digest = "0123456789abcdef" * 2
    names = [f"images-{digest}/00000-of-00001.npy", f"scan-{digest}.npy", f"facts-{digest}.npy", f"labels-{digest}.npy"]
    names += [f"records-{digest}/train/0000000-a.png", f"firmware/{digest}.elf", f"networks/{digest[:24]}.json"]
    names += [f"worker-{digest}", ".tinytrain-01234567-abc.npy", f"regimes-{digest}.png"]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(1 << number))
    return names


def test_what_a_command_has_cached_is_shown_and_removed_on_demand(cache, image_folder, command_line):
    config = configs.load(None, [f"data.spec=folder:{image_folder()}"])
    data = load_dataset(config)
    Splits(data, resolve(config, data)).samples("train")
    status, out, error = command_line("clean", "--json")
    assert (status, error) == (0, "")
    shown = json.loads(out.splitlines()[-1])
    assert {row["kind"] for row in shown["kinds"]} == {"images", "facts"}
    assert shown["bytes"] == sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) > 36 * 16 * 16 * 3
    assert (shown["cache"], shown["others"], shown["removed"]) == (str(cache), [], False)
    assert "`tinytrain clean --yes` removes them" in out
    removed = json.loads(command_line("clean", "--yes", "--json")[1].splitlines()[-1])
    assert removed == shown | {"removed": True}
    assert list(cache.iterdir()) == []
    assert f"nothing is cached in '{cache}'" in command_line("clean")[1]


def test_every_kind_is_counted_by_itself(cache):
    fill(cache)
    result, text = clean()
    sizes = {row["kind"]: (row["files"], row["bytes"]) for row in result["kinds"]}
    assert sizes == {
        "images": (1, 1),
        "facts": (3, 2 + 4 + 8),
        "records": (1, 16),
        "firmware": (1, 32),
        "networks": (1, 64),
        "leftovers": (2, 128 + 256),
        "regimes": (1, 512),
    }
    assert (result["files"], result["bytes"]) == (10, 1023)
    assert "1,023" in text


def test_what_is_not_of_tinytrain_stays(cache, tmp_path):
    """A checkout called tinytrain, in a folder that XDG_CACHE_HOME names, has folders of the same names."""
    fill(cache)
    ours = ["README.md", "firmware/Makefile", "runs/digits-001/config.toml", "networks/notes.json", "images-mine/a.png"]
    for name in ours:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.npy").touch()
    (cache / f"images-{'0' * 32}").symlink_to(tmp_path / "elsewhere")
    result, text = clean(remove=True)
    left = sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())
    assert left == sorted(ours)
    assert (tmp_path / "elsewhere/a.npy").exists()
    others = ["README.md", "firmware/Makefile", f"images-{'0' * 32}", "images-mine", "networks/notes.json", "runs"]
    assert result["others"] == others
    assert f"not made by tinytrain, left alone: {', '.join(others)}" in text


def test_a_cache_that_another_process_uses_is_left_whole(cache, command_line):
    names = fill(cache)
    user = subprocess.Popen([sys.executable, "-c", USE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert [user.stdout.readline(), user.stdout.readline()] == ["begun\n", "ready\n"]
    status, out, error = command_line("clean", "--yes")
    assert (status, out) == (2, "")
    assert error == (
        f"tinytrain: another tinytrain command is using the cache '{cache}': wait until it has ended; nothing was "
        "removed\n"
    )
    assert all((cache / name).exists() for name in names)
    assert command_line("clean")[0] == 0  # to look is no harm
    user.communicate()
    assert command_line("clean", "--yes")[0] == 0
    assert not any((cache / name).exists() for name in names)


def test_a_process_waits_for_a_clean_that_is_under_way(cache):
    handle = files.use_cache(files.cache_folder())
    assert files.leases.try_lock(handle)
    user = subprocess.Popen([sys.executable, "-c", USE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert user.stdout.readline() == "begun\n"
    assert not select.select([user.stdout], [], [], 0.3)[0]
    assert files.leases.try_lock(handle, shared=True)
    assert user.communicate()[0] == "ready\n"


def test_a_mistake_is_one_sentence(command_line):
    status, out, error = command_line("clean", "images")
    assert (status, out) == (2, "")
    assert error == "tinytrain: clean takes no argument, received images: it cleans the whole cache\n"
