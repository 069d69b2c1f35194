"""The section about mistakes on the test images: who shows it depends on the task."""

from types import ModuleType

from tinytrain.errors import UserError
from tinytrain.reporting import centroid_section, class_section, detection_section, predictions
from tinytrain.reporting.class_section import ClassSection
from tinytrain.reporting.detection_section import DetectionSection
from tinytrain.reporting.runs import Subject
from tinytrain.train import task as tasks

MistakesSection = ClassSection | DetectionSection
SECTIONS: dict[str, ModuleType] = {  # by the name of the task
    "classify": class_section,
    "detect": detection_section,
    "centroids": centroid_section,
}


def section(subject: Subject, number: int) -> MistakesSection | None:
    """Returns the section about the finished run `number` of the report, None for an unfinished one.

    The int8 model is that of the run's first export.
    """
    if not subject.metrics:
        return None
    export = subject.exports[0] if subject.exports else None
    proven = predictions.golden(export) if export else None
    try:
        test = predictions.test_images(subject, proven)
    except UserError as error:
        return ClassSection(notes=[f"Confusion matrices, classes and images are left out: {error}."])
    task = tasks.of(subject.config, test.classes)
    if task.name not in SECTIONS:
        return ClassSection(notes=[f"Mistakes are left out: the report has no section for the task {task.name}."])
    notes = [test.note] if test.note else []
    outputs = {predictions.FLOAT: predictions.of_float(subject, test)}
    if export and proven:
        try:
            outputs |= predictions.of_export(export, proven, task, test)
        except UserError as error:
            notes.append(f"The int8 model is left out here: {error}.")
    return SECTIONS[task.name].of_outputs(task, test, outputs, number, notes)
