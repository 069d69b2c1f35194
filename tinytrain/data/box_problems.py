"""Collects what is wrong with boxes while their files are read, and makes one finding of each kind."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytrain.data.source import Finding, counted

SKIP = "or go on without {their} picture{s} with data.skip_bad=true"
# The words of a sentence about one thing, and about several.
ONE = {"them": "it", "their": "its", "they": "it", "s": "", "is": "is", "a_box": "the box", "verb_s": "s"}
MANY = {"them": "them", "their": "their", "they": "they", "s": "s", "is": "are", "a_box": "the boxes", "verb_s": ""}


@dataclass(frozen=True)
class Kind:
    """A kind of problem: what there are some of (singular, plural), what is wrong with them, and what to do.

    text and hint have the words of ONE or MANY, such as {them}, in braces. severe: it forbids training; skippable:
    unless data.skip_bad leaves the pictures out.
    """

    singular: str
    plural: str
    text: str
    hint: str
    severe: bool = False
    skippable: bool = False


KINDS = {
    "unreadable annotation": Kind(
        "annotation file", "annotation files", "cannot be read", f"repair {{them}}, {SKIP}", severe=True, skippable=True
    ),
    "malformed box": Kind(
        "annotation", "annotations", "cannot be read as boxes", f"correct {{them}}, {SKIP}", severe=True, skippable=True
    ),
    "no picture": Kind(
        "annotation",
        "annotations",
        "without a picture",
        "add the picture{s}, or go on without the annotation{s} with data.skip_bad=true",
        severe=True,
        skippable=True,
    ),
    "two pictures": Kind(
        "annotation", "annotations", "with more than one picture of that name", "keep one of them", severe=True
    ),
    "two names": Kind(
        "picture", "pictures", "found by two names", "add the missing picture, or correct the names", severe=True
    ),
    "two annotations": Kind(
        "picture", "pictures", "with more than one annotation file", "keep one of them", severe=True
    ),
    "class names": Kind("mistake", "mistakes", "in the names of the classes", "correct the file", severe=True),
    "unknown class": Kind("box", "boxes", "of an unknown class", "correct {them}, or name the class", severe=True),
    "EXIF": Kind(
        "picture",
        "pictures",
        "turned by EXIF, whose boxes fit neither the file nor the upright picture",
        "save {them} upright and draw the boxes again",
        severe=True,
    ),
    "resized": Kind(
        "picture",
        "pictures",
        "of another size than the annotation says, with boxes beyond the border",
        "use the picture{s} that the boxes were drawn on",
        severe=True,
    ),
    "size": Kind(
        "picture",
        "pictures",
        "of another size than the annotation says",
        "the boxes are used as they are; check in the samples of `tinytrain data` that they fit",
    ),
    "boxes turned": Kind(
        "picture",
        "pictures",
        "turned by EXIF, whose boxes were drawn before that and are turned too",
        "nothing to do; if you save {them} upright, every program shows {them} the same way",
    ),
    "EXIF kept": Kind(
        "picture",
        "pictures",
        "turned by EXIF, whose boxes are taken as drawn on the upright picture",
        "check in the samples of `tinytrain data` that they fit; if you save {them} upright, there is nothing to guess",
    ),
    "no area": Kind("box", "boxes", "without area, left out", "remove {them}, or draw {them} again"),
    "swapped": Kind(
        "box",
        "boxes",
        "whose right or lower border comes before the left or upper one, left out",
        "swap {their} corners; a negative width or height has the same effect",
    ),
    "outside": Kind("box", "boxes", "outside of the picture, left out", "remove {them}, or draw {them} again"),
    "clipped": Kind(
        "box", "boxes", "beyond the border of the picture, clipped", "nothing to do, unless {they} {is} wrong"
    ),
    "far beyond": Kind(
        "box",
        "boxes",
        "beyond the border by more than half a side of the picture, clipped",
        "correct {them}: such a number belongs to another picture, or has a digit too many",
    ),
    "same box": Kind("box", "boxes", "given twice, used once", "keep one of them"),
    "polygon": Kind(
        "outline",
        "outlines",
        "taken as {a_box} around {them}",
        "nothing to do, unless boxes are there",
    ),
    "zero-based": Kind(
        "box",
        "boxes",
        "that begin{verb_s} at 0, so all of this data is read as counted from 0, not from 1 as in VOC",
        "nothing to do, unless {they} {is} wrong: then correct {them}",
    ),
    "background": Kind(
        "picture",
        "pictures",
        "without a box, learnt as background",
        "nothing to do, unless {they} show{verb_s} an object",
    ),
    "emptied": Kind(
        "picture",
        "pictures",
        "none of whose boxes can be used, learnt as background",
        "correct the boxes: otherwise their objects are learnt as background",
    ),
    "no split": Kind(
        "picture", "pictures", "in no split although others are, left out", "put {them} into train, val or test"
    ),
    "unused class": Kind(
        "class", "classes", "without a single box, left out", "nothing to do, unless boxes are missing"
    ),
    "same split": Kind(
        "split",
        "splits",
        "that cannot be used, drawn from train if {they} {is} needed",
        "name a folder of other pictures",
    ),
    "left out": Kind(
        "other file", "other files", "left out", "nothing to do, unless it should be a picture with boxes"
    ),
}


class Problems:
    """The lines of each kind of problem, and the pictures that are left out for them."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = defaultdict(list)
        self.skipped: set[Path] = set()

    def add(self, kind: str, line: str, picture: Path | None = None) -> None:
        """Adds a line, such as "FILE, line N: xmin is nan", to the problems of a kind.

        Args:
            kind: a key of KINDS.
            line: where it is, and what.
            picture: a picture that is left out because of it.
        """
        self.lines[kind].append(line)
        if picture is not None:
            self.skipped.add(picture)

    def add_repeated_names(self, where: str, names: Mapping[Any, str]) -> None:
        """Adds the names that several classes have.

        Args:
            where: the file that says so.
            names: {number or other key of a class: its name}.
        """
        keys: dict[str, list[str]] = defaultdict(list)
        for key, name in names.items():
            keys[name].append(str(key))
        for name, same in keys.items():
            if len(same) > 1:
                self.add("class names", f"{where}: classes {' and '.join(same)} are called '{name}'")

    def findings(self, skip_bad: bool) -> list[Finding]:
        """Returns a finding of each kind that occurred; with `skip_bad`, what that leaves out is not severe."""
        return [_finding(name, kind, self.lines[name], skip_bad) for name, kind in KINDS.items() if self.lines[name]]


def _finding(name: str, kind: Kind, lines: list[str], skip_bad: bool) -> Finding:
    words = ONE if len(lines) == 1 else MANY
    what = f"{counted(len(lines), kind.singular, kind.plural)} {kind.text.format(**words)}"
    if kind.skippable and skip_bad:
        return Finding(name, f"{what}, left out", "because of data.skip_bad=true", tuple(lines))
    return Finding(name, what, kind.hint.format(**words), tuple(lines), kind.severe)
