"""`tinytrain report` from the outside: what is in the file, what is left out, and how it looks in a browser."""

import html
import html.parser
import io
import json
import re
import shutil

import numpy as np
import pytest
from browser import PROGRAM, browser
from PIL import Image

from tinytrain.commands import fit
from tinytrain.commands.export import export
from tinytrain.commands.report import report
from tinytrain.config import load as configs
from tinytrain.reporting import predictions, runs
from tinytrain.train import task as tasks

EVIL = "<img src=x onerror=window.injected=1>"
CLASSES = [EVIL, "$x$ & {{ 7 * 7 }}", '<b>&"ü 日本', "plain"]
BOARD = "export-stm32f746g_disco"
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="chromium is missing: make browser")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on images of classes with bad names, exported and diagnosed."""
    root = tmp_path_factory.mktemp("report")
    random = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (root / "images" / name).mkdir(parents=True)
        for i in range(24):
            pixels = random.integers(0, 100, (16, 16, 3), dtype=np.uint8)
            pixels[..., number % 3] += 80 + 70 * (number == 3)
            Image.fromarray(pixels).save(root / "images" / name / f"{i:03d}.png")
    words = [f"data.spec=folder:{root / 'images'}", "optim.epochs=10", "optim.batch=16", "model.width=0.25"]
    words += ["data.test_fraction=0.4", "model.resolution=16"]
    trained = fit.fit(configs.load(None, words), root / "run")
    export(trained.folder, "stm32f746", overrides=["qat.epochs=0"], diagnose=True)
    return trained


@pytest.fixture(scope="module")
def page(run):
    """The report about that run and one without export, as a file."""
    plain = run.folder.parent / "plain"
    shutil.copytree(run.folder, plain, ignore=shutil.ignore_patterns("export-*"))
    out = run.folder.parent / "report.html"
    report([run.folder, plain], out)
    return out


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the run to spoil."""
    return shutil.copytree(run.folder, tmp_path / "copy")


def written(folder, tmp_path):
    """Returns the text of the report about the run in `folder`, tags taken out."""
    report([folder], tmp_path / "out.html")
    return html.unescape(re.sub(r"<[^>]*>", " ", (tmp_path / "out.html").read_text()))


class Reader(html.parser.HTMLParser):
    """All tags with their attributes, and those that are left open."""

    VOID = ("meta", "link", "img", "path", "use", "image", "br")

    def __init__(self):
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.mark.long
def test_the_file_needs_nothing_else_and_is_well_formed(page):
    text = page.read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    names = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(set(names)) == len(names)
    for tag, attributes in reader.tags:
        assert tag not in ("script", "iframe", "object", "embed")
        assert not [name for name in attributes if name.startswith("on")]
        for link in (attributes[name] for name in ("src", "href", "xlink:href") if name in attributes):
            assert link.startswith("data:") or link.removeprefix("#") in names
    for tag, attributes in reader.tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["role"] == "img"
            assert len(attributes["aria-label"]) > 20
    assert EVIL not in text
    assert html.escape(EVIL) in text
    assert "{{ 7 * 7 }}" in text


