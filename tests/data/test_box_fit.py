"""Boxes as files hold them, fitted to pictures: turned by EXIF, clipped, left out, each with its finding."""

import numpy as np
import pytest
from PIL import Image

from tinytrain.data import decode, image_files
from tinytrain.data.box_fit import Annotated, fit, turn, without_repeats
from tinytrain.data.box_problems import KINDS, Problems
from tinytrain.data.boxes import CROWD, DIFFICULT, NORMAL, Box
from tinytrain.data.decode import ORIENTATION
from tinytrain.data.facts import ImageInfo
from tinytrain.data.file_table import FileTable

SIZE = (40, 32)


def fitted(*corners, info=None, **options):
    """Returns (corners that are left, kinds of problems with their lines)."""
    problems = Problems()
    drawn = [Box(0, box, where=f"f.xml, line {line}") for line, box in enumerate(corners, 1)]
    left = fit(Annotated("a.png", drawn, **options), info or ImageInfo(SIZE), "a.png", problems)
    return [box.corners for box in left], {kind: lines for kind, lines in problems.lines.items() if lines}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_box_lies_where_pillow_turns_its_pixels(orientation, tmp_path):
    """A white box is painted into the file; upright, Pillow has it where `turn` says."""
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    x0, y0, x1, y1 = 4, 7, 15, 10
    pixels[y0:y1, x0:x1] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    scanned = image_files.scan(FileTable.of([tmp_path / "a.png"], tmp_path))
    info = scanned.facts[0]
    assert info.orientation == orientation
    pool = image_files.image_set(scanned, np.zeros((1, 1, 7), np.float32))
    upright = next(pool.images(lambda image: np.asarray(decode.upright_8bit(image)[0])))
    rows, columns = np.nonzero(upright[..., 0])
    painted = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    assert turn((x0, y0, x1, y1), SIZE, orientation) == painted
    left, kinds = fitted((x0, y0, x1, y1), info=info, size=SIZE)
    if orientation >= 5:  # the sides are swapped: the declared size tells what the boxes were drawn on
        assert (left, kinds.keys()) == ([painted], {"boxes turned"})
        upright_left, kinds = fitted(painted, info=info, size=info.size)
        assert (upright_left, kinds.keys()) == ([painted], {"EXIF kept"})
        shares = tuple(value / side for value, side in zip((x0, y0, x1, y1), SIZE * 2, strict=True))
        np.testing.assert_allclose(fitted(shares, info=info, size=SIZE, shares=True)[0], [painted], atol=1e-9)
    else:
        assert (left, kinds.keys()) == ([(x0, y0, x1, y1)], {"EXIF kept"} if orientation > 1 else set())


def test_a_turned_picture_whose_boxes_fit_neither_way_is_severe():
    info = ImageInfo((32, 40), orientation=6)
    for size in ((99, 77), None):
        _, kinds = fitted((1, 1, 39, 9), info=info, size=size)
        assert kinds.keys() == {"EXIF", "clipped"}
    assert KINDS["EXIF"].severe
    assert fitted((1, 1, 9, 39), info=info)[1].keys() == {"EXIF kept"}


@pytest.mark.parametrize(
    ("box", "left", "kind"),
    [
        ((0, 0, 40, 32), (0, 0, 40, 32), None),
        ((-1, 0, 41, 33), (0, 0, 40, 32), None),  # a pixel is rounding
        ((-1.01, 0, 9, 9), (0, 0, 9, 9), "clipped"),
        ((30, 30, 50, 33.5), (30, 30, 40, 32), "clipped"),
        ((-1e300, 3, 1e300, 9), (0, 3, 40, 9), "far beyond"),
        ((-20, 0, 60, 9), (0, 0, 40, 9), "clipped"),  # half a side
        ((-20.1, 0, 9, 9), (0, 0, 9, 9), "far beyond"),
        ((0, 0, 9, 48.1), (0, 0, 9, 32), "far beyond"),
        ((40, 0, 41, 9), None, "outside"),
        ((-9, 0, 0, 9), None, "outside"),
        ((5, 40, 9, 50), None, "outside"),
        ((5, 5, 5, 9), None, "no area"),
        ((5, 9, 7, 9), None, "no area"),
        ((9, 9, 5, 5), None, "swapped"),
        ((9, 5, 5, 9), None, "swapped"),
    ],
)
def test_a_box_beyond_the_border(box, left, kind):
    found, kinds = fitted(box)
    assert found == ([left] if left else [])
    assert list(kinds) == ([kind] if kind else [])
    assert all(line.startswith("f.xml, line 1: ") for lines in kinds.values() for line in lines)


