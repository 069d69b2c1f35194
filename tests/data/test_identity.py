"""What a run was trained on is compared, or restored, wherever the run is used again."""

import json
import shutil

import int8_models
import keras
import numpy as np
import pytest
from int8_models import conv_model
from PIL import Image

from tinytrain.config import load as configs
from tinytrain.data import boxes, identity, run_images, splits
from tinytrain.data.boxes import Box
from tinytrain.data.load import load_dataset
from tinytrain.data.source import ImageSet
from tinytrain.errors import UserError
from tinytrain.nn.build import build_model
from tinytrain.run import Run
from tinytrain.tasks.classify import metrics
from tinytrain.train import fit
from tinytrain.train.resolve import resolve

CLASSES = ("blue", "green", "red")
SMALL = [
    "model.name=resnet8",
    "model.width=0.1",
    "model.resolution=16",
    "optim.epochs=1",
    "optim.batch=8",
    "augment.crop=0",
]


def noise(number, seed=0, size=(16, 16)):
    """An image around the color of class `number`."""
    pixels = np.random.default_rng([number, seed]).integers(0, 80, (size[1], size[0], 3), dtype=np.uint8)
    pixels[..., 2 - number] += 150
    return Image.fromarray(pixels)


def make(root, count=12, first=0, size=(16, 16), classes=CLASSES):
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(first, first + count):
            noise(number, i, size).save(root / name / f"{i:03d}.png")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run on 36 images in class folders."""
    workspace = tmp_path_factory.mktemp("trained")
    make(workspace / "images")
    fit.fit(configs.load(None, [*SMALL, f"data.spec=folder:{workspace / 'images'}"]), workspace / "run")
    return workspace


@pytest.fixture
def workspace(trained, tmp_path):
    """A copy of the run and its images, to be changed."""
    for name in ("images", "run"):
        shutil.copytree(trained / name, tmp_path / name)
    config = tmp_path / "run/config.toml"
    config.write_text(config.read_text().replace(str(trained), str(tmp_path)))
    return tmp_path


def unfinished(run):
    for name in ("metrics.json", "model.keras"):
        (run / name).unlink()


def added(images):
    noise(0, 99).save(images / "blue/new.png")


def removed(images):
    (images / "green/003.png").unlink()


def renamed_class(images):
    (images / "red").rename(images / "amber")


def replaced(images):
    noise(2, 77).save(images / "red/005.png")


CHANGES = [
    (added, "1 image added: blue/new.png"),
    (removed, "1 image removed: green/003.png"),
    (renamed_class, "classes gone: red; classes new: amber"),
    (replaced, "1 image with other pixels under the same name: red/005.png"),
]
COMMANDS = [
    ("evaluate", "run"),
    ("export", "run", "--mcu", "stm32f746"),
    ("fit", "--out", "run", "--resume"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(("change", "sentence"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_changed_images_are_refused_in_one_sentence_by_every_command(workspace, command_line, words, change, sentence):
    change(workspace / "images")
    if words[0] == "fit":
        unfinished(workspace / "run")
    before = {path.name: path.read_bytes() for path in (workspace / "run").iterdir()}
    status, out, error = command_line(*words)
    assert (status, out) == (2, "")
    last = error.strip().splitlines()[-1]
    assert f"is not what '{words[1] if words[0] != 'fit' else 'run'}' was trained on" in last
    assert sentence in last
    assert {path.name: path.read_bytes() for path in (workspace / "run").iterdir()} == before


def test_the_same_images_are_taken_again(workspace, command_line):
    status, out, error = command_line("evaluate", "run", "--json")
    assert status == 0, error
    assert json.loads(out.splitlines()[-1])["top1"] == Run(workspace / "run").metrics()["test"]["top1"]
    unfinished(workspace / "run")
    assert command_line("fit", "--out", "run", "--resume")[0] == 0


def test_the_split_of_a_run_is_restored_and_not_drawn_again(workspace, command_line):
    """split.json says what was trained on, whatever a draw would give today."""
    from tinytrain.data import identity

    run = Run(workspace / "run")
    split = run.split()
    split["train"][0], split["test"][0] = split["test"][0], split["train"][0]  # both are blue
    run.split_path.write_text(json.dumps(split))
    run.content_path.unlink()
    config = run.config()
    data = identity.recorded_splits(run, load_dataset(config), config)
    for name, images in split.items():
        pixels, labels = data.arrays(name)
        for image, label, pixel in zip(images, labels, pixels[:], strict=True):
            assert CLASSES[label] == image.partition("/")[0]
            np.testing.assert_array_equal(pixel, np.asarray(Image.open(workspace / "images" / image)))


@pytest.fixture
def many(workspace, monkeypatch):
    """The copy of the run, recorded as one of many images is."""
    run = Run(workspace / "run")
    before = {name: (run.folder / name).read_text() for name in ("split.json", "content.json")}
    data = identity.recorded_splits(run, load_dataset(run.config()), run.config())
    for name in before:
        (run.folder / name).unlink()
    monkeypatch.setattr(run_images, "LARGE", 35)
    identity.record(run, data)
    assert not run.split_path.exists()
    assert run.split() == json.loads(before["split.json"])
    return workspace


@pytest.mark.parametrize(("change", "sentence"), CHANGES)
def test_changes_of_many_images_are_named_as_those_of_few(many, command_line, change, sentence):
    assert command_line("evaluate", "run")[0] == 0
    change(many / "images")
    status, _, error = command_line("evaluate", "run")
    assert (status, sentence in error) == (2, True)


@pytest.mark.parametrize("kind", ["names/ends", "names/letters", "digests", "annotations/ends", ""])
def test_a_damaged_record_of_many_images_is_one_sentence(many, command_line, kind):
    path = many / "run/images.npz"
    with np.load(path) as file:
        arrays = {name: file[name][1:] if name == f"test/{kind}" else file[name] for name in file.files}
    np.savez(path, **arrays) if kind else path.write_bytes(path.read_bytes()[:-30])
    status, _, error = command_line("evaluate", "run")
    assert (status, "run/images.npz'" in error, "has changed since tinytrain wrote it" in error) == (2, True, True)


def test_images_that_many_were_trained_on_are_counted(many, command_line):
    run = Run(many / "run")
    data = identity.recorded_splits(run, load_dataset(run.config()), run.config())
    assert [identity.count_trained_on(run, data, name) for name in ("train", "test")] == [len(run.split()["train"]), 0]


def test_a_run_from_before_contents_were_recorded_still_works(workspace, command_line):
    for name in ("content.json", "origin.json"):
        (workspace / "run" / name).unlink()
    assert command_line("evaluate", "run")[0] == 0
    added(workspace / "images")
    status, _, error = command_line("evaluate", "run")
    assert (status, "1 image added: blue/new.png" in error) == (2, True)


@pytest.mark.parametrize("content", ["", "[]", '{"train": 3'])
def test_a_damaged_split_is_one_sentence(workspace, command_line, content):
    (workspace / "run/split.json").write_text(content)
    status, _, error = command_line("evaluate", "run")
    assert status == 2
    assert "run/split.json" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("name", ["split.json", "content.json"])
@pytest.mark.parametrize("content", ['{"train": 5}', '{"train": [{}]}', '{"test": [["a"]]}', '{"left_out": []}'])
def test_damaged_names_of_images_are_one_sentence(workspace, command_line, name, content):
    (workspace / "run" / name).write_text(content)
    status, _, error = command_line("evaluate", "run")
    assert (status, f"run/{name}' holds no images under" in error) == (2, True)


@pytest.mark.parametrize("classes", ["3", '"blue"', "[1, 2, 3]"])
def test_damaged_names_of_classes_are_one_sentence(workspace, command_line, classes):
    (workspace / "run/origin.json").write_text(f'{{"classes": {classes}}}')
    status, _, error = command_line("evaluate", "run")
    assert (status, "run/origin.json' holds no class names" in error) == (2, True)


def table(images, rows):
    lines = ["path,label,split", *(f"{path},{label},{split}" for path, label, split in rows)]
    (images / "table.csv").write_text("\n".join(lines) + "\n")


def test_a_label_or_a_split_that_was_changed_in_a_table_is_refused(tmp_path, command_line):
    images = make(tmp_path / "images")
    splits = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    rows = [[f"{name}/{i:03d}.png", name, splits[i]] for name in CLASSES for i in range(12)]
    table(images, rows)
    fit.fit(configs.load(None, [*SMALL, f"data.spec=csv:{images / 'table.csv'}"]), tmp_path / "run")
    assert command_line("evaluate", "run")[0] == 0
    for column, value, sentence in (
        (1, "red", "1 image of another class: blue/000.png (now red)"),
        (2, "test", "1 image in another split: blue/000.png (train, now test)"),
    ):
        changed = [list(row) for row in rows]
        changed[0][column] = value
        table(images, changed)
        status, _, error = command_line("evaluate", "run")
        assert status == 2
        assert sentence in error


def test_compare_does_not_go_on_with_other_images(tmp_path, command_line):
    images = make(tmp_path / "images")
    (tmp_path / "c.toml").write_text("")
    words = ["compare", "c.toml", "--data", f"folder:{images}", "--out", "cmp", *SMALL]
    assert command_line(*words)[0] == 0
    added(images)
    status, _, error = command_line(*words, "--seeds", "2")
    assert status == 2
    assert "1 image added: blue/new.png" in error
    assert not (tmp_path / "cmp/c/images/seed1").exists()
    assert command_line(*words)[0] == 0  # nothing is left to train: the table of what was


def test_classes_in_another_order_are_refused_with_both_lists(workspace, command_line):
    origin = workspace / "run/origin.json"
    origin.write_text(json.dumps(json.loads(origin.read_text()) | {"classes": ["red", "blue", "green"]}))
    status, _, error = command_line("evaluate", "run")
    assert status == 2
    assert "classes in another order, blue, green, red instead of red, blue, green" in error


def by_hand(workspace, names, resize=lambda image: image):
    """Top-1 of the run's model on the class folders in other/, its outputs being called `names`."""
    model = keras.saving.load_model(workspace / "run/model.keras", compile=False)
    paths = sorted((workspace / "other").rglob("*.png"))
    pixels = np.stack([np.asarray(resize(Image.open(path)), np.float32) for path in paths])
    answers = np.argmax(model((pixels - 128) / 128), axis=1)
    return np.mean([names[answer] == path.parent.name for answer, path in zip(answers, paths, strict=True)])