def test_the_same_runs_give_the_same_bytes(page, run, tmp_path):
    report([run.folder, run.folder.parent / "plain"], tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_the_report_says_what_the_run_says(run, tmp_path):
    text = written(run.folder, tmp_path)
    result = json.loads((run.folder / BOARD / "report.json").read_text())
    test = run.metrics()["test"]
    assert f"{100 * result['accuracy']['int8']:.1f}\N{NO-BREAK SPACE}%" in text
    assert f"float {100 * test['top1']:.1f}\N{NO-BREAK SPACE}%" in text
    assert f"{result['latency_ms']:.1f} ms" in text
    low, high = result["latency_range_ms"]
    assert f"{low:.1f} to {high:.1f} ms" in text
    assert f"0 of {test['images']} outputs" in text
    assert f"{result['memory']['arena_bytes']:,} bytes" in text
    assert result["diagnosis"]["layers"][0]["layer"] in text
    assert "tensorflow" in text
    assert configs.dump(run.config()) in text
    names = run.split()["test"]
    assert any(name in text for name in names)


def test_both_models_are_asked_of_the_test_images(run):
    subject = runs.read([run.folder])[0]
    proven = predictions.golden(subject.exports[0])
    test = predictions.test_images(subject, proven)
    assert test.names == run.split()["test"]
    export, task = subject.exports[0], tasks.of(subject.config, test.classes)
    before, after = predictions.of_float(subject, test), predictions.of_export(export, proven, task, test)["int8"]
    accuracy = export.report["accuracy"]
    assert (before.argmax(axis=1) == test.labels).mean() == pytest.approx(run.metrics()["test"]["top1"])
    assert (before.argmax(axis=1) == test.labels).mean() == pytest.approx(accuracy["float"])
    assert (after.argmax(axis=1) == test.labels).mean() == pytest.approx(accuracy["int8"])
    assert [name.split("/")[0] for name in test.names] == [test.classes[label] for label in test.labels]


def with_labels(folder, labels):
    path = folder / BOARD / "golden.npz"
    with np.load(path) as saved:
        arrays = {name: saved[name] for name in saved.files if name != "labels"}
    np.savez_compressed(path, **arrays | ({} if labels is None else {"labels": labels}))


def without_data(folder):
    text = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(re.sub(r'spec = "folder:[^"]*"', 'spec = "folder:/nowhere"', text))


def test_labels_in_the_export_stand_in_for_the_data(copy, tmp_path):
    subject = runs.read([copy])[0]
    with_labels(copy, predictions.test_images(subject, None).labels)
    without_data(copy)
    assert "Most confused" in written(copy, tmp_path)


def test_without_labels_and_data_the_mistakes_are_left_out(copy, tmp_path):
    with_labels(copy, None)
    without_data(copy)
    text = written(copy, tmp_path)
    assert "Confusion matrices, classes and images are left out: no folder '/nowhere'" in text
    assert "Memory over time" in text
    assert "Most confused" not in text


def test_a_run_without_export_says_how_to_get_one(copy, tmp_path):
    shutil.rmtree(copy / BOARD)
    text = written(copy, tmp_path)
    assert f"tinytrain export {copy} --mcu stm32f746 --diagnose" in text
    assert "Test accuracy, float" in text
    assert "Most confused" in text
    assert "Memory over time" not in text


def test_an_unfinished_run_shows_its_curves(copy, tmp_path):
    shutil.rmtree(copy / BOARD)
    (copy / "metrics.json").unlink()
    text = written(copy, tmp_path)
    assert f"tinytrain fit --out {copy} --resume" in text
    assert "Best val accuracy so far" in text
    assert "Learning curves" in text
    (copy / "history.csv").unlink()
    assert "Learning curves" not in written(copy, tmp_path)


def test_an_old_export_and_one_without_diagnosis(copy, tmp_path):
    path = copy / BOARD / "report.json"
    result = json.loads(path.read_text())
    for name in ("diagnosis", "latency_range_ms", "sizes"):
        del result[name]
    path.write_text(json.dumps(result))
    (copy / "origin.json").unlink()
    text = written(copy, tmp_path)
    assert "--diagnose" in text
    assert "Quantization error" not in text
    assert "Longest operators" in text
    for name in ("latency_ms", "memory", "parity", "accuracy", "model"):
        del result[name]
    path.write_text(json.dumps(result))
    (copy / BOARD / "model.tflite").unlink()
    assert "Longest operators" not in written(copy, tmp_path)


def test_a_bench_on_the_board_is_shown(copy, tmp_path):
    rows = [{"name": name, "share": 1.0} for name in ["CONV_2D"]]
    bench = {"board": "stm32f746g_disco", "emulated": False, "images": 38, "different": 1, "accuracy": {"board": 0.5}}
    bench |= {"latency": {"milliseconds": 7.25}, "profile": {"operators": rows}}
    (copy / BOARD / "bench.json").write_text(json.dumps(bench))
    text = written(copy, tmp_path)
    assert "7.2 ms" in text
    assert "measured on the board" in text
    assert "bench: 1 of 38 outputs differ on stm32f746g_disco" in text


@pytest.mark.parametrize(
    ("spoil", "words", "sentence"),
    [
        (None, [], "report needs at least one RUN"),
        (None, ["nowhere"], "'nowhere' does not exist"),
        (None, ["empty"], "'empty' holds no run"),
        (None, ["copy", "copy"], "is named twice"),
        (None, ["copy", "--out", "nowhere/report.html"], "would be in 'nowhere', which is not a folder"),
        (None, ["copy", "--out", "empty"], "it is a folder"),
        (f"{BOARD}/report.json", ["copy"], "report.json': "),
        ("history.csv", ["copy"], "history.csv': "),
        ("metrics.json", ["copy"], "metrics.json': "),
        (f"{BOARD}/golden.npz", ["copy"], "golden.npz': "),
        (f"{BOARD}/model.tflite", ["copy"], "model.tflite' is damaged, or is another model ("),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(command_line, copy, tmp_path, spoil, words, sentence):
    (tmp_path / "empty").mkdir()
    if spoil:
        (copy / spoil).write_text("epoch,loss\n1,[no number\n")
    before = sorted(tmp_path.iterdir())
    status, out, error = command_line("report", *words)
    assert (status, out) == (2, "")
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_says_what_it_wrote(command_line, copy, tmp_path):
    (tmp_path / "report.html").write_text("older")
    status, out, error = command_line("report", "copy", "--json")
    size = (tmp_path / "report.html").stat().st_size
    assert (status, error) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"report.html: {size:,} bytes about copy"
    assert json.loads(lines[1]) == {"out": "report.html", "bytes": size, "runs": [{"name": "copy", "run": "copy"}]}
    assert 100_000 < size < 1_000_000


@needs_chromium
def test_a_browser_shows_it_on_any_screen_without_a_complaint(page):
    with browser() as chromium:
        for width, dark in ((1280, False), (400, False), (1280, True), (400, True)):
            chromium.open(page, width, dark=dark)
            assert chromium.said() == []
            assert chromium.requested()[0] == page.as_uri()
            assert all(url.startswith("data:") for url in chromium.requested()[1:])
            assert chromium.evaluate("window.injected") is None
            assert chromium.evaluate("document.documentElement.scrollWidth") <= width
            look_at_the_pictures(chromium, width)
            shown = np.asarray(Image.open(io.BytesIO(chromium.screenshot())).convert("L"))
            assert shown.shape == (900, width)
            assert (shown[0, 0] < 60) == dark
            assert shown.std() > 15
            assert len(np.unique(shown)) > 50
            chromium.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
            assert chromium.evaluate("document.documentElement.scrollWidth") <= width
            assert chromium.said() == []  # nothing came later


@needs_chromium
def test_a_complaint_of_a_page_is_heard(tmp_path):
    for script in ("console.warn('late')", "throw Error('late')", "document.body.append(no_such_name)"):
        bad = tmp_path / "bad.html"
        bad.write_text(f"<!doctype html><body><script>{script}</script>")
        with browser() as chromium:
            chromium.open(bad, 400)
            assert len(chromium.said()) == 1


def look_at_the_pictures(chromium, width):
    """Asserts that all images are there and that no chart is hidden, cut off or too small to read."""
    assert chromium.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert chromium.evaluate("document.images.length") > 5
    charts = chromium.evaluate(
        "[...document.querySelectorAll('svg.chart')].map(svg => [svg.getBoundingClientRect().width, "
        "svg.getBoundingClientRect().left, svg.viewBox.baseVal.width])"
    )
    shown = [chart for chart in charts if chart[0] > 0]
    assert len(shown) >= 12
    for on_screen, left, drawn in shown:
        assert left >= 0
        assert left + on_screen <= width
        assert on_screen / drawn > 0.7  # letters of 11 pixels
    texts = "[...document.querySelectorAll('svg.chart text')].filter(text => text.getBoundingClientRect().width > 0)"
    limits = "text.getBoundingClientRect().right <= innerWidth && text.getBoundingClientRect().left >= 0"
    assert chromium.evaluate(f"{texts}.every(text => {limits})")
    assert EVIL in chromium.evaluate("document.querySelector('svg.chart').ownerDocument.body.innerText")
