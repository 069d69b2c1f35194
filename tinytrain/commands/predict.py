"""`tinytrain predict`: what a run or an export finds in pictures, printed and drawn."""

from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain import files, progress
from tinytrain.data import reading
from tinytrain.data.identity import print_note
from tinytrain.data.source import counted
from tinytrain.errors import Mistakes, UserError
from tinytrain.predicting import drawing, load, pictures
from tinytrain.predicting.model import Model
from tinytrain.predicting.pictures import Picture
from tinytrain.predicting.rows import row

AT_ONCE = 32  # images


def predict(
    target: PathLike[str] | str,
    images: Sequence[PathLike[str] | str],
    out: PathLike[str] | str | None = None,
    score: float | None = None,
    each: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Returns what a model finds in pictures: boxes with a class and a score, or a class and its probability.

    Args:
        target: a finished run (its float model), or an export or its model.tflite (its integers, as TFLM's reference
            interpreter and the decoder of the firmware compute them).
        images: image files of any size and mode, and folders of them.
        out: the folder to draw the pictures into; None: nothing is drawn.
        score: the lowest score of a box that counts; None: the one that is stored with the model.
        each: called with the row of each picture as soon as it is known.

    Returns:
        {"model": "float" or "int8", "predictions": rows, "unreadable": [{"image", "problem"}], "full": names of images
        that may hold more boxes than the model gives}. A row is {"image", "size": [width, height]} with "boxes":
        [{"label", "score", "box": [x0, y0, x1, y1]}], best first and in pixels of the upright image, or with "label",
        "probability" and "top", the three best; with `out` also "drawn", the file.

    Raises:
        UserError: no such model or no image, an export without a decoder, or `out` cannot be written. An image that
        cannot be read is no error.
    """
    folder, mistakes = None if out is None else Path(out), Mistakes()
    found = mistakes.collect(_find, [str(image) for image in images], folder)
    model: Model = mistakes.collect(load.load, Path(target), score)
    mistakes.raise_all()
    chosen, drawn, left_out = found
    _print_notes([*model.notes, *_left_out(left_out)])
    result: dict[str, Any] = {"model": model.kind, "predictions": [], "unreadable": [], "full": []}
    for start in range(0, len(chosen), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        with progress.stage("predicting", len(chosen), "image") as stage:  # over before a row is printed
            stage.advance(start)
            rows = list(_predict(chosen[part], drawn[part], model, result))
        for known in rows:
            result["predictions"].append(known)
            each(known)
    if result["full"]:
        listed = ", ".join(result["full"][:3]) + (", …" if len(result["full"]) > 3 else "")
        print_note(f"these images may hold more than the {model.most} boxes that detect.boxes allows: {listed}")
    return result


def _find(images: list[str], out: Path | None) -> tuple[list[Picture], list[Path | None], list[str]]:
    """Returns the pictures, the file that each is drawn to, and what is left out of folders."""
    if not images:
        raise UserError("predict needs at least one IMAGE, a file or a folder, received none")
    if out and out.exists() and not out.is_dir():
        raise UserError(f"--out '{out}' is a file: name a folder for the pictures")
    chosen, left_out = pictures.find(images, out)
    if out is None:
        return chosen, [None] * len(chosen), left_out
    drawn: list[Path | None] = [*pictures.drawn_paths(chosen, out)]
    needed = sum(picture.path.stat().st_size for picture in chosen)  # about
    files.require_space(out, needed, "the pictures", "name another folder with --out")
    files.make_folder(out)
    return chosen, drawn, left_out


def _predict(
    chosen: list[Picture], drawn: list[Path | None], model: Model, result: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yields the rows of some pictures; the others, and those with too many boxes, are named in `result`."""
    prepared = pictures.prepare([picture.path for picture in chosen], model)
    read = [image for image, _ in prepared if image is not None]
    answers = iter(zip(*model.answer(np.stack([image.pixels for image in read])), strict=True) if read else ())
    for picture, path, (image, problem) in zip(chosen, drawn, prepared, strict=True):
        if image is not None:
            values, full = next(answers)
            known = row(picture.path, image, values, model)
            if path is not None:
                problem = _draw(picture.path, path, known, model)
                known["drawn"] = str(path)
        if problem:
            result["unreadable"].append({"image": str(picture.path), "problem": problem})
        else:
            result["full"] += [str(picture.path)] * bool(full)
            yield known


def _draw(source: Path, path: Path, known: dict[str, Any], model: Model) -> str:
    """Draws a picture, read once more; returns why that is not possible, if its file has changed since."""
    picture, problem, _ = reading.read(source, lambda image: drawing.draw(image, known, model.classes))
    if picture is not None:
        drawing.save(picture, path)
    return problem


def _left_out(left_out: list[str]) -> list[str]:
    listed = "; ".join(left_out[:3]) + ("; …" if len(left_out) > 3 else "")
    return [f"{counted(len(left_out), 'other file')} left out: {listed}"] if left_out else []


def _print_notes(notes: list[str]) -> None:
    for note in notes:
        print_note(note)


def failure(result: dict[str, Any]) -> str:
    """Returns a sentence that names the images which cannot be read, "" if all can."""
    bad = result["unreadable"]
    listed = "".join(f"\n  {image['image']}: {image['problem']}" for image in bad)
    return f"{counted(len(bad), 'image')} cannot be read:{listed}" if bad else ""