def evaluated(command_line, *words):
    status, out, error = command_line("evaluate", *words, "--json")
    assert status == 0, error
    return json.loads(out.splitlines()[-1]), error


def test_labels_follow_the_names_of_their_classes():
    model_classes = ["red", "blue", "green"]
    data_classes = ["blue", "green", "red"]  # a cycle: no permutation that is its own inverse
    labels = np.array([0, 0, 1, 2, 2, 2])
    matched, notes = identity.match_classes(model_classes, data_classes, labels, "the model", "other")
    assert [model_classes[label] for label in matched] == [data_classes[label] for label in labels]
    assert len(notes) == 1
    unchanged, _ = identity.match_classes(data_classes, data_classes, labels, "the model", "other")
    assert unchanged.tolist() == labels.tolist()


def test_boxes_follow_the_names_of_their_classes_too():
    packed = boxes.pack([[Box(0, (1, 2, 3, 4)), Box(1, (1, 2, 3, 5))], []])
    matched, notes = identity.match_classes(["b", "x", "a"], ["a", "b"], packed, "the model", "other")
    assert matched[..., boxes.CLASS].tolist() == [[2, 0], [-1, -1]]
    assert notes == []
    np.testing.assert_array_equal(matched[..., 1:], packed[..., 1:])
    with pytest.raises(UserError, match="the model has the classes b, x, 'other' has a, b"):
        identity.match_classes(["b", "x"], ["a", "b"], packed, "the model", "other")


