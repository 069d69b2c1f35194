"""`tinytrain predict`: what a model says of pictures, told in JSON and drawn, against its outputs taken by hand."""

import json
import os
import subprocess
import sys

import box_datasets
import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from bench_helpers import exported
from int8_models import DETECTOR_SIDE, conv_model, detector_decoder, detector_model
from PIL import Image
from sklearn.datasets import load_digits

import tinytrain as public
from tinytrain import quiet
from tinytrain.config import load as configs
from tinytrain.data.boxes import Box
from tinytrain.deploy.exported import Exported
from tinytrain.deploy.exported_model import COMPACT_FILE, MODEL_FILE
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError
from tinytrain.predicting import drawing
from tinytrain.run import Run
from tinytrain.tasks.detect.task import Detection
from tinytrain.tflite.model import Model
from tinytrain.train import task as tasks
from tinytrain.train.resolve import resolve

ORIENTATION, SIDE, SCORE = 0x0112, 64, 0.3
FOUND = [[16, 8, 48, 56, 0.9, 1], [0, 0, 8, 8, 0.2, 0]]  # a box, and one below SCORE, in pixels of the network's image


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Five images of digits as files, and their pixels (5, 8, 8)."""
    folder = tmp_path_factory.mktemp("digits")
    pixels = np.round(load_digits().images[:5] * 255 / 16).astype(np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder, pixels


def detector(folder, resize="stretch"):
    """Writes the folder of a run of an untrained detector, whose outputs are far from background, and returns it."""
    rows = [(box_datasets.noise(n), [Box(n % 2, (8.0, 8.0, 30.0, 40.0 + n))]) for n in range(8)]
    words = ["task=detect", "model.name=mobilenet_v1", "model.width=0.25", f"model.resolution={SIDE}"]
    words += ["detect.head=yolo_single", f"detect.score={SCORE}", f"data.resize={resize}"]
    config = resolve(configs.load(None, words), box_datasets.dataset(folder / "data", {"all": rows}))
    network, random = tasks.build_network(config, ["cell", "dot"]), np.random.default_rng(0)
    output = network.get_layer(network.output_names[0])
    output.set_weights([random.normal(0, 0.3, weight.shape) for weight in output.get_weights()])
    run = Run(folder / "run")
    run.folder.mkdir()
    run.config_path.write_text(configs.dump(config))
    run.origin_path.write_text(json.dumps({"classes": ["cell", "dot"]}))
    run.metrics_path.write_text("{}")
    network.save(run.model_path)
    return run


@pytest.fixture(scope="module")
def detector_run(tmp_path_factory):
    return detector(tmp_path_factory.mktemp("stretch"))


@pytest.fixture(scope="module")
def padding_run(tmp_path_factory):
    return detector(tmp_path_factory.mktemp("pad"), "pad")


@pytest.fixture
def found(monkeypatch):
    """The network of every detector finds FOUND in every image."""
    monkeypatch.setattr(Detection, "keep", lambda self, outputs: tf.tile([FOUND], (tf.shape(outputs[0])[0], 1, 1)))


@pytest.fixture(scope="module")
def detector_export(tmp_path_factory):
    """An export of a small int8 detector, which takes pixels 0 to 255 as -1 to 1."""
    model = detector_model()
    decoder = detector_decoder(model)
    folder = exported(tmp_path_factory.mktemp("int8") / "export", 2, model=model, arena_bytes=32_768, decoder=decoder)
    change_report(folder, input={"pixel_0": -1.0, "pixel_255": 1.0, "resize": "pad"})
    return folder


def change_report(folder, **sections):
    path = folder / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | sections))


def is_close(row, probabilities):
    """Whether a row tells of these probabilities (10,) of the digits."""
    best = np.argsort(-probabilities)[:3]
    assert [each["label"] for each in row["top"]] == [str(number) for number in best]
    assert [each["probability"] for each in row["top"]] == pytest.approx(probabilities[best], abs=1e-4)
    assert (row["label"], row["probability"]) == (row["top"][0]["label"], row["top"][0]["probability"])


# What is told


def test_the_float_classifier_gives_its_probabilities(trained_run, digits):
    folder, pixels = digits
    result = public.predict(trained_run, [folder])
    model = keras.saving.load_model(trained_run.model_path, compile=False)
    side = model.input_shape[1]
    resized = [np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)) for image in pixels]
    x = (np.stack(resized)[..., None].astype(np.float32) - 128) / 128
    assert (result["model"], result["unreadable"]) == ("float", [])
    assert [row["image"] for row in result["predictions"]] == [str(folder / f"{n}.png") for n in range(5)]
    for row, expected in zip(result["predictions"], scipy.special.softmax(model.predict(x, verbose=0), 1), strict=True):
        assert row["size"] == [8, 8]
        is_close(row, expected)


def test_an_export_gives_what_tflm_does(exported_run, digits):
    """The folder, and its model.tflite, which stands in a run."""
    (folder, pixels), export = digits, exported_run[1]
    result = public.predict(export, [folder])
    content = (export / MODEL_FILE).read_bytes()
    graph = Model.parse(content)
    side, output = graph.inputs[0].shape[1], graph.outputs[0]
    resized = [np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)) for image in pixels]
    (values,) = ReferenceInterpreter(content).run((np.stack(resized)[..., None].astype(np.int16) - 128).astype(np.int8))
    logits = (values.reshape(5, 10).astype(np.float64) - output.zero_point[0]) * output.scale[0]
    assert result["model"] == "int8"
    for row, expected in zip(result["predictions"], scipy.special.softmax(logits, axis=1), strict=True):
        is_close(row, expected)
    assert public.predict(export / MODEL_FILE, [folder]) == result


def test_a_tflite_in_a_run_is_read_as_the_run_says(exported_run, trained_run, digits, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for path in (trained_run.config_path, trained_run.origin_path, trained_run.metrics_path):
        (run / path.name).write_bytes(path.read_bytes())
    (run / "mine.tflite").write_bytes((exported_run[1] / MODEL_FILE).read_bytes())
    expected = public.predict(exported_run[1], [digits[0]])
    assert public.predict(run / "mine.tflite", [digits[0]]) == expected
    (run / "mine.tflite").write_bytes(conv_model())
    with pytest.raises(UserError, match=r"is not of the run .* it takes \(1, 4, 4, 3\)"):
        public.predict(run / "mine.tflite", [digits[0]])


def test_boxes_of_the_network_are_those_of_its_outputs(detector_run, tmp_path):
    """Decoded here from the outputs: every position with its score, then those that `predict` tells are among them."""
    box_datasets.noise(3, (128, 96)).save(tmp_path / "a.png")
    (row,) = public.predict(detector_run, [tmp_path / "a.png"])["predictions"]
    config = detector_run.config()
    image = Image.open(tmp_path / "a.png").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    model = keras.saving.load_model(detector_run.model_path, compile=False)
    outputs = model.predict((np.asarray(image, np.float32)[None] - 128) / 128, verbose=0)
    values = (outputs[0] if isinstance(outputs, list) else outputs)[0]
    rows, columns, _ = values.shape
    values = values.reshape(rows, columns, 3, 7)
    sigmoid, stride = scipy.special.expit, SIDE // rows
    scores = sigmoid(config.detect.gain * values[..., 4:5]) * sigmoid(config.detect.gain * values[..., 5:])
    y, x = np.indices((rows, columns))[..., None]
    centres = np.stack([x + sigmoid(values[..., 0]), y + sigmoid(values[..., 1])], axis=-1) * stride
    sizes = np.reshape(config.detect.anchors, (3, 2)) * np.exp(values[..., 2:4])
    corners = np.clip(np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=-1), 0, SIDE) * [2, 1.5, 2, 1.5]
    assert row["size"] == [128, 96]
    assert len(row["boxes"]) > 1
    assert row["boxes"][0]["score"] == pytest.approx(scores.max(), abs=1e-3)
    for each in row["boxes"]:
        of_class = scores[..., ["cell", "dot"].index(each["label"])]
        same = (abs(corners - each["box"]) < 0.02).all(axis=-1) & (abs(of_class - each["score"]) < 1e-3)
        assert same.any()
    told = [each["score"] for each in row["boxes"]]
    assert told == sorted(told, reverse=True)
    assert min(told) >= SCORE
    assert len(public.predict(detector_run, [tmp_path / "a.png"], score=0.9)["predictions"][0]["boxes"]) < len(told)


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize("turned", [False, True])
def test_boxes_are_in_pixels_of_the_upright_original(detector_run, padding_run, tmp_path, turned):
    """128x64 pixels upright: stretched both sides are halved and doubled; padded there are 16 black rows above."""
    image = box_datasets.noise(0, (128, 64))
    exif = Image.Exif()
    if turned:
        exif[ORIENTATION] = 6  # to be turned by 90 degrees clockwise
        image = image.transpose(Image.Transpose.ROTATE_90)
    image.save(tmp_path / "a.png", exif=exif)
    for run, box in ((detector_run, [32, 8, 96, 56]), (padding_run, [32, 0, 96, 64])):
        (row,) = public.predict(run, [tmp_path / "a.png"])["predictions"]
        assert row["size"] == [128, 64]
        assert row["boxes"] == [{"label": "dot", "score": 0.9, "box": box}]
        shown = public.predict(run, [tmp_path / "a.png"], score=0.1)["predictions"][0]["boxes"]
        assert len(shown) == (2 if run is detector_run else 1)  # the other one lies in the border


def test_an_export_gives_the_boxes_of_its_decoder(detector_export, tmp_path, capsys):
    image = box_datasets.noise(5, (64, 32))
    image.save(tmp_path / "a.png")
    result = public.predict(detector_export, [tmp_path / "a.png"])
    content = (detector_export / COMPACT_FILE).read_bytes()
    source = Model.parse(content).inputs[0]
    canvas = Image.new("RGB", (DETECTOR_SIDE, DETECTOR_SIDE))
    canvas.paste(image.resize((32, 16), Image.Resampling.BILINEAR), (0, 8))
    real = np.asarray(canvas, np.float64) * 2 / 255 - 1
    x = np.clip(np.floor(real / source.scale[0] + 0.5) + source.zero_point[0], -128, 127).astype(np.int8)
    outputs = ReferenceInterpreter(content).run(x[None])
    decoder = Exported.open(detector_export).decoder
    expected = []
    for x0, y0, x1, y1, score, label, _ in decoder.decode([output[0] for output in outputs]).tolist():
        corners = np.array([x0, y0 - 8 * 16, x1, y1 - 8 * 16]) / 16 * 2
        clipped = np.clip(corners, 0, [64, 32, 64, 32])
        if (clipped[:2] < clipped[2:]).all():
            expected.append((["cat", "dog"][label], round(score / 32768, 4), pytest.approx(clipped, abs=0.006)))
    assert result["model"] == "int8"
    (row,) = result["predictions"]
    assert len(expected) > 1
    assert [(box["label"], box["score"], box["box"]) for box in row["boxes"]] == expected
    more = public.predict(detector_export, [tmp_path / "a.png"], score=0.05)["predictions"][0]["boxes"]
    assert len(more) > len(expected)
    assert "with --score 0.05 the boxes are not those of the firmware, which uses 0.4" in capsys.readouterr().err


def test_an_export_needs_no_golden_outputs_and_no_firmware(detector_export, tmp_path):
    box_datasets.noise(5, (64, 32)).save(tmp_path / "a.png")
    for name in ("report.json", COMPACT_FILE):
        (tmp_path / name).write_bytes((detector_export / name).read_bytes())
    image = [tmp_path / "a.png"]
    assert public.predict(tmp_path, image) == public.predict(detector_export, image)
    report = json.loads((tmp_path / "report.json").read_text())
    report["decoder"]["outputs"] = report["decoder"]["outputs"][:1]
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match=r"is damaged \(its decoder expects outputs of .*\): export again"):
        public.predict(tmp_path, image)


def test_reaching_the_most_boxes_is_told(detector_run, tmp_path, capsys, monkeypatch):
    box_datasets.noise(3).save(tmp_path / "a.png")
    assert public.predict(detector_run, [tmp_path / "a.png"])["full"] == []
    config = detector_run.config()
    config.detect.boxes = 2
    monkeypatch.setattr(Run, "config", lambda _: config)
    result = public.predict(detector_run, [tmp_path / "a.png"])
    assert len(result["predictions"][0]["boxes"]) == 2
    assert result["full"] == [str(tmp_path / "a.png")]
    assert "these images may hold more than the 2 boxes that detect.boxes allows: " in capsys.readouterr().err


def test_the_most_boxes_of_a_decoder_are_told_though_suppression_takes_some(tmp_path):
    model = detector_model()
    folder = exported(tmp_path, 2, model=model, arena_bytes=32_768, decoder=detector_decoder(model, room=1, score=0.1))
    box_datasets.noise(5, (32, 32)).save(tmp_path / "a.png")
    assert public.predict(folder, [tmp_path / "a.png"])["full"] == [str(tmp_path / "a.png")]


# Which images


def test_all_modes_and_broken_files_in_folders(trained_run, tmp_path, command_line):
    """The others are predicted, in order, and those that cannot be read are named at the end, with status 1."""
    folder = tmp_path / "images" / "deep"
    folder.mkdir(parents=True)
    for number, mode in enumerate(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]):
        gray = Image.fromarray(np.full((9, 7), 128 + number, np.uint8))
        picture = Image.fromarray(np.full((9, 7), 40_000, np.uint16)) if mode == "I;16" else gray.convert(mode)
        picture.save(folder / f"{number}.{'tif' if mode == 'CMYK' else 'png'}")
    Image.new("L", (8, 8)).save(folder / "8", "PNG")
    (folder / "9.jpg").write_bytes(b"no image")
    (tmp_path / "images" / "notes.txt").write_text("no image")
    (tmp_path / "images" / ".hidden.png").write_text("no image")
    (tmp_path / "direct").write_text("no image")
    status, out, error = command_line("predict", trained_run.folder, "direct", "images")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["image"].rpartition("/")[2].partition(".")[0] for row in rows] == [str(n) for n in range(9)]
    assert all(row["size"] == [7, 9] for row in rows[:8])
    assert status == 1
    assert "2 other files left out: images/notes.txt: not an image; images/.hidden.png: hidden" in error
    assert error.splitlines()[-3:] == [
        "tinytrain: 2 images cannot be read:",
        "  direct: not an image",
        error.splitlines()[-1],
    ]
    assert error.splitlines()[-1].startswith("  images/deep/9.jpg: not an image in a supported format")


def test_json_ends_with_a_summary(trained_run, digits, command_line):
    status, out, _ = command_line("predict", trained_run.folder, digits[0], "--json")
    *rows, last = out.splitlines()
    assert (status, len(rows)) == (0, 5)
    assert json.loads(last) == {"images": 5, "model": "float", "unreadable": [], "full": []}


def test_rows_come_as_they_are_known(trained_run, digits, monkeypatch):
    from tinytrain.commands import predict

    monkeypatch.setattr(predict, "AT_ONCE", 2)
    known, seen = [], []
    real = predict._predict
    monkeypatch.setattr(predict, "_predict", lambda *words: (seen.append(len(known)), real(*words))[1])
    result = public.predict(trained_run, [digits[0]], each=known.append)
    assert seen == [0, 2, 4]
    assert known == result["predictions"]


def test_a_reader_who_leaves_ends_it_silently(trained_run, digits):
    words = f"{sys.executable} -m tinytrain predict {trained_run.folder} {digits[0]}"
    script = f"{words} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=dict(os.environ))
    assert (done.stdout, done.stderr) == ("141\n", "")


# What is drawn


@pytest.mark.usefixtures("found")
def test_boxes_are_drawn_where_they_are(detector_run, tmp_path):
    Image.new("RGB", (640, 480), "black").save(tmp_path / "a.png")
    (row,) = public.predict(detector_run, [tmp_path / "a.png"], out=tmp_path / "out")["predictions"]
    assert row["drawn"] == str(tmp_path / "out" / "a.png")
    x0, y0, x1, y1 = row["boxes"][0]["box"]
    assert (x0, y0, x1, y1) == (160, 60, 480, 420)
    with Image.open(row["drawn"]) as picture:
        assert picture.size == (640, 480)
        pixels = np.asarray(picture)
    paint = np.array(drawing.color(1))
    middle = pixels[240, 160], pixels[240, 479], pixels[419, 320], pixels[60, 470]
    assert all((pixel == paint).all() for pixel in middle)
    assert pixels[240, 163:476].max() == 0  # inside
    assert pixels[425:].max() == 0  # below
    assert pixels[30:59, 162:200].max() > 0  # class and score


def test_a_caption_stands_below_a_picture_of_a_class(trained_run, digits, tmp_path):
    folder, images = digits
    (row,) = public.predict(trained_run, [folder / "1.png"], out=tmp_path / "out")["predictions"]
    with Image.open(row["drawn"]) as picture:
        assert picture.width == 320
        pixels = np.asarray(picture)
    np.testing.assert_array_equal(pixels[:320:40, ::40, 0], images[1])  # enlarged 40 times
    caption = pixels[320:]
    assert caption.shape[0] > 10
    assert (caption == 255).mean() > 0.5
    assert caption.min() < 100


def test_drawn_pictures_have_names_of_their_own(trained_run, tmp_path):
    for name in ("one/a.jpg", "two/a.jpg", "two/deep/b.bmp", "c.png", "one/v1.5"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9)).save(path, {".jpg": "JPEG", ".bmp": "BMP"}.get(path.suffix, "PNG"))
    images = [tmp_path / name for name in ("one", "two", "c.png")]
    rows = public.predict(trained_run, images, out=tmp_path / "made" / "out")["predictions"]
    drawn = [os.path.relpath(row["drawn"], tmp_path / "made" / "out") for row in rows]
    assert drawn == ["a.jpg", "v1.5.png", "a-2.jpg", "deep/b.png", "c.png"]
    for row in rows:
        with Image.open(row["drawn"]) as picture:
            assert picture.format == ("JPEG" if row["drawn"].endswith("jpg") else "PNG")


def test_a_file_that_is_there_is_never_replaced(trained_run, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(UserError, match=r"a\.png' is there already: remove it, or name another folder with --out"):
        public.predict(trained_run, [tmp_path], out=tmp_path)
    assert (tmp_path / "a.png").read_bytes() == before
    assert len(public.predict(trained_run, [tmp_path], out=tmp_path / "out")["predictions"]) == 1
    os.remove(tmp_path / "out" / "a.png")  # and the folder of drawn pictures is none of images
    (tmp_path / "out" / "old.png").write_bytes(before)
    assert len(public.predict(trained_run, [tmp_path], out=tmp_path / "out")["predictions"]) == 1


# Mistakes


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["RUN"], "predict needs RUN or EXPORT and at least one IMAGE, a file or a folder, received RUN"),
        (["RUN", "a.png", "--score", "2"], "--score 2 is out of range: expected a number from 0.01 to 0.99"),
        (["RUN", "a.png", "--score", "nan"], "--score nan is not a number"),
        (["RUN", "a.png", "--score", "0.5"], "is a classifier: leave it out"),
        (["stm32f746", "a.png"], "'stm32f746' is a board, but predict runs a model on this machine: give RUN"),
        (["nothing", "a.png"], "'nothing' does not exist: give RUN, a folder that `tinytrain fit` wrote, or EXPORT"),
        (["a.png", "RUN"], "'a.png' is a file, but not a .tflite: give RUN"),
        (["empty", "a.png"], "'empty' holds neither a run (config.toml) nor an export (report.json): give RUN"),
        (["unfinished", "a.png"], "the run 'unfinished' is not finished: go on with tinytrain fit --out unfinished"),
        (["other.tflite", "a.png"], "'other.tflite' is of unknown origin, so the meaning of its outputs and pixels"),
        (["RUN", "none.png"], "'none.png' does not exist: give image files, or folders of them"),
        (["RUN", "empty"], "no image in the folder 'empty', which holds 0 files: give one with images"),
        (["RUN", "pipe"], "'pipe' is neither a file nor a folder: give image files, or folders of them"),
        (["RUN", "a.png", "--out", "a.png"], "--out 'a.png' is a file: name a folder for the pictures"),
        (["RUN", "a.png", "--out", "a.png/b"], "name another"),
        (["RUN", "a.png", "--out", "/proc/out"], "cannot write into '/proc/out'"),
        (["nothing", "none.png"], "2 things are wrong:\n1. 'none.png' does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(trained_run, tmp_path, command_line, words, sentence):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "other.tflite").write_bytes(conv_model())
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.toml").write_bytes(trained_run.config_path.read_bytes())
    words = [str(trained_run.folder) if word == "RUN" and n == 0 else word for n, word in enumerate(words)]
    status, out, error = command_line("predict", *words)
    assert (status, out) == (2, "")
    assert sentence.replace("received RUN", f"received {trained_run.folder}") in error
    assert not (tmp_path / "out").exists()


def test_an_unfinished_run_is_refused_before_tensorflow_is_imported(trained_run, tmp_path, command_line, monkeypatch):
    monkeypatch.setattr(quiet, "import_tensorflow", lambda **_: pytest.fail("imported"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_bytes(trained_run.config_path.read_bytes())
    for words in (["predict", "run", "a.png"], ["evaluate", "run"], ["export", "run", "--mcu", "stm32f746"]):
        status, _, error = command_line(*words)
        assert (status, error.partition(":")[2]) == (
            2,
            " the run 'run' is not finished: go on with tinytrain fit --out run --resume\n",
        )


def test_an_export_of_a_detector_without_a_decoder_is_refused(tmp_path):
    folder = exported(tmp_path / "export", 2)
    change_report(folder, task="detect")
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"is a detector's export without the decoder .*: export it again"):
        public.predict(folder, [tmp_path / "a.png"])
    change_report(folder, task="ordinal")
    with pytest.raises(UserError, match="was trained for the task ordinal: predict knows classify and detect"):
        public.predict(folder, [tmp_path / "a.png"])


def test_an_export_that_does_not_say_how_images_are_resized_stretches_them(tmp_path, capsys):
    folder = exported(tmp_path / "export", 2)
    Image.new("RGB", (9, 5)).save(tmp_path / "a.png")
    (row,) = public.predict(folder, [tmp_path / "a.png"])["predictions"]
    assert row["label"].isdecimal()  # of 80 outputs without names
    assert "does not say how to resize images for it: they are stretched" in capsys.readouterr().err
