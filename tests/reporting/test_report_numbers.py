"""The numbers of a report against scikit-learn, SciPy and the planner; its charts as the page takes them."""

import base64
import dataclasses
import io
import re
from pathlib import Path
from types import SimpleNamespace

import export_reports
import numpy as np
import pytest
from int8_models import converted_model, shaped
from PIL import Image
from scipy import stats
from sklearn.metrics import confusion_matrix, log_loss

from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.deploy.kernels.derive import derive
from tinytrain.deploy.tflm import memory_planner
from tinytrain.deploy.tflm.memory_planner import Buffer
from tinytrain.errors import UserError
from tinytrain.exporting import text
from tinytrain.exporting.parity import COMPILED
from tinytrain.reporting import (
    board_section,
    cards,
    class_section,
    comparison,
    curves,
    facts,
    matrix,
    memory_map,
    operators,
    pictures,
    provenance,
    runs,
    svg,
)
from tinytrain.reporting.predictions import LabelledImages
from tinytrain.reporting.runs import Export
from tinytrain.tasks.classify import mistakes, report
from tinytrain.tflite.model import Model
from tinytrain.train import task

CLASSES = 7


@pytest.fixture
def guesses():
    """Labels (300,) without class 5, and probabilities (300, 7) that never say class 2."""
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, 2, 3, 4, 6], 300)
    logits = random.normal(size=(300, CLASSES)) + 1.5 * np.eye(CLASSES)[labels]
    logits[:, 2] = -9
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def by_hand(labels, predicted, label):
    """Returns precision, recall, F1 and the images of a class; a share of nothing is 0."""
    hits = sum(1 for true, guess in zip(labels, predicted, strict=True) if true == guess == label)
    images, guesses = list(labels).count(label), list(predicted).count(label)
    return hits / max(guesses, 1), hits / max(images, 1), 2 * hits / max(images + guesses, 1), images


def test_the_figures_of_each_class_are_those_counted_by_hand(guesses):
    labels, probabilities = guesses
    predicted = probabilities.argmax(axis=1)
    figures = mistakes.figures(labels, predicted, CLASSES)
    for label in range(CLASSES):
        actual = [figure[label] for figure in (figures.precision, figures.recall, figures.f1, figures.images)]
        np.testing.assert_allclose(actual, by_hand(labels, predicted, label), atol=1e-12)


def test_the_pairs_are_the_largest_counts_beside_the_diagonal(guesses):
    labels, probabilities = guesses
    counts = confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(CLASSES))
    pairs = mistakes.pairs(counts, 100)
    assert sum(pair.count for pair in pairs) == counts.sum() - np.trace(counts)
    assert [pair.count for pair in pairs] == sorted((pair.count for pair in pairs), reverse=True)
    assert all(pair.true != pair.taken and pair.images == (labels == pair.true).sum() for pair in pairs)
    assert mistakes.pairs(np.diag([3, 4]), 5) == []


def test_the_worst_images_are_wrong_and_in_the_order_of_their_loss(guesses):
    labels, probabilities = guesses
    losses = mistakes.losses(probabilities, labels)
    assert losses.mean() == pytest.approx(log_loss(labels, probabilities, labels=range(CLASSES)))
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    worst = mistakes.worst(probabilities, labels, 10)
    assert set(worst) <= set(wrong)
    np.testing.assert_allclose(losses[worst], np.sort(losses[wrong])[::-1][:10])
    perfect = np.eye(CLASSES)[labels]
    assert set(mistakes.lost(perfect, probabilities, labels, 1000)) == set(wrong)
    assert len(mistakes.lost(probabilities, perfect, labels, 1000)) == 0


def test_the_interval_of_an_accuracy_is_wilsons():
    for hits, images in ((0, 10), (294, 359), (6664, 10_000), (5, 5)):
        low, high = stats.binomtest(hits, images).proportion_ci(method="wilson")
        assert facts.margin(hits / images, images) == pytest.approx((high - low) / 2, rel=1e-3)


def test_class_rows_hold_the_figures_worst_first_and_leave_out_classes_without_images(guesses):
    labels, probabilities = guesses
    names = [f"class {number}" for number in range(CLASSES)]
    predicted = probabilities.argmax(axis=1)
    rows = report.class_rows(labels, {"float": labels, "int8": predicted}, names)
    assert rows[0].name == "class 2"  # never said: F1 is 0
    assert len(rows) == CLASSES - 1
    for row in rows:
        f1 = by_hand(labels, predicted, int(row.name[-1]))[2]
        assert row.f1 == {"float": 1.0, "int8": pytest.approx(f1)}