def test_neither_padding_nor_the_order_of_boxes_is_part_of_an_image():
    first, second = Box(0, (1, 2, 3, 4)), Box(1, (1, 2, 3, 4), boxes.CROWD)

    def content(images):
        pool = ImageSet(boxes.pack(images), ["a", "b"], "key", lambda *_: iter(()))
        return list(run_images.of_images(pool, np.array([0, 1])).annotations)

    before = content([[first, second], []])
    assert content([[second, first], [first] * 9])[0] == before[0]
    assert before[1].startswith("0 ")
    for other in ([first], [first, Box(1, (1, 2, 3, 4))], [first, Box(1, (1, 2, 3, 4.5), boxes.CROWD)]):
        assert content([other, []])[0] != before[0]


def test_other_data_is_matched_by_the_names_of_its_classes(workspace, command_line):
    make(workspace / "other", count=5, first=50)
    words = ("run", "--data", "folder:other")
    for names in (list(CLASSES), ["red", "blue", "green"]):
        origin = workspace / "run/origin.json"
        origin.write_text(json.dumps(json.loads(origin.read_text()) | {"classes": names}))
        result, error = evaluated(command_line, *words)
        assert result["images"] == 15
        assert result["top1"] == pytest.approx(by_hand(workspace, names))
        assert ("are in another order" in error) == (names != list(CLASSES))
    (workspace / "other/green").rename(workspace / "other/grün")
    status, _, error = command_line("evaluate", *words)
    assert status == 2
    assert "has the classes red, blue, green, 'folder:other' has blue, grün, red" in error


