"""Renders the page: a template puts all sections into HTML and escapes every text."""

from dataclasses import dataclass

import jinja2

from tinytrain.config import load as configs
from tinytrain.reporting import (
    board_section,
    cards,
    class_section,
    comparison,
    curves,
    facts,
    mistakes_section,
    provenance,
    svg,
)
from tinytrain.reporting.board_section import BoardSection
from tinytrain.reporting.cards import Card
from tinytrain.reporting.detection_section import DetectionSection
from tinytrain.reporting.facts import Hint
from tinytrain.reporting.mistakes_section import MistakesSection
from tinytrain.reporting.provenance import Key
from tinytrain.reporting.runs import Subject


@dataclass(frozen=True)
class RunView:
    """A run as the template shows it."""

    name: str
    anchor: str
    color: int
    line: str
    cards: list[Card]
    hints: list[Hint]
    mistakes: MistakesSection | None
    boards: list[BoardSection]
    provenance: list[tuple[str, str]]
    changed: list[Key]
    changed_summary: str
    config: str


def render(subjects: list[Subject]) -> str:
    """Returns the HTML page about the runs."""
    has_several_runs = len(subjects) > 1
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinytrain.reporting"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = facts.percent
    views = [_view(subject, number) for number, subject in enumerate(subjects, 1)]
    return environment.get_template("report.html").render(
        title=", ".join(subject.name for subject in subjects),
        several=has_several_runs,
        curves=curves.charts(subjects),
        training_shown=len(subjects) <= curves.TRAINING_SHOWN,
        table=comparison.key_figures(subjects) if has_several_runs else None,
        differences=comparison.differences(subjects) if has_several_runs else None,
        data=sorted({subject.config.data.spec for subject in subjects}),
        runs=views,
        has_boxes=any(isinstance(view.mistakes, DetectionSection) for view in views),
        shown=class_section.CLASSES_SHOWN,
    )


def _view(subject: Subject, number: int) -> RunView:
    exports, changed = enumerate(subject.exports, 1), provenance.changed(subject.config)
    return RunView(
        name=subject.name,
        anchor=f"run-{number}",
        color=(number - 1) % len(svg.SERIES) + 1,
        line=_line(subject),
        cards=cards.cards(subject),
        hints=facts.hints(subject),
        mistakes=mistakes_section.section(subject, number),
        boards=[board_section.section(subject, export, f"{number}-{index}") for index, export in exports],
        provenance=provenance.rows(subject),
        changed=changed,
        changed_summary=provenance.summary(changed),
        config=configs.dump(subject.config),
    )


def _line(subject: Subject) -> str:
    """Returns model, data and size of the run in one line."""
    model, metrics = subject.config.model, subject.metrics
    parts = [f"{model.name}, width {model.width}", f"{model.resolution}×{model.resolution}×{model.channels}"]
    parts.append(f"on {subject.config.data.spec}")
    if metrics:
        parts += [f"{metrics.get('params', 0):,} parameters", f"{metrics.get('macs', 0):,} MACs"]
    return " · ".join(parts)
