"""The teachers of distillation: a run, a .keras file, or a network that keras.applications publishes."""

import contextlib
import sys

import keras

from tinytrain.data import identity
from tinytrain.errors import UserError, nearest
from tinytrain.nn import imagenet, pretrained

APPLICATIONS = "applications:"


def load(word: str, student: keras.Model, classes: list[str] | None = None) -> keras.Model:
    """Returns the teacher: images (B, H, W, C) in [-1, 1), as the student sees them, -> logits (B, classes).

    word: a run folder, a .keras file of ours, or applications:NAME, which is fed images of the student's size.
    classes: the names of the student's, which a run folder must have in the same order.

    Raises UserError if there is none, or one of other images or classes than the student.
    """
    if not word:
        raise UserError(
            "method distill needs a teacher: distill.teacher = a run folder, a .keras file or "
            f"{APPLICATIONS}NAME, such as {APPLICATIONS}ResNet50"
        )
    teacher = _published(word, student) if word.startswith(APPLICATIONS) else _ours(word)
    for what, theirs, ours in (
        ("images", teacher.input_shape[1:], student.input_shape[1:]),
        ("classes", teacher.output_shape[1:], student.output_shape[1:]),
    ):
        if theirs != ours:
            raise UserError(
                f"distill.teacher = '{word}' is for {what} of {_sides(theirs)}, the student for {what} of "
                f"{_sides(ours)}: they must be the same"
            )
    _refuse_other_classes(word, classes or [])
    teacher.trainable = False
    return teacher


def _refuse_other_classes(word: str, classes: list[str]) -> None:
    """Refuses the run of a teacher whose classes have other names or another order; a file does not tell them."""
    run = identity.run_of(word)
    theirs = identity.classes_of(run) if run else []
    if not theirs or not classes or theirs == classes:
        return
    what = f"distill.teacher = '{word}'"
    identity.refuse_other_names(theirs, classes, what, "the student")
    number, (their, own) = next(
        (n, pair) for n, pair in enumerate(zip(theirs, classes, strict=True)) if len({*pair}) > 1
    )
    raise UserError(
        f"{what} has '{their}' as class {number}, the student '{own}': expected the same classes in the same order"
    )


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _ours(word: str) -> keras.Model:
    return pretrained.read(word, "distill.teacher", [f"{APPLICATIONS}NAME"])[1]


def _published(word: str, student: keras.Model) -> keras.Model:
    """Returns a network of keras.applications with its ImageNet weights: our pixels in, logits out."""
    name = word.removeprefix(APPLICATIONS)
    known = sorted(name for name in dir(keras.applications) if name[0].isupper())
    if name not in known:
        raise UserError(f"keras.applications has no '{name}'{nearest(name, known) or ': expected ' + ', '.join(known)}")
    if student.input_shape[-1] != 3 or student.output_shape[-1] != 1000:
        raise UserError(
            f"distill.teacher = '{word}' is for color images of 1000 classes, the student for "
            f"{student.input_shape[-1]} channels and {student.output_shape[-1]} classes: expected a teacher that was "
            "trained on the same"
        )
    make = getattr(keras.applications, name)
    try:
        with imagenet.patience(), contextlib.redirect_stdout(sys.stderr):
            published = make(weights="imagenet", classifier_activation=None)
    except Exception as error:  # Keras raises its own plain Exception for a URLError
        raise UserError(
            f"distill.teacher = '{word}' needs its published weights, which could not be read "
            f"({imagenet.one_line(error)}): put the file into {imagenet.folder()}"
        ) from None
    image = keras.Input(student.input_shape[1:], name="image")
    x = sys.modules[make.__module__].preprocess_input(image * 128.0 + 128.0)
    return keras.Model(image, published(keras.layers.Resizing(*published.input_shape[1:3])(x)), name=published.name)