def test_a_model_without_names_says_so(workspace, command_line):
    make(workspace / "other", count=3, first=50)
    (workspace / "run/origin.json").unlink()
    _, error = evaluated(command_line, "run", "--data", "folder:other")
    assert "does not name its classes: they are assumed to be in the order of 'folder:other', blue, green, red" in error


def test_other_data_is_prepared_as_the_model_was_trained(workspace, command_line):
    """Wide images whose class is in the middle only: cropped they are another thing than stretched."""
    for number, name in enumerate(CLASSES):
        (workspace / "other" / name).mkdir(parents=True)
        for i in range(4):
            wide = noise((number + 1) % 3, i, (64, 16))
            wide.paste(noise(number, i), (24, 0))
            wide.save(workspace / "other" / name / f"{i}.png")
    config = workspace / "run/config.toml"
    for how, box in (("stretch", None), ("crop", (24, 0, 40, 16))):
        config.write_text(config.read_text().replace('resize = "stretch"', f'resize = "{how}"'))
        resize = lambda image, box=box: image.resize((16, 16), Image.Resampling.BILINEAR, box)  # noqa: E731
        expected = by_hand(workspace, CLASSES, resize)
        assert evaluated(command_line, "run", "--data", "folder:other")[0]["top1"] == pytest.approx(expected)
    expected = by_hand(workspace, CLASSES, lambda image: image.resize((16, 16), Image.Resampling.BILINEAR))
    again, _ = evaluated(command_line, "run", "--data", "folder:other", "data.resize=stretch")
    assert again["top1"] == pytest.approx(expected)


def test_all_of_a_new_folder_is_measured_or_its_test_images(workspace, command_line):
    make(workspace / "other", count=5, first=50)
    assert evaluated(command_line, "run", "--data", "folder:other")[0]["images"] == 15
    drawn = ("run", "--data", "folder:other", "data.split=random", "data.test_fraction=0.4")
    assert evaluated(command_line, *drawn)[0]["images"] == 6
    status, _, error = command_line("evaluate", "run", "--data", "folder:other", "--split", "test")
    assert (status, "has no splits, so all of it is measured" in error) == (2, True)
    for split, count in (("train", 5), ("test", 4)):
        make(workspace / "official" / split, count=count, first=50)
    assert evaluated(command_line, "run", "--data", "folder:official")[0]["images"] == 12
    assert evaluated(command_line, "run", "--data", "folder:official", "--split", "train")[0]["images"] == 15
    status, _, error = command_line("evaluate", "run", "--data", "folder:official", "--split", "val")
    assert (status, "has no val images: use --split test or train" in error) == (2, True)


