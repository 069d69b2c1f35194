"""Boxes in the format of Pascal VOC: `voc:PATH`, an XML file for each picture.

PATH holds JPEGImages, Annotations and, if there are official splits, ImageSets/Main; or several such folders, as
VOCdevkit does; or any folders of XML files and pictures, in train, valid and test folders or not. An XML file belongs
to the picture of the same name.

VOC counts pixels from 1 and both corners belong to the box: it is xmin-1, ymin-1, xmax, ymax. Other tools count from 0:
where a box begins at 0, all of the data are taken as xmin, ymin, xmax, ymax.
"""

from collections import defaultdict
from pathlib import Path

from tinytrain.config.schema import Data
from tinytrain.data import box_files, box_pairs, box_tree, voc_lists, voc_xml
from tinytrain.data.box_fit import Annotated
from tinytrain.data.box_problems import Problems
from tinytrain.data.box_values import Unreadable, class_name, flag, size
from tinytrain.data.boxes import DIFFICULT, NORMAL, Box, with_names
from tinytrain.data.source import Dataset
from tinytrain.data.voc_xml import Annotation

NEEDS = "XML files and pictures, such as Annotations and JPEGImages"
MASKS = ("segmentationclass", "segmentationobject")  # pictures that belong to no box
Files = dict[Path, Annotation]


def load(argument: str, data: Data) -> Dataset:
    """Returns the pictures below the folder `argument` with their boxes.

    Raises:
        UserError: there is no such folder, it holds no annotation, or no picture that can be used.
    """
    tree, problems = box_tree.Tree(box_tree.open_folder(argument, "voc", NEEDS), MASKS), Problems()
    files = _read(tree, problems)
    if not files and not problems.lines["unreadable annotation"]:
        raise box_tree.none_found(tree.root, "voc", NEEDS)
    pictures = _pictures(tree, files, problems)
    classes, boxes = _boxes(tree, files, problems)
    splits = voc_lists.splits(tree, problems)
    annotated = []
    for path, file in pictures.items():
        declared = files[file].size
        declared_size = size(declared.get("width"), declared.get("height"))
        annotated += [Annotated(path, boxes[file], split, declared_size, tree.name(file)) for split in splits(path)]
        problems.skipped |= {path} if file in problems.skipped else set()
    folders = {path.parent for path in pictures}
    background = [path for path in tree.pictures if path not in pictures and path.parent in folders]
    annotated += [Annotated(path, split=split) for path in background for split in splits(path)]
    return box_files.load(tree.root, classes, annotated, problems, data)


def _read(tree: box_tree.Tree, problems: Problems) -> Files:
    """Returns the annotation of each XML file that is one."""
    files = {}
    for path in tree.with_suffix(".xml"):
        try:
            annotation = voc_xml.read(path)
        except Unreadable as error:
            problems.add("unreadable annotation", f"{tree.name(path)}: {error}")
            problems.skipped |= set(tree.pictures_of(path.stem, path))
            continue
        if annotation is None:
            problems.add("left out", f"{tree.name(path)}: no <annotation>")
        else:
            files[path] = annotation
    return files


def _pictures(tree: box_tree.Tree, files: Files, problems: Problems) -> dict[Path, Path]:
    """Returns {picture: its XML file}."""
    pairs = []
    for path, annotation in files.items():
        found = tree.pictures_of(path.stem, path)
        named = [picture for picture in found if picture.name == Path(annotation.filename).name]
        if len(named or found) == 1:
            pairs.append((path, (named or found)[0]))
        elif picture := tree.take(
            path.stem if found else annotation.filename or path.stem, path, tree.name(path), problems
        ):
            pairs.append((path, picture))
    claims: dict[Path, list[Path]] = defaultdict(list)
    for path, picture in box_pairs.without_far(tree, pairs, problems):
        claims[picture].append(path)
    for picture, paths in claims.items():
        if len(paths) > 1:
            problems.add("two annotations", f"{tree.name(picture)}: {' and '.join(map(tree.name, paths))}")
    return {picture: paths[0] for picture, paths in claims.items()}


def _boxes(tree: box_tree.Tree, files: Files, problems: Problems) -> tuple[list[str], dict[Path, list[Box]]]:
    """Returns the names of the classes and the boxes of each file; a file with a box that is none is left out."""
    rows = []  # (file, where, class, sides, flag)
    for path, annotation in files.items():
        for box in annotation.boxes:
            where = f"{tree.name(path)}, line {box.line}"
            try:
                state = DIFFICULT if flag("difficult", box.difficult) else NORMAL
                rows.append((path, where, class_name(box.name), box.numbers(), state))
            except Unreadable as error:
                problems.add("malformed box", f"{where}: {error}", path)
    classes = sorted({name for _, _, name, _, _ in rows})
    zero_based = [where for _, where, _, sides, _ in rows if _begins_at_zero(*sides)]
    for where in zero_based:
        problems.add("zero-based", where)
    boxes: dict[Path, list[Box]] = {path: [] for path in files}
    for path, where, name, (x0, y0, x1, y1), state in rows:
        written = with_names(voc_xml.SIDES, (x0, y0, x1, y1))
        if not zero_based:  # a box from a pixel to itself has no area by any count
            x0, y0 = x0 - (x1 > x0), y0 - (y1 > y0)
        boxes[path].append(Box(classes.index(name), (x0, y0, x1, y1), state, where=where, written=written))
    return classes, boxes


def _begins_at_zero(x0: float, y0: float, x1: float, y1: float) -> bool:
    return x0 < x1 and y0 < y1 and (0 <= x0 < 1 or 0 <= y0 < 1)
