"""`model.weights`: published weights give the outputs of keras.applications, ours those of the file."""

import shutil
import urllib.error

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format  # the format of the published files; Keras writes it nowhere else
from keras.src.utils import file_utils
from kills import copy_after_an_epoch
from small_networks import trained

from tinytrain.commands import export, fit
from tinytrain.config import load as configs
from tinytrain.config.schema import Config, Device, Model
from tinytrain.data import batches
from tinytrain.deploy import estimate
from tinytrain.errors import UserError
from tinytrain.nn import imagenet, macs, pretrained
from tinytrain.nn.build import build_model
from tinytrain.quantize import convert, tf_keras_clone
from tinytrain.tflite.model import Model as TFLiteModel
from tinytrain.train.method import Method

PREPROCESS = {
    "mobilenet_v1": keras.applications.mobilenet.preprocess_input,
    "mobilenet_v2": keras.applications.mobilenet_v2.preprocess_input,
    "mobilenet_v3_large": keras.applications.mobilenet_v3.preprocess_input,
    "mobilenet_v3_small": keras.applications.mobilenet_v3.preprocess_input,
    "efficientnet_b0": keras.applications.efficientnet.preprocess_input,
    "resnet50": keras.applications.resnet.preprocess_input,
}
CASES = [(name, width) for name, published in imagenet.PUBLISHED.items() for width in published.widths]
SHORT_CASES = [("mobilenet_v1", 0.25), ("mobilenet_v2", 0.35), ("mobilenet_v3_small", 1.0)]
SIDE = 64
FITTING = {"name": "mobilenet_v1", "width": 0.25, "resolution": 32, "channels": 3, "stem": "imagenet"}


def pixels(side, count=3):
    return np.random.default_rng(7).integers(0, 256, (count, side, side, 3), np.uint8)


def build(classes=5, precision="float32", **options):
    return build_model(Config(model=Model(**FITTING | options), device=Device(precision=precision)), classes)


def application(name, width, source, side=SIDE):
    published = imagenet.PUBLISHED[name]
    alpha = {"alpha": width} if name.startswith("mobilenet") else {}
    function = getattr(keras.applications, published.application)
    return function(input_shape=(side, side, 3), include_top=published.with_classifier, weights=source, **alpha)


def randomize(model, images):
    """Gives every layer other numbers than those it begins with; BatchNorm the statistics of `images`, or none would
    leave a trace in the output."""
    random = np.random.default_rng(1)
    for layer in model.layers:
        values = layer.get_weights()
        if isinstance(layer, keras.layers.Normalization):  # as published: the second is the standard deviation
            wanted = [np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])]
            layer.set_weights([new.reshape(old.shape) for new, old in zip(wanted, values, strict=False)] + values[2:])
            layer.finalize_state()
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            layer.set_weights([random.uniform(0.5, 1.5, value.shape) for value in values])
        elif len(values) == 2:
            layer.set_weights([values[0], random.normal(0, 0.3, values[1].shape)])
    model(images, training=True)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Returns a function that puts a randomized network into a KERAS_HOME, as published: its path."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(file_utils, "urlretrieve", lambda *_: pytest.fail("reached for the network"))

    def save(name, width, side=SIDE):
        published = imagenet.PUBLISHED[name]
        file = published.file(width, imagenet.published_resolution(published, width, side))
        path = tmp_path / "keras/models" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        model = application(name, width, None, side)
        randomize(model, PREPROCESS[name](pixels(side, 8).astype("float32")))
        with h5py.File(path, "w") as group:
            legacy_h5_format.save_weights_to_hdf5_group(group, model)
        return path

    return save


def as_keras_loads_it(monkeypatch, name, width, path):
    """Returns the network with weights="imagenet" from `path`, and (file, url, hash) that Keras would fetch."""
    asked = []

    def get_file(file, url, cache_subdir, file_hash=None):
        asked.append((file, url, file_hash))
        return str(path)

    with monkeypatch.context() as patch:
        patch.setattr(file_utils, "get_file", get_file)
        side = imagenet.published_resolution(imagenet.PUBLISHED[name], width, SIDE)
        named = application(name, width, "imagenet", side)
    model = application(name, width, None) if name != "efficientnet_b0" else named
    if model is not named:  # at our resolution
        model.set_weights(named.get_weights())
    return model, asked