def test_data_that_was_trained_on_is_told(workspace, command_line):
    shutil.copytree(workspace / "images", workspace / "other")
    result, error = evaluated(command_line, "run", "--data", "folder:other")
    trained_on = len(Run(workspace / "run").split()["train"])
    assert f"was trained on {trained_on} of these {result['images']} images: the figures are too good" in error


def test_what_is_told_of_data_cannot_drive_a_terminal(workspace, command_line):
    (workspace / "run").rename(workspace / "\x1b[31mrun")
    (workspace / "images").rename(workspace / "other")
    status, _, error = command_line("evaluate", "\x1b[31mrun", "--data", "folder:other")
    assert status == 0
    assert "\\x1b[31mrun' was trained on" in error
    assert "\x1b" not in error


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["optim.lr=1"], "evaluate cannot change optim.lr of 'run': the model is already trained"),
        (["data.seed=1"], "a run keeps the split that it was trained with"),
        (["export.input_range=0..1"], "evaluate cannot change export.input_range of 'run'"),
        (["data.resiz=crop"], "did you mean 'data.resize'"),
    ],
)
def test_a_key_that_evaluate_does_not_read_is_refused(workspace, command_line, words, sentence):
    status, _, error = command_line("evaluate", "run", *words)
    assert status == 2
    assert sentence in error


def of_eight_pixels(folder, name="model.tflite", scale=1.0, zero=-128):
    """A .tflite of 5 classes for images of 8x8 pixels, 0 to 255, which answers the mean of the pixels it takes."""
    content = int8_models.changed(conv_model(scale=scale, zero=zero), int8_models.of_eight_pixels)
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def test_what_an_export_knows_travels_with_its_tflite(tmp_path, command_line, monkeypatch):
    """report.json beside the file: classes in order, crop in place of stretch, what pixels are."""

    path = of_eight_pixels(tmp_path / "e")
    make(tmp_path / "other", count=2, size=(16, 8), classes="abc")
    make(tmp_path / "other", count=2, size=(16, 8), classes="de")
    report = {
        "source": "elsewhere",
        "model": {"bytes": path.stat().st_size},
        "classes": list("edcba"),
        "input": {"pixel_0": 0.0, "pixel_255": 127.0, "resize": "crop"},
    }
    fed = []
    monkeypatch.setattr(
        "tinytrain.deploy.tflm.interpreter.ReferenceInterpreter.run",
        lambda self, images: fed.append(images) or [np.zeros((len(images), 5), np.int8)],
    )
    seen = []
    monkeypatch.setattr(metrics, "summary", lambda logits, labels: seen.append(labels) or {})
    _, error = evaluated(command_line, "e/model.tflite", "--data", "folder:other")
    assert "does not name its classes" in error
    assert "by stretch: set data.resize to change that" in error
    assert (
        "'e/model.tflite' takes pixels 0 to 255 as 0 to 255: set export.input_range, channel_order, mean and std"
        in error
    )
    (path.parent / "report.json").write_text(json.dumps(report))
    _, error = evaluated(command_line, "e/model.tflite", "--data", "folder:other")
    assert "are in another order" in error
    assert "takes pixels" not in error
    evaluated(
        command_line, "e/model.tflite", "--data", "folder:other", "data.resize=stretch", "export.input_range=0..255"
    )
    files = sorted((tmp_path / "other").rglob("*.png"))
    for images, labels, order, box, brightest in zip(
        fed, seen, ("abcde", "edcba", "edcba"), (None, (4, 0, 12, 8), None), (255, 127, 255), strict=True
    ):
        assert [order[label] for label in labels] == [path.parent.name for path in files]
        pixels = np.stack(
            [np.asarray(Image.open(file).resize((8, 8), Image.Resampling.BILINEAR, box)) for file in files]
        )
        np.testing.assert_array_equal(images, np.floor(pixels * (brightest / 255) + 0.5) - 128)