@pytest.mark.parametrize("classes", [2, 20, 100, 1000])
def test_a_section_of_any_number_of_classes(classes):
    random = np.random.default_rng(1)
    labels = np.arange(2 * classes) % classes
    probabilities = random.dirichlet(np.ones(classes), len(labels))
    images = random.integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
    names = [f"name of class {number}" for number in range(classes)]
    test = LabelledImages(images, labels, [str(label) for label in labels], names)
    section = class_section.of_outputs(
        task.of(Config(), names), test, {"float": np.log(probabilities), "int8": np.log(probabilities[::-1])}, 1, []
    )
    assert (len(section.classes), len(section.matrices)) == (classes, 2)
    assert len(section.worst) <= report.IMAGES
    assert sum(len(chart.svg) for chart in section.matrices) < 400_000


def test_what_int8_has_lost_is_held_against_the_same_weights_in_float():
    labels = np.array([0, 0, 1])
    right, wrong = [0.9, 0.1], [0.2, 0.8]
    probabilities = {
        "float": np.array([right, wrong, [0.1, 0.9]]),
        "fine-tuned float": np.array([wrong, right, [0.1, 0.9]]),
        "int8": np.array([wrong, wrong, [0.1, 0.9]]),
    }
    test = LabelledImages(np.zeros((3, 8, 8, 3), np.uint8), labels, ["first", "second", "third"], ["a", "b"])
    section = class_section.of_outputs(
        task.of(Config(), test.classes), test, {kind: np.log(each) for kind, each in probabilities.items()}, 1, []
    )
    assert [image.file for image in section.lost] == ["second"]  # the first was lost by the fine-tune
    assert section.kinds == ["float", "fine-tuned float", "int8"]
    assert [chart.svg.count("<svg") for chart in section.matrices] == [1, 1, 1]


@pytest.mark.parametrize(
    ("latency", "text", "interval"),
    [((344.6, 270.1, 522.4), "345 ms", "270 to 522 ms"), ((44.64, 31.02, 60.06), "44.6 ms", "31.0 to 60.1 ms")],
)
def test_a_predicted_time_has_no_more_digits_than_are_known(latency, text, interval):
    predicted = facts.Latency(*latency, "predicted")
    assert (predicted.text, predicted.interval) == (text, interval)
    measured = facts.Latency(344.62, None, None, "measured")
    assert (measured.text, measured.interval) == ("344.6 ms", "")


def test_keys_that_were_auto_are_counted_apart():
    config = configs.load(None, ["model.width=0.5", "model.resolution=8", "optim.epochs=3"])
    assert provenance.summary(provenance.changed(config)) == (
        "1 config key differs from the default, 2 values chosen for auto"
    )


def test_the_card_tells_what_quantization_alone_changed():
    exported = Export(Path("e"), {"accuracy": {"float": 0.8, "float_finetuned": 0.9, "int8": 0.85}}, {})
    subject = runs.Subject("a", None, Config(), {"test": {"top1": 0.8, "images": 1000}}, [], {}, {}, {}, [exported])
    card = cards._accuracy(subject)
    assert card.value == "85.0\N{NO-BREAK SPACE}%"
    assert card.lines[0].replace("\N{NO-BREAK SPACE}", " ") == "float 80.0 %, fine-tuned 90.0 %, int8 −5.0 points"
    assert card.state == "bad"  # 5 points below the same weights in float, though above the trained model
    columns = {name: cells[0].text for name, cells in comparison.key_figures([configured(subject)]).rows}
    assert columns["top-1 float, fine-tuned"].replace("\N{NO-BREAK SPACE}", " ") == "90.0 %"


def lite(parts=False):
    return export_reports.report()["tensorflow_lite"] | {"parts": parts}


def emulated(golden, **more):
    return {"board": "mps2_an500", "golden": golden, "instructions": 80_000, "failed": "no room"} | more


