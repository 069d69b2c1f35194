"""What the page says of a detector, and how it draws what is found: of boxes, and of centres without a size."""

from dataclasses import dataclass

from tinytrain.reporting import box_pictures
from tinytrain.tasks.detect import FIGURES
from tinytrain.tasks.detect.mistakes import ONE


@dataclass(frozen=True)
class Look:
    """Words and drawing of a detector.

    title: of the section; rule: a sentence, what counts as found; unit: what is to be found; found: what the detector
    gives; averages: headings of average precisions by their keys; errors: the kinds to show; f1: what F1 is of, for a
    chart; legend: color and meaning of what is drawn; marks: a sentence on it; is_centre: draw centres, not outlines.
    """

    title: str
    rule: str
    unit: str
    found: str
    averages: dict[str, str]
    errors: list[str]
    f1: str
    legend: list[tuple[str, str]]
    marks: str = ""
    is_centre: bool = False


BOXES = Look(
    title="Boxes on the test images",
    rule="AP follows COCO's rule unless stated otherwise. A box is found at an IoU of 0.5.",
    unit="boxes",
    found="boxes",
    averages={figure.key: figure.label for figure in FIGURES.tested},
    errors=list(ONE),
    f1="F1 at IoU 0.5",
    legend=box_pictures.LEGEND,
)

CENTRES = Look(
    title="Centres on the test images",
    rule="",  # it names the cells of the run
    unit="objects",
    found="centres",
    averages={},
    errors=["missed", "background", "confusions", "duplicates"],
    f1="F1 of centres",
    legend=box_pictures.CENTRE_LEGEND,
    marks="Rings are centres of objects, crosses those of detections.",
    is_centre=True,
)
