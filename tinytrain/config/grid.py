"""A grid: one TOML file that holds a config for each of its pairs of a network and a dataset.

    title              one sentence about a config, with {network}, {dataset} and {source} in it
    columns            the keys that a row has the values of
    [set]              keys of every config
    [networks.NAME]    NAME: a model; title, source: for the sentence; set: keys with this network
    [datasets.NAME]    NAME: a SPEC; title: for the sentence; set: keys on this dataset
    [rows.NETWORK]     DATASET = [a value for each of the columns]

The config of a row is called FOLDER/NETWORK_DATASET.toml if the grid is FOLDER.toml, though there is no such file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinytrain.config import toml_files
from tinytrain.config.paths import is_there
from tinytrain.errors import UserError, unknown

Tables = dict[str, Any]


def is_grid(tables: Tables) -> bool:
    """Returns whether the tables of a TOML file are those of a grid."""
    return "rows" in tables


def paths(path: Path, tables: Tables) -> list[Path]:
    """Returns what the configs of the grid in the file `path` are called."""
    return [path.with_suffix("") / f"{network}_{dataset}.toml" for network, dataset in _pairs(tables)]


def settings(path: Path) -> dict[str, Any] | None:
    """Returns {dotted key: value} of the config `path` of a grid; None if it is in none, or a file of its own.

    Raises:
        UserError: a grid stands in place of its folder, but has no such row.
    """
    tables = _tables(path)
    if tables is None:
        return None
    network, dataset = _pair(path, tables)
    network_table, dataset_table = tables["networks"][network], tables["datasets"][dataset]
    return {
        **dict(toml_files.flat(tables.get("set", {}))),
        "model.name": network,
        "data.spec": dataset,
        **dict(toml_files.flat(network_table.get("set", {}))),
        **dict(toml_files.flat(dataset_table.get("set", {}))),
        **dict(zip(tables["columns"], tables["rows"][network][dataset], strict=True)),
    }


def title(path: Path) -> str | None:
    """Returns the sentence about the config `path` of a grid; None if it is in none, or a file of its own."""
    tables = _tables(path)
    if tables is None:
        return None
    network, dataset = _pair(path, tables)
    network_table = tables["networks"][network]
    return tables["title"].format(
        network=network_table["title"], dataset=tables["datasets"][dataset]["title"], source=network_table["source"]
    )


def _tables(path: Path) -> Tables | None:
    if is_there(path) or not path.parent.name:
        return None
    grid = path.parent.with_name(f"{path.parent.name}.toml")
    if not is_there(grid) or grid.is_dir():
        return None
    tables = toml_files.read(grid, "config file")
    return tables if is_grid(tables) else None


def _pair(path: Path, tables: Tables) -> tuple[str, str]:
    names = {f"{network}_{dataset}": (network, dataset) for network, dataset in _pairs(tables)}
    if path.suffix != ".toml" or path.stem not in names:
        raise unknown(f"config in '{path.parent}.toml'", path.stem, names)
    return names[path.stem]


def _pairs(tables: Tables) -> Iterator[tuple[str, str]]:
    for network, row in tables["rows"].items():
        for dataset in row:
            if network not in tables["networks"] or dataset not in tables["datasets"]:
                raise UserError(f"the row of {network} and {dataset} has no such network or dataset in this grid")
            yield network, dataset