@pytest.mark.parametrize(
    ("changes", "value", "state"),
    [
        ({}, "yes", "good"),
        ({"unproven": ["never run"]}, "NO", ""),
        ({"tensorflow_lite": lite(parts=True), "unproven": ["they part"]}, "NO", "bad"),
        ({"emulated": emulated("different"), "unproven": ["another"]}, "NO", "bad"),
        ({"emulated": emulated("not reached"), "unproven": ["no room"]}, "NO", ""),
        ({"emulated": emulated("equal")}, "yes", "good"),
        ({"emulated": emulated("equal", boxes="equal")}, "yes", "good"),
        ({"emulated": emulated("equal", boxes="different"), "unproven": ["boxes"]}, "NO", "bad"),
    ],
)
def test_parity_is_what_was_proven(changes, value, state):
    for whole in (export_reports.report(), {"parity": {"images": 9, "different": 0}}):  # the second an old one
        card = cards._proven(Export(Path("e"), whole | changes, {}))
        assert (card.title, card.value, card.state) == ("Proven", value, state)
        assert card.lines[: len(changes.get("unproven", []))] == changes.get("unproven", [])


def test_the_card_says_in_the_words_of_export_what_was_compared():
    report = export_reports.report(emulated=emulated("equal"), parity={"images": 9, "different": 0, "of": COMPILED})
    card = cards._proven(Export(Path("e"), report, BENCH))
    printed = " ".join(text.summary(report, Path("e")).split())
    assert card.lines[-1] == "bench: 0 of 9 outputs differ on mps2_an500 (emulated)"
    assert card.lines[0] == "the emulated core gives the golden output"
    assert f"proven yes: {card.lines[0]}" in printed
    assert [line.partition(": ")[0] for line in card.lines[1:-1]] == ["parity", "TF Lite", "emulated"]
    for line in card.lines[1:-1]:
        assert line.replace(": ", " ", 1) in printed
    assert "the network compiled for this computer" in card.lines[1]


BENCH = {"board": "mps2_an500", "emulated": True, "images": 9, "different": 0, "latency": {"median": 80_000}}


@pytest.mark.parametrize(("different", "state"), [(0, "good"), (2, "bad")])
def test_lists_of_boxes_that_differ_are_no_parity(different, state):
    bench = BENCH | {"boxes": {"different": different}}
    card = cards._proven(Export(Path("e"), export_reports.report(task="detect"), bench))
    assert card.state == state
    assert f"bench: 0 of 9 outputs differ on mps2_an500 (emulated), {different} of the lists of boxes" in card.lines


def test_a_self_test_without_boxes_is_told_beside_the_parity():
    for count, told in ((0, True), (7, False)):
        card = cards._proven(Export(Path("e"), export_reports.report(task="detect", golden_boxes=count), {}))
        assert any("only proves an empty list" in line for line in card.lines) == told


def test_decoding_is_a_share_of_an_inference():
    emulated = {"emulated": {"golden": "equal", "instructions": 40_000, "decode_instructions": 100}}
    assert facts.decoding(Export(Path("e"), export_reports.report(), {})) == ""
    texts = [
        facts.decoding(Export(Path("e"), export_reports.report() | emulated, {})),
        facts.decoding(Export(Path("e"), {}, BENCH | {"boxes": {"decode": {"median": 64, "unit": "instructions"}}})),
    ]
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in texts] == [
        "100 instructions for the golden image, 0.25 % of an inference, counted in the emulator",
        "64 instructions an image (median), 0.08 % of an inference, measured in the emulator",
    ]


def test_the_figures_of_a_bench_have_the_name_that_the_task_gives_them():
    bench = BENCH | {"accuracy": {"board": 0.75}, "boxes": {"different": 0, "mean": 3.5}}
    rows = dict(board_section._facts(Export(Path("e"), export_reports.report(task="detect"), bench)))
    assert rows["AP50 in the emulator"].replace("\N{NO-BREAK SPACE}", " ") == "75.0 % on 9 images"
    assert rows["boxes in the emulator"] == "0 of 9 lists differ from the host's, 3.5 boxes an image"
    rows = dict(board_section._facts(Export(Path("e"), export_reports.report(), BENCH | {"accuracy": {"board": 0.75}})))
    assert rows["accuracy in the emulator"].replace("\N{NO-BREAK SPACE}", " ") == "75.0 % of 9 images"


