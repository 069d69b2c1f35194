"""Loads the teacher of a distillation: a run, a .keras file, or a network that keras.applications publishes."""

import contextlib
import sys

import keras

from tinytrain.data import identity
from tinytrain.errors import UserError, nearest
from tinytrain.nn import imagenet, pretrained
from tinytrain.train.task import Task

APPLICATIONS = "applications:"


def load(
    teacher_key: str, student: keras.Model, classes: list[str] | None = None, task: Task | None = None
) -> keras.Model:
    """Returns the teacher: images (B, H, W, C) in [-1, 1), the student's input, -> outputs like the student's.

    Args:
        teacher_key: distill.teacher: a run folder, a .keras file of tinytrain, or applications:NAME, which gets images
            of the student's resolution.
        student: the network to be trained.
        classes: the names of its classes, which a run must have in the same order.
        task: of the student, which a run must be able to teach.

    Raises:
        UserError: there is no such teacher, or its images, classes or outputs differ from the student's.
    """
    if not teacher_key:
        raise UserError(
            "method distill needs a teacher: distill.teacher = a run folder, a .keras file or "
            f"{APPLICATIONS}NAME, such as {APPLICATIONS}ResNet50"
        )
    published = teacher_key.startswith(APPLICATIONS)
    teacher = _published(teacher_key, student) if published else _trained(teacher_key)
    if task and (run := identity.run_of(teacher_key)):
        task.check_teacher(run.config(), f"distill.teacher = '{teacher_key}'")
    outputs = "classes" if len(student.outputs) == len(teacher.outputs) == 1 else "outputs"
    for what, expected, actual in (
        ("images", _shapes(teacher.inputs), _shapes(student.inputs)),
        (outputs, _shapes(teacher.outputs), _shapes(student.outputs)),
    ):
        if expected != actual:
            raise UserError(
                f"distill.teacher = '{teacher_key}' is for {what} of {expected}, but the student for {what} of "
                f"{actual}: they must be the same"
            )
    _refuse_other_classes(teacher_key, classes or [])
    teacher.trainable = False
    return teacher


def _refuse_other_classes(teacher_key: str, classes: list[str]) -> None:
    """Raises UserError for a run whose classes have other names or another order; a .keras file does not name them."""
    run = identity.run_of(teacher_key)
    teacher_classes = identity.classes_of(run) if run else []
    if not teacher_classes or not classes or teacher_classes == classes:
        return
    what = f"distill.teacher = '{teacher_key}'"
    identity.refuse_other_names(teacher_classes, classes, what, "the student")
    pairs = enumerate(zip(teacher_classes, classes, strict=True))
    number, (teacher_class, student_class) = next((number, pair) for number, pair in pairs if len({*pair}) > 1)
    raise UserError(
        f"{what} has '{teacher_class}' as class {number}, the student '{student_class}': expected the same classes in "
        "the same order"
    )


def _shapes(tensors: list[keras.KerasTensor]) -> str:
    return " and ".join("x".join(map(str, tensor.shape[1:])) for tensor in tensors)


def _trained(path: str) -> keras.Model:
    return pretrained.load_weights(path, "distill.teacher", [f"{APPLICATIONS}NAME"])[1]


def _published(teacher_key: str, student: keras.Model) -> keras.Model:
    """Returns a network of keras.applications with ImageNet weights, which takes the student's input."""
    name = teacher_key.removeprefix(APPLICATIONS)
    known = sorted(name for name in dir(keras.applications) if name[0].isupper())
    if name not in known:
        raise UserError(f"keras.applications has no '{name}'{nearest(name, known) or ': expected ' + ', '.join(known)}")
    if student.input_shape[-1] != 3 or student.output_shape[-1] != 1000:
        raise UserError(
            f"distill.teacher = '{teacher_key}' is for color images of 1000 classes, the student for "
            f"{student.input_shape[-1]} channels and {student.output_shape[-1]} classes: expected a teacher that was "
            "trained on the same"
        )
    build = getattr(keras.applications, name)
    try:
        with imagenet.network_timeout(), contextlib.redirect_stdout(sys.stderr):
            published = build(weights="imagenet", classifier_activation=None)
    except Exception as error:  # Keras raises its own plain Exception for a URLError
        raise UserError(
            f"distill.teacher = '{teacher_key}' needs its published weights, which could not be read "
            f"({imagenet.one_line(error)}): put the file into {imagenet.folder()}"
        ) from None
    image = keras.Input(student.input_shape[1:], name="image")
    x = sys.modules[build.__module__].preprocess_input(image * 128.0 + 128.0)
    return keras.Model(image, published(keras.layers.Resizing(*published.input_shape[1:3])(x)), name=published.name)
