"""Images in a folder for each class, with or without train, val and test folders above them: `folder:PATH`.

A class folder may hold subfolders; all images below it are of its class.
"""

from pathlib import Path

from tinytrain import image_files
from tinytrain.datasets import SPLIT_NAMES, Source
from tinytrain.errors import UserError
from tinytrain.schema import Data


def load(argument: str, data: Data) -> Source:
    """Returns the images below the folder `argument`; raises UserError for what cannot be trained on."""
    root = _folder(argument)
    found = _class_folders(root)
    classes = sorted({name for split in found.values() for name in split})
    _refuse_missing_classes(root, found, classes)
    numbers = {name: number for number, name in enumerate(classes)}
    files = {
        split: [(path, numbers[name]) for name, folder in folders.items() for path in image_files.files_below(folder)]
        for split, folders in found.items()
    }
    return image_files.source(root, classes, files, data)


def _folder(argument: str) -> Path:
    root = Path(argument).expanduser()
    if not argument or not root.exists():
        raise UserError(f"no folder '{argument}': data.spec=folder:PATH wants a folder that holds one folder per class")
    if not root.is_dir():
        raise UserError(f"'{argument}' is a file: data.spec=folder:PATH wants a folder that holds one folder per class")
    return root


def _class_folders(root: Path) -> dict[str, dict[str, Path]]:
    """Returns {split: {class: folder}}; the split is "all" where no train, val or test folders stand above."""
    folders = _subfolders(root)
    splits = {name: path for name, path in folders.items() if name.lower() in SPLIT_NAMES}
    if "train" not in {SPLIT_NAMES[name.lower()] for name in splits}:
        found = {"all": folders}
    elif len(splits) < len(folders):
        extra = sorted(set(folders) - set(splits))
        raise UserError(f"'{root}' holds split folders and others ({', '.join(extra)}): move the others away")
    else:
        found = {SPLIT_NAMES[name.lower()]: _subfolders(path) for name, path in splits.items()}
    classes = sorted({name for split in found.values() for name in split})
    if len(classes) < 2:
        listed = ", ".join(classes) or "none"
        raise UserError(f"'{root}' holds fewer than two class folders ({listed}): make one folder of images per class")
    return found


def _subfolders(root: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")}


def _refuse_missing_classes(root: Path, found: dict[str, dict[str, Path]], classes: list[str]) -> None:
    missing = [f"{split}/{name}" for split, folders in found.items() for name in classes if name not in folders]
    if missing:
        raise UserError(f"'{root}' has no folder {', '.join(missing)}: every split needs every class")