def test_an_arena_that_is_not_known_is_no_card_that_says_no():
    memory = dict.fromkeys(export_reports.LIMITS, 1) | {"arena_bytes": None, "ram_bytes": None}
    card = cards._fits(Export(Path("e"), export_reports.report(fits=None, memory=memory), {}))
    assert (card.title, card.value, card.state) == ("Fits stm32f746g_disco?", "unknown", "")
    assert cards._fits(Export(Path("e"), {"board": "stm32f746g_disco"}, {})) is None  # an old one without memory


def configured(subject):
    return dataclasses.replace(subject, config=Config())


def test_shades_of_many_classes_lose_no_confusion():
    counts = np.diag(np.full(1000, 9))
    counts[17, 803] = 1
    cells = matrix.shaded(counts)
    assert cells.shape == (250, 250, 4)
    assert cells[17 // 4, 803 // 4, 3] == round(255 * np.sqrt(0.1))
    assert (cells[..., 3] > 0).sum() == 251


def test_the_memory_map_is_the_planners_and_nothing_overlaps():
    model = Model.parse(converted_model())
    schedule, layout = memory_planner.schedule(model), memory_map.read(model, own_kernels=False)
    assert layout.head_bytes == memory_planner.head_bytes(schedule, cmsis_nn=True)
    for number, (offset, buffer) in enumerate(layout.blocks):
        for start, other in layout.blocks[number + 1 :]:
            together = buffer.first <= other.last and other.first <= buffer.last
            assert not together or offset + buffer.size_bytes <= start or start + other.size_bytes <= offset
    tensors = next(step for step in schedule.steps if step.name == "CONV_2D")
    live = sum(np.prod(schedule.shapes[tensor]) for tensor in (*tensors.inputs, *tensors.outputs))
    assert layout.live_bytes[1] == live + layout.scratch_bytes(1)
    assert layout.live_bytes.max() <= layout.head_bytes
    assert layout.live_bytes[layout.peak] == layout.live_bytes[1:].max()


def test_the_memory_map_of_our_kernels_is_the_exports_and_counts_shared_bytes_once():
    model = Model.parse(converted_model())
    layout = memory_map.read(model, own_kernels=True)
    assert layout.head_bytes == derive(model).placement.head_bytes
    assert (layout.live_bytes <= layout.head_bytes).all()
    outputs = [int(np.prod(operator.outputs[0].shape)) for operator in model.operators]
    assert (layout.live_bytes[1:] >= outputs).all()
    over = [(0, Buffer(64, 0, 1)), (48, Buffer(32, 1, 2)), (160, Buffer(16, 1, 1))]
    assert memory_map.used_bytes(over) == 80 + 16


def test_the_times_of_operators_add_up():
    graph = Model.parse(converted_model())
    rows = operators.rows(graph, 40.0, operators.estimated_shares(graph, own_kernels=False))
    assert sum(row.ms for row in rows) == pytest.approx(40)
    assert [row.kind for row in rows] == [operator.name for operator in graph.operators]
    measured = [{"name": row.kind, "share": row.number} for row in rows]
    shares = operators.measured_shares({"profile": {"operators": measured}}, graph)
    total = sum(range(1, len(rows) + 1))
    assert [row.ms for row in operators.rows(graph, 10.0, shares)] == pytest.approx(
        [10 * number / total for number in range(1, len(rows) + 1)]
    )
    assert operators.measured_shares({"profile": {"operators": measured[1:]}}, graph) is None
    assert operators.measured_shares({}, graph) is None


MEMORY = {"arena_bytes": 1, "ram_bytes": 2, "ram_limit_bytes": 3, "flash_bytes": 304_690, "flash_limit_bytes": 5}


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ("240,592 model, 57,798 runtime, 6,300 firmware; linked", [240_592, 57_798, 6_300]),
        ("older words", [200_000, 104_690]),
    ],
)
def test_the_parts_of_flash_add_up(sizes, parts):
    export = Export(Path("x"), {"memory": MEMORY, "sizes": sizes, "model": {"bytes": 200_000}}, {})
    assert [size for _, size in facts.flash_parts(export)] == parts
    assert sum(parts) == MEMORY["flash_bytes"]
    assert facts.memory(Export(Path("x"), {"memory": {"arena_bytes": 1}}, {})) == {}