def test_evaluate_hints_at_the_keys_of_a_model_that_takes_bgr_less_means(tmp_path, command_line):
    """The range of keras.applications' ResNet50: -123.68 to 255 - 103.939."""
    of_eight_pixels(tmp_path / "e", scale=1.0774, zero=-13)
    make(tmp_path / "other", count=1, size=(8, 8), classes="abcde")
    _, error = evaluated(command_line, "e/model.tflite", "--data", "folder:other")
    assert "it looks like export.channel_order=bgr export.mean=[103.939,116.779,123.68]" in error


def test_a_report_of_another_model_is_not_believed(tmp_path):
    from tinytrain.evaluation_data import tflite_origin

    path = of_eight_pixels(tmp_path / "e")
    report = {"source": "r", "model": {"bytes": path.stat().st_size + 1}, "classes": list("abcde"), "input": {}}
    (path.parent / "report.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match=r"is damaged, or is another model"):
        tflite_origin.of(path)
    (path.parent / "report.json").write_text(json.dumps(report | {"model": {"bytes": path.stat().st_size}}))
    assert tflite_origin.of(path).classes == tuple("abcde")


def test_a_classifier_of_other_classes_is_not_begun_from(workspace, capsys):

    config = resolve(
        configs.load(None, [*SMALL, f"model.weights={workspace / 'run'}", "model.channels=3"]),
        load_dataset(configs.load(None, [f"data.spec=folder:{workspace / 'images'}"])),
    )
    saved = keras.saving.load_model(workspace / "run/model.keras", compile=False).get_layer("logits").get_weights()[0]
    for names, taken in ((CLASSES, True), (("red", "green", "blue"), False), ((), True)):
        kernel = build_model(config, 3, names).get_layer("logits").get_weights()[0]
        assert np.array_equal(kernel, saved) == taken
        assert ("are in another order: the classifier is not taken from it" in capsys.readouterr().err) != taken


@pytest.mark.parametrize("words", [["model.weights=RUN"], ["method=distill", "distill.teacher=RUN"]])
def test_a_start_or_a_teacher_that_knows_the_test_images_is_told(workspace, capsys, words):
    words = [word.replace("RUN", str(workspace / "run")) for word in words]
    theirs = set(Run(workspace / "run").split()["train"])
    for seed in (0, 1):  # the run was trained with 0
        config = configs.load(None, [*SMALL, f"data.spec=folder:{workspace / 'images'}", f"seed={seed}", *words])
        source = load_dataset(config)
        data = fit.Splits(source, resolve(config, source))
        fit._print_seen_test_images(data, config)
        ours = set(splits.as_names(source, data.subsets)["test"])
        told = f"was trained on {len(theirs & ours)} of these {len(ours)} test images"
        assert (told in capsys.readouterr().err) == bool(seed)


@pytest.mark.parametrize("word", ["run", "run/model.keras"])
def test_a_teacher_of_other_classes_is_refused_by_name(workspace, word):
    from tinytrain.errors import UserError
    from tinytrain.methods.distill import teachers

    word = str(workspace / word)
    student = keras.saving.load_model(workspace / "run/model.keras", compile=False)
    assert teachers.load(word, student, list(CLASSES)).output_shape == (None, 3)
    for classes, sentence in (
        (["green", "blue", "red"], "has 'blue' as class 0, the student 'green'"),
        (["blue", "green", "rot"], "has the classes blue, green, red, the student has blue, green, rot"),
    ):
        with pytest.raises(UserError, match=sentence):
            teachers.load(word, student, classes)


def test_a_split_that_does_not_go_with_its_contents_is_refused(workspace, command_line):
    path = workspace / "run/content.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"test": content["test"][1:]}))
    status, _, error = command_line("evaluate", "run")
    assert (status, "content.json of the run has" in error) == (2, True)
