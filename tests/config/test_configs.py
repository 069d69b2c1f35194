"""Every config in configs/ loads and says where it comes from; the transfer files against NetAug's table, by hand."""

import re

import pytest

from tinytrain.cli.lists import names
from tinytrain.config import library, load
from tinytrain.config.plugins import data_folder
from tinytrain.errors import UserError
from tinytrain.train import optimizers

CONFIGS = data_folder("configs")
FILES = [path for path in sorted(CONFIGS.rglob("*.toml")) if path.parent.name != "tables"]
TRANSFERS = CONFIGS / "transfer"  # a grid: no such folder, but transfer.toml
GRIDS = {CONFIGS / "transfer.toml": 25, CONFIGS / "detect.toml": 4}  # how many configs each holds
# methods.md A.8: base learning rate of one of 4 GPUs and dropout, for each model and dataset.
DATASETS = ["food101", "oxford_flowers102", "cars196", "caltech_birds2011", "oxford_iiit_pet"]
TRANSFER = {
    "mobilenet_v2": [(0.10, 0.2), (0.08, 0.3), (0.18, 0.5), (0.02, 0.7), (0.01, 0.4)],
    "mcunet": [(0.04, 0.1), (0.05, 0.4), (0.25, 0.1), (0.08, 0.6), (0.01, 0.6)],
    "proxylessnas": [(0.10, 0.2), (0.06, 0.2), (0.20, 0.2), (0.04, 0.7), (0.01, 0.8)],
    "mobilenet_v3_large": [(0.20, 0.2), (0.05, 0.6), (0.10, 0.7), (0.02, 0.8), (0.01, 0.8)],
    "mobilenet_v2_tiny": [(0.06, 0.1), (0.08, 0.0), (0.14, 0.2), (0.04, 0.5), (0.06, 0.1)],
}
SIZES = {  # width, resolution
    "mobilenet_v2": (0.35, 160),
    "mcunet": (1.0, 176),
    "proxylessnas": (0.35, 160),
    "mobilenet_v3_large": (0.35, 160),
    "mobilenet_v2_tiny": (0.35, 144),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_a_config_loads_and_begins_with_one_sentence_a_command_and_a_result(path):
    if path not in GRIDS:
        load.load(path)
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert re.fullmatch(r"# [A-Z][^\n]*\.", header[0])
    assert ". " not in header[0]
    assert any(line.startswith("#   tinytrain ") or line.startswith("#   make ") for line in header)
    assert any(line.startswith("# Expected: ") for line in header)


def test_there_are_25_transfers_and_each_has_a_sentence_of_its_own():
    paths = [path for path in library.config_paths() if path.parent == TRANSFERS]
    assert {path.stem for path in paths} == {f"{model}_{data}" for model in TRANSFER for data in DATASETS}
    assert len({library.title_of(path) for path in paths}) == 25
    title = "Transfer to Food-101 of MobileNetV2 0.35 at 160x160: NetAug (Cai et al., 2022), Table 4."
    assert library.title_of(TRANSFERS / "mobilenet_v2_food101.toml") == title


def test_a_row_that_is_not_in_the_grid_and_the_grid_itself_are_told():
    with pytest.raises(UserError, match=r"unknown config in '.*transfer.toml' 'mcunet_food10'; did you mean 'mcunet_f"):
        load.load(TRANSFERS / "mcunet_food10.toml")
    with pytest.raises(UserError, match=r"holds 25 configs: give the name of one of them, such as .*_food101.toml"):
        load.load(CONFIGS / "transfer.toml")


def test_a_folder_beside_a_config_of_its_name_is_no_grid(tmp_path):
    (tmp_path / "own.toml").write_text("seed = 3\n")
    with pytest.raises(UserError, match=r"no config file '.*own/other.toml'"):
        load.load(tmp_path / "own" / "other.toml")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "other.toml").write_text("seed = 4\n")
    assert load.load(tmp_path / "own" / "other.toml").seed == 4


@pytest.mark.parametrize("model", TRANSFER)
@pytest.mark.parametrize("number", range(5), ids=DATASETS)
def test_a_transfer_is_as_published(model, number):
    loaded = load.load(TRANSFERS / f"{model}_{DATASETS[number]}.toml")
    base_lr, dropout = TRANSFER[model][number]
    assert (loaded.data.spec, loaded.model.name) == (DATASETS[number], model)
    assert (loaded.model.width, loaded.model.resolution) == SIZES[model]
    assert (loaded.optim.lr, loaded.model.dropout) == (pytest.approx(4 * base_lr), dropout)
    decay = 3e-5 if model == "mobilenet_v3_large" else 4e-5
    assert (loaded.optim.weight_decay, loaded.optim.label_smoothing) == (decay, 0.1)
    assert (loaded.optim.epochs, loaded.optim.warmup_epochs, loaded.optim.batch) == (55, 5, 256)
    loaded.optim.name = "sgd"  # what "auto" becomes where a rate is said
    assert float(optimizers.build(loaded.optim, 10).learning_rate) == pytest.approx(base_lr)  # of the first step
    assert loaded.data.split == ("trainval" if DATASETS[number] == "oxford_flowers102" else "auto")
    augment = loaded.augment
    assert (augment.resized_crop, augment.crop, augment.flip, augment.saturation) == (0.08, 0, True, 0.5)
    assert augment.brightness == pytest.approx(32 / 255, abs=1e-5)


def test_the_list_names_those_in_folders():
    listed = names.LISTS["configs"]()
    assert next(iter(listed)) == "digits"
    assert "transfer/mobilenet_v2_food101" in listed
    assert len(listed) == len(FILES) - len(GRIDS) + sum(GRIDS.values()) + len(list((CONFIGS / "tables").glob("*.toml")))
