"""The configs in configs/: recipes by name, and all single configs with what they are for."""

from collections.abc import Iterable
from pathlib import Path

from tinytrain.config import grid, plugins, toml_files
from tinytrain.config.paths import is_there
from tinytrain.errors import unknown


def path_of(config: Path | str) -> Path:
    """Returns the path of a config file or, if there is none, of the recipe (configs/recipes) of this name."""
    path, recipe_path = Path(config), _recipes() / f"{config}.toml"
    return recipe_path if not is_there(path) and is_there(recipe_path) else path


def recipe(name: str) -> Path:
    """Returns the path of the recipe `name`; raises UserError, with the nearest name, if there is none."""
    known = recipe_names()
    if name not in known:
        raise unknown("recipe", name, known)
    return _recipes() / f"{name}.toml"


def recipe_names() -> list[str]:
    """Returns the names of the recipes, sorted."""
    return sorted(path.stem for path in _recipes().glob("*.toml"))


def config_paths() -> list[Path]:
    """Returns the paths of all single configs, those of a grid included, those in the folder itself first."""
    configs: list[Path] = []
    for path in set(_folder().rglob("*.toml")) - set(table_paths()):
        tables = toml_files.read(path, "config file")
        configs += grid.paths(path, tables) if grid.is_grid(tables) else [path]
    return sorted_paths(configs)


def table_paths() -> list[Path]:
    """Returns the files of the papers' tables, sorted."""
    return sorted((_folder() / "tables").glob("*.toml"))


def sorted_paths(paths: Iterable[Path]) -> list[Path]:
    """Returns paths below configs/ in the order of lists: those in the folder itself first."""
    return sorted(paths, key=lambda path: (len(path.relative_to(_folder()).parts), path))


def name_of(path: Path) -> str:
    """Returns what a config below configs/ is called in lists, such as transfer/mobilenet_v2_food101."""
    return path.relative_to(_folder()).with_suffix("").as_posix()


def title_of(path: Path) -> str:
    """Returns the sentence that a config begins with."""
    return grid.title(path) or path.read_text().splitlines()[0].lstrip("# ")


def _folder() -> Path:
    return plugins.data_folder("configs")


def _recipes() -> Path:
    return _folder() / "recipes"