def test_latency_is_the_boards_if_it_was_measured_there():
    report = {"latency_ms": 10.0, "latency_range_ms": [8.0, 13.0]}
    measured = {"emulated": False, "latency": {"milliseconds": 9.5}}
    assert facts.latency(Export(Path("x"), report, measured)).ms == 9.5
    emulated = facts.latency(Export(Path("x"), report, measured | {"emulated": True}))
    assert (emulated.ms, emulated.interval) == (10.0, "8.0 to 13.0 ms")
    assert facts.latency(Export(Path("x"), {"latency_ms": 10.0}, {})).interval == ""
    assert facts.latency(Export(Path("x"), {}, {})) is None


def test_names_of_runs_are_short_and_unique(tmp_path):
    assert runs.names([Path("runs/one"), Path("elsewhere/two")]) == ["one", "two"]
    assert runs.names([Path("out/a/digits/seed0"), Path("out/b/digits/seed0")]) == ["a/digits/seed0", "b/digits/seed0"]
    with pytest.raises(UserError, match="named twice"):
        runs.names([Path("runs/one"), Path("runs/../runs/one")])


def test_the_best_of_a_column_is_marked():
    column = comparison.Column("latency", [3.0, None, 2.0], "{:.0f} ms".format, more_is_better=False)
    assert column.cells() == [comparison.Cell("3 ms"), comparison.Cell("–"), comparison.Cell("2 ms", best=True)]
    same = comparison.Column("accuracy", [0.5, 0.5], str, more_is_better=True)
    assert not any(cell.best for cell in same.cells())


@pytest.mark.parametrize(
    ("values", "images", "best"),
    [
        # By hand, of independent shares: 1.96 · √(0.25 / 1000) = 3.1 points each, 4.4 of the difference.
        ([0.50, 0.53], [1000, 1000], None),
        ([0.50, 0.56], [1000, 1000], 1),
        ([0.50, 0.53], [10_000, 10_000], 1),
        ([0.56, None, 0.50], [1000, None, 1000], 0),
        ([0.56, 0.50], [1000, None], None),  # of how many images is not known
    ],
)
def test_an_accuracy_is_the_best_only_beyond_the_chance_of_its_images(values, images, best):
    column = comparison.Column("top-1", values, str, True, images)
    assert [number for number, cell in enumerate(column.cells()) if cell.best] == ([] if best is None else [best])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_thumbnail_is_the_image(channels):
    image = np.random.default_rng(0).integers(0, 256, (16, 16, channels), dtype=np.uint8)
    content = base64.b64decode(pictures.data_uri(image).partition("base64,")[2])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))).reshape(image.shape), image)
    large = pictures.data_uri(np.zeros((300, 300, channels), np.uint8)).partition("base64,")[2]
    assert Image.open(io.BytesIO(base64.b64decode(large))).size == (96, 96)


def drawn(name="name", text="text"):
    def draw(figure, _):
        axes = svg.axes(figure)
        axes.plot([1, 2], [3, 4], color=svg.SERIES[0])
        axes.set_title(text)
        axes.set_xticks([1], [text])

    return svg.chart(name, f'the chart of "{text}"', [(300, 200)], draw).svg