def features(model, images):
    """Returns what the classifier of `model` reads: (N, C)."""
    last = next((layer for layer in model.layers if layer.name == "logits"), None)
    end = last.input if last else keras.layers.GlobalAveragePooling2D()(model.output)
    return np.asarray(keras.Model(model.input, end)(images, training=False)).reshape(len(images), -1)


@pytest.mark.parametrize(
    ("name", "width"),
    [pytest.param(*case, marks=[] if case in SHORT_CASES else pytest.mark.long) for case in CASES],
)
def test_published_weights_give_the_outputs_of_keras_applications(publish, monkeypatch, name, width):
    path = publish(name, width)
    theirs, asked = as_keras_loads_it(monkeypatch, name, width, path)
    side = theirs.input_shape[1]
    images = pixels(side)
    expected = features(theirs, PREPROCESS[name](images.astype("float32")))
    ours = build(1000, name=name, width=width, resolution=side, weights="imagenet")
    own = features(ours, batches.normalize(images))
    np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert np.abs(expected[0] - expected[1]).max() > 0.01 * np.abs(expected).max()  # it sees the images
    published = imagenet.PUBLISHED[name]
    assert asked == [(path.name, f"{published.url}/{path.name}", published.md5.get(width))]


def test_the_nearest_published_resolution_is_taken():
    nearest = {
        side: imagenet.published_resolution(imagenet.PUBLISHED["mobilenet_v2"], 0.5, side) for side in (32, 150, 600)
    }
    assert nearest == {32: 96, 150: 160, 600: 224}
    assert imagenet.published_resolution(imagenet.PUBLISHED["mobilenet_v2"], 1.4, 96) == 224


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"name": "mobilenet_v2", "width": 0.4},
            r"mobilenet_v2 is published for widths 0.35, 0.5.*received model.width = 0.4",
        ),
        ({"name": "mobilenet_v3_large", "width": 0.75}, "published for width 1; received model.width = 0.75"),
        (
            {"name": "mcunet", "width": 1.0},
            "no ImageNet weights are published for mcunet: .* efficientnet_b0, mobilenet",
        ),
        ({"channels": 1}, "needs model.channels=3, received 1"),
    ],
)
def test_what_is_not_published_is_said(options, sentence):
    with pytest.raises(UserError, match=sentence):
        build(weights="imagenet", **options)


def test_without_network_one_sentence_says_which_file_to_put_where(command_line, tmp_path, monkeypatch, image_folder):
    def urlretrieve(*_):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(file_utils, "urlretrieve", urlretrieve)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    images = image_folder()
    words = ["fit", "--data", f"folder:{images}", "model.weights=imagenet", "model.resolution=96"]
    status, out, error = command_line(*words)
    file = "mobilenet_2_5_128_tf_no_top.h5"
    assert (status, out) == (2, "")
    sentence = error.strip().splitlines()[-1]
    url = f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/{file}"
    assert f"needs '{file}', which could not be downloaded (no route): fetch {url} on another machine" in sentence
    assert sentence.endswith(f"put it into the folder {tmp_path / 'keras/models'}")
    assert not (tmp_path / "runs").exists()


def test_a_published_file_that_was_cut_off_is_said(publish):
    path = publish("mobilenet_v1", 0.25)
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(UserError, match=f"'{path}' does not hold the published weights .*: fetch it again from https"):
        build(name="mobilenet_v1", width=0.25, resolution=SIDE, weights="imagenet")