def test_another_size_than_declared_is_severe_only_with_boxes_beyond_the_border():
    assert fitted((1, 1, 9, 9), size=(80, 64), where="a.xml") == (
        [(1, 1, 9, 9)],
        {"size": ["a.xml: the file says 80x64, the picture has 40x32"]},
    )
    assert fitted((50, 1, 70, 9), (1, 1, 9, 9), size=(80, 64))[1].keys() == {"resized", "outside"}
    assert fitted((0.5, 0, 0.75, 1), size=(80, 64), shares=True)[0] == [(20, 0, 30, 32)]
    assert fitted((1, 1, 9, 9), size=SIZE)[1] == {}
    assert KINDS["resized"].severe
    assert not KINDS["size"].severe


def test_a_box_that_stands_there_twice_is_used_once():
    problems = Problems()
    rows = [Box(0, (1, 2, 3, 4), where="line 1"), Box(1, (1, 2, 3, 4), CROWD), Box(0, (1.0, 2, 3, 4), where="line 9")]
    assert without_repeats(rows, problems) == rows[:2]
    assert problems.lines["same box"] == ["line 9: as line 1"]


def test_a_box_in_the_place_of_a_crowd_or_a_difficult_one_is_kept():
    problems, corners = Problems(), (1, 2, 3, 4)
    crowd, difficult, normal = (Box(0, corners, flag, where=str(flag)) for flag in (CROWD, DIFFICULT, NORMAL))
    for rows in ([crowd, difficult, normal], [normal, crowd, difficult], [difficult, normal, crowd]):
        kept = without_repeats(rows, problems)
        assert sorted(box.flag for box in kept) == [NORMAL, CROWD]
    assert problems.lines["same box"] == ["0: as 1", "1: as 0", "0: as 1"]
    assert without_repeats([crowd, crowd], problems) == [crowd]


def test_clipping_keeps_the_area_that_the_data_give():
    problems = Problems()
    drawn = [Box(0, (-5, 0, 10, 10), CROWD, area=33.0)]
    (box,) = fit(Annotated("a.png", drawn), ImageInfo(SIZE), "a.png", problems)
    assert (box.row[5:], box.corners) == ([CROWD, 33.0], (0, 0, 10, 10))


@pytest.mark.parametrize("kind", KINDS)
def test_one_problem_is_told_in_the_singular(kind):
    problems = Problems()
    problems.add(kind, "a.xml, line 3")
    (one,) = problems.findings(skip_bad=False)
    problems.add(kind, "a.xml, line 7")
    (two,) = problems.findings(skip_bad=False)
    assert one.what.startswith(f"1 {KINDS[kind].singular} ")
    assert two.what.startswith(f"2 {KINDS[kind].plural} ")
    sentence = f"{one.what}; {one.hint}"
    assert not {"{", "}"} & set(sentence + two.what + two.hint)
    assert kind in ("size", "EXIF kept", "emptied") or " they" not in sentence  # where "they" are its boxes
    assert not any(f"{what} them" in sentence for what in ("remove", "correct", "repair", "save", "put"))


def test_what_skip_bad_leaves_out_is_not_severe():
    problems = Problems()
    problems.add("malformed box", "a.xml, line 6: xmin is nan")
    problems.add("unknown class", "a.txt, line 1: class 9")
    severe = {finding.kind: finding.severe for finding in problems.findings(skip_bad=False)}
    skipped = {finding.kind: finding.severe for finding in problems.findings(skip_bad=True)}
    assert severe == {"malformed box": True, "unknown class": True}
    assert skipped == {"malformed box": False, "unknown class": True}