def test_a_chart_is_small_colored_by_the_page_and_the_same_every_time():
    chart = str(drawn())
    assert chart == str(drawn())
    assert len(chart) < 12_000
    assert "var(--c1)" in chart
    assert "#0a0b" not in chart
    assert "http" not in chart
    assert "font-family" not in chart
    assert "<style" not in chart
    ids = [set(re.findall(r' id="([^"]*)"', str(drawn(name)))) for name in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_texts_in_a_chart_are_escaped_and_no_mathematics():
    chart = str(drawn(text='<script>&"ü</script> $x$ 日本'))
    assert "<script" not in chart
    assert chart.count("&lt;script&gt;&amp;") >= 3
    assert "$x$" in chart
    assert "日本" in chart


def test_numbers_in_the_texts_of_a_chart_keep_their_digits():
    assert ">0.00125</text>" in str(drawn(text="0.00125"))


def subject_of(losses, val_losses):
    history = [
        {"epoch": float(epoch), "loss": loss, "val_loss": val_loss}  # as history.csv is read
        for epoch, (loss, val_loss) in enumerate(zip(losses, val_losses, strict=True), 1)
    ]
    return runs.Subject("one", None, Config(), {}, history, {}, {}, {}, [])


@pytest.mark.parametrize(
    ("val_losses", "highest", "above"),
    [
        # quartiles 1.2 and 1.4 (by hand, of 9 values): 1.95 is the highest up to 1.4 + 3 · 0.2
        ([13.6, 1.95, 1.4, 1.4, 1.3, 1.2, 1.2, 1.1, 1.0], 1.95, "not shown: val 13.6 in epoch 1"),
        ([13.6, 9.0, 1.4, 1.4, 1.3, 1.2, 1.2, 1.1, 1.0], 1.9, "not shown: val 13.6 in epoch 1 and 1 more"),
        ([3.0, 2.0, 1.4, 1.4, 1.3, 1.2, 1.2, 1.1, 1.0], np.inf, ""),  # the others would not even get twice the room
        ([1.0, 0.9, 0.8, 0.8, 1.0, 1.4, 2.0, 2.8, 3.6], np.inf, ""),  # overfitting
        ([13.6, 1.3, 1.2], None, None),
    ],
)
def test_the_axis_of_the_loss_ends_below_what_is_far_out(val_losses, highest, above):
    losses = np.linspace(1.9, 0.7, len(val_losses)).tolist()
    if highest is None:  # too few epochs to tell
        highest, above = np.inf, ""
    subject = subject_of(losses, val_losses)
    assert curves.values_above([subject]) == (highest, above)
    loss = curves.charts([subject])[0]
    assert ("not shown" in str(loss.svg)) == ("Not shown" in loss.alt) == bool(above)


def test_a_run_whose_losses_are_all_higher_is_not_cut_off():
    subjects = [subject_of([scale] * 9, [scale] * 9) for scale in (1.0, 50.0)]
    assert curves.values_above(subjects) == (np.inf, "")
    assert curves.values_above([subject_of([np.nan] * 9, [np.nan] * 9)]) == (np.inf, "")


def test_the_legend_names_the_lines_that_there_are():
    history = [{"epoch": epoch, "loss": 2.0, "val_loss": 3.0, "val_ap50": 0.5} for epoch in (1, 2)]
    subject = runs.Subject("one", None, Config(task="detect"), {}, history, {}, {}, {}, [])
    loss, ap50, _ = (str(chart.svg) for chart in curves.charts([subject]))
    assert ">val</text>" in loss
    assert ">train</text>" in loss
    assert ">val</text>" in ap50
    assert ">train</text>" not in ap50


def test_the_map_of_a_compiled_network_is_drawn_by_operators():
    """Two operators fused behind a first one: rows of the map between them live while both run."""
    section = {
        "arena_bytes": 112,
        "steps": [{"operators": [0], "rows": 0}, {"operators": [1, 2], "rows": 1}],
        "buffers": [
            {"kind": "tensor", "offset": 0, "bytes": 64, "first": 0, "last": 1},
            {"kind": "tensor", "offset": 64, "bytes": 32, "first": 1, "last": 2},
            {"kind": "rows", "offset": 96, "bytes": 16, "first": 2, "last": 2},
            {"kind": "tensor", "offset": 0, "bytes": 48, "first": 2, "last": 2},
        ],
    }
    found = memory_map.compiled(section, 3)
    assert found.live_bytes.tolist() == [64, 96, 96, 96]
    assert [(buffer.first, buffer.last) for _, buffer in found.blocks] == [(0, 1), (1, 3), (2, 3), (2, 3)]
    assert (found.head_bytes, found.rows, found.compiled) == (112, {2}, True)
    assert found.peak_step == "operator 1"  # the first of those with 96 bytes
    section["buffers"][2]["bytes"] = 20
    assert memory_map.compiled(section, 3).peak_step == "operators 2 to 3"  # as export calls them


def test_the_share_of_fused_operators_is_split_by_their_multiply_accumulates():
    graph = SimpleNamespace(
        operators=[shaped("CONV_2D", (1, 4, 4, 1), (1, 1, 1, 1), (1, 4, 4, 1), strideH=1, strideW=1)] * 3
    )
    measured = [
        {"name": "FUSED 1-2", "operators": [0, 1], "share": 0.6},
        {"name": "CONV_2D", "operators": [2], "share": 0.4},
    ]
    shares = operators.measured_shares({"profile": {"operators": measured}}, graph)
    assert shares == pytest.approx([0.3, 0.3, 0.4])
    assert operators.measured_shares({"profile": {"operators": measured[:1]}}, graph) is None
    assert "fused operators (1 to 2) were measured only together" in operators.how_divided(
        {"profile": {"operators": measured}}
    )
    assert operators.how_divided({"profile": {"operators": measured[1:]}}) == ""