def test_mixed_precision_keeps_the_numbers_of_the_preprocessing(publish):
    publish("mobilenet_v1", 0.25)
    options = {"name": "mobilenet_v1", "width": 0.25, "resolution": SIDE, "weights": "imagenet"}
    plain, mixed = build(**options), build(precision="mixed_float16", **options)
    assert mixed.get_layer("preprocessing").compute_dtype == "float32"
    assert mixed.get_layer("stem_conv").compute_dtype == "float16"
    for ours, theirs in zip(plain.get_weights(), mixed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def rescaled(**options):
    """Returns a trained network with a Rescaling in front."""
    return pretrained._with_rescaling(trained(build(**options)), [0.9, 1.2, 1.1], [0.3, -0.2, 0.5])


def test_a_rescaling_changes_nothing_but_the_pixels(tmp_path):
    plain = trained(build())
    model = pretrained._with_rescaling(plain, [2.0, 0.5, 1.0], [0.1, 0.2, 0.3])
    images = np.asarray(batches.normalize(pixels(32)))
    expected = np.asarray(plain(images * np.float32([2.0, 0.5, 1.0]) + np.float32([0.1, 0.2, 0.3])))
    model.save(tmp_path / "model.keras")
    for one in (model, keras.saving.load_model(tmp_path / "model.keras"), Method(model)):
        np.testing.assert_allclose(np.asarray(one(images)), expected, rtol=1e-4, atol=1e-5)
    assert (macs.count(model), model.count_params()) == (macs.count(plain), plain.count_params())
    assert estimate.arena_and_model_bytes(model) == estimate.arena_and_model_bytes(plain)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert model.name == plain.name


@pytest.mark.parametrize("classes", [5, 7])
@pytest.mark.parametrize("as_run", [True, False])
def test_a_file_of_ours_gives_its_weights_and_its_preprocessing(tmp_path, monkeypatch, classes, as_run):
    source = rescaled()
    source.save(tmp_path / "model.keras")
    monkeypatch.chdir(tmp_path)
    model = build(classes, weights=str(tmp_path if as_run else "model.keras"))
    images = batches.normalize(pixels(32))
    np.testing.assert_allclose(features(model, images), features(source, images), rtol=1e-4, atol=1e-5)
    same = model.output_shape == source.output_shape
    assert same == (classes == 5)
    if same:
        np.testing.assert_allclose(np.asarray(model(images)), np.asarray(source(images)), rtol=1e-4, atol=1e-5)


def test_the_first_layer_that_does_not_fit_is_named(tmp_path):
    config = Config(model=Model(**FITTING), device=Device(precision="float32"))
    (tmp_path / "config.toml").write_text(configs.dump(config))
    trained(build_model(config, 5)).save(tmp_path / "model.keras")
    fault = (
        r"the layer 'stem_conv' is 3x3x3x8 in the file and 3x3x3x32 in mobilenet_v1; it was trained with model.name="
    )
    with pytest.raises(UserError, match=fault + "mobilenet_v1 model.width=0.25 model.channels=3"):
        build(width=1.0, weights=str(tmp_path))
    with pytest.raises(UserError, match=r"'block1_first_conv' is missing in the file and 3x3x8x8 in resnet8"):
        build(name="resnet8", width=0.5, weights=str(tmp_path))


def test_the_layout_of_a_resnet_follows_its_file(tmp_path):
    options = {"name": "resnet50", "width": 0.125}
    source = trained(_resnet("1x1"))
    source.save(tmp_path / "model.keras")
    images = batches.normalize(pixels(32))
    model = build(weights=str(tmp_path / "model.keras"), **options)
    np.testing.assert_allclose(np.asarray(model(images)), np.asarray(source(images)), rtol=1e-4, atol=1e-5)
    assert pretrained.build_options(_resnet("3x3")) == {}


def _resnet(stride_on):
    from tinytrain.models import resnet50

    return resnet50.build(classes=5, resolution=32, channels=3, width=0.125, stride_on=stride_on)


def test_a_path_that_is_no_model_is_said(tmp_path):
    (tmp_path / "notes.keras").write_text("no model")
    (tmp_path / "run").mkdir()
    for word, sentence in {
        "imagenett": "'imagenett' does not exist: give imagenet, .* or a run folder; did you mean 'imagenet'",
        str(tmp_path / "notes.keras"): "is not a Keras model: .*; give a .keras file or a run folder",
        str(tmp_path / "run"): "holds no finished run: there is no model.keras in it",
    }.items():
        with pytest.raises(UserError, match=sentence):
            build(weights=word)


@pytest.mark.long
def test_a_run_resumes_when_the_file_it_began_from_is_gone(tmp_path, monkeypatch, image_folder):
    rescaled(name="resnet8").save(tmp_path / "first.keras")
    monkeypatch.chdir(tmp_path)
    words = ["optim.epochs=2", "optim.batch=16", "model.name=resnet8", "model.width=0.25", "model.weights=first.keras"]
    config = configs.load(None, [f"data.spec=folder:{image_folder()}", "model.resolution=32", *words])
    with monkeypatch.context() as patch:
        copy_after_an_epoch(patch, "killed")
        whole = fit.fit(config, "whole")
    assert whole.config().model.weights == str(tmp_path / "first.keras")
    (tmp_path / "first.keras").unlink()
    resumed = fit.fit(configs.load(tmp_path / "killed/config.toml"), "killed", resume=True)
    models = [keras.saving.load_model(run.model_path) for run in (whole, resumed)]
    assert [model.get_layer("preprocessing").scale for model in models] == [[0.9, 1.2, 1.1]] * 2
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert resumed.metrics()["test"] == whole.metrics()["test"]
    shutil.rmtree(tmp_path / "killed")
    with pytest.raises(UserError, match="does not exist"):
        fit.fit(config, "killed")


def stem(padding, **options):
    image = keras.Input((12, 12, 3))
    x = keras.layers.Rescaling([2.0, 0.5, 1.0], [0.3, -0.2, 0.5], name="preprocessing")(image)
    x = keras.layers.ZeroPadding2D(padding)(x) if padding else x
    kind = keras.layers.DepthwiseConv2D if options.pop("depthwise", False) else keras.layers.Conv2D
    x = kind(**{"kernel_size": 3, "padding": "valid" if padding else "same", "name": "stem"} | options)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return trained(keras.Model(image, x))


@pytest.mark.parametrize(
    ("padding", "options"),
    [
        (0, {"filters": 4}),
        (1, {"filters": 4, "use_bias": False}),
        (((0, 1), (0, 1)), {"filters": 4, "strides": 2}),
        (0, {"depthwise": True, "depth_multiplier": 2}),
    ],
)
def test_the_folded_twin_is_equal_but_at_the_border(padding, options):
    model = stem(padding, **options)
    exact = tf_keras_clone.rebuild(model)
    tf_keras_clone.check_equal(model, exact)
    folded = tf_keras_clone.fold(model, exact)
    assert "preprocessing" in [layer.name for layer in exact.layers]
    assert "preprocessing" not in [layer.name for layer in folded.layers]
    x = np.random.default_rng(0).uniform(-1, 1, (2, 12, 12, 3)).astype("float32")
    expected, padded = np.asarray(exact(x)), np.asarray(folded(x))
    np.testing.assert_allclose(padded[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], rtol=1e-4, atol=1e-5)
    assert np.abs(padded - expected).max() > 0.01


def test_a_rescaling_that_cannot_be_folded_stays():
    image = keras.Input((12, 12, 3))
    x = keras.layers.Rescaling(2.0, 0.5, name="preprocessing")(image)
    two_readers = keras.layers.Add()([keras.layers.Conv2D(3, 1)(x), x])
    for end in (two_readers, keras.layers.Conv2D(6, 3, groups=3)(x), keras.layers.MaxPooling2D(2)(x)):
        model = keras.Model(image, end)
        folded = tf_keras_clone.fold(model, tf_keras_clone.rebuild(model))
        tf_keras_clone.check_equal(model, folded)
        assert "preprocessing" in [layer.name for layer in folded.layers]
    plain = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    built = tf_keras_clone.rebuild(plain)
    assert tf_keras_clone.fold(plain, built) is built


@pytest.mark.long
def test_an_exported_run_with_preprocessing_has_no_operator_more(tmp_path, image_folder):
    rescaled(name="resnet8").save(tmp_path / "model.keras")
    plain = convert.convert_untrained(trained(build(3, name="resnet8")))
    words = [f"data.spec=folder:{image_folder()}", "model.name=resnet8", "model.width=0.25"]
    short = [
        f"model.weights={tmp_path}",
        "model.resolution=32",
        "optim.epochs=1",
        "optim.lr=1e-3",
        "qat.epochs=1",
        "optim.batch=16",
    ]
    run = fit.fit(configs.load(None, words + short), tmp_path / "run", mcu="stm32f746")
    assert keras.saving.load_model(run.model_path).get_layer("preprocessing").scale == [0.9, 1.2, 1.1]
    report, folder = export.export(run.folder, "stm32f746")
    assert TFLiteModel.parse((folder / "model.tflite").read_bytes()).counts == plain.counts
    assert report["parity"]["different"] == 0
    assert report["accuracy"]["int8"] >= report["accuracy"]["float"] - 0.2
