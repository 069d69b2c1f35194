"""Predicted instructions against those counted on the emulated core, predicted times against published ones."""

import dataclasses
import json
from pathlib import Path

import export_reports
import pytest

from tinytrain.config import plugins
from tinytrain.deploy import boards, latency
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.prepare import prepare
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.deploy.tflm import cmsis_nn_counts, instructions
from tinytrain.exporting.text import summary
from tinytrain.quantize import convert
from tinytrain.tflite import macs
from tinytrain.tflite.model import Operator, Tensor


def tensor(*shape):
    return Tensor("", shape, "int8", (1.0,), (0,), False)


def operator(name, source, target, weights=(), **options):
    inputs = (tensor(*source), tensor(*weights)) if weights else (tensor(*source),)
    return Operator(name, inputs, (tensor(*target),), options)


STRIDE = {"strideH": 2, "strideW": 2}
WHOLE = {"filterHeight": 8, "filterWidth": 8, "fusedActivationFunction": 0}
# Counted by the firmware's profile in MLPerf Tiny's ResNet-8, MobileNetV1 and autoencoder and in MCUNet's vww1, on the
# emulated Cortex-M7: none of these operators is among those that the coefficients are fitted to.
COUNTED = [
    (2_158_612, operator("CONV_2D", (1, 32, 32, 3), (1, 32, 32, 16), (16, 3, 3, 3))),
    (5_541_666, operator("CONV_2D", (1, 32, 32, 16), (1, 32, 32, 16), (16, 3, 3, 16))),
    (2_533_017, operator("CONV_2D", (1, 32, 32, 16), (1, 16, 16, 32), (32, 3, 3, 16), **STRIDE)),
    (4_159_039, operator("CONV_2D", (1, 8, 8, 64), (1, 8, 8, 64), (64, 3, 3, 64))),
    (557_631, operator("CONV_2D", (1, 32, 32, 16), (1, 16, 16, 32), (32, 1, 1, 16), **STRIDE)),
    (1_060_005, operator("CONV_2D", (1, 6, 6, 128), (1, 6, 6, 128), (128, 1, 1, 128))),
    (1_147_685, operator("CONV_2D", (1, 3, 3, 256), (1, 3, 3, 256), (256, 1, 1, 256))),
    (1_469_570, operator("DEPTHWISE_CONV_2D", (1, 48, 48, 8), (1, 48, 48, 8), (1, 3, 3, 8))),
    (700_930, operator("DEPTHWISE_CONV_2D", (1, 48, 48, 16), (1, 24, 24, 16), (1, 3, 3, 16), **STRIDE)),
    (143_084, operator("DEPTHWISE_CONV_2D", (1, 3, 3, 256), (1, 3, 3, 256), (1, 3, 3, 256))),
    (2_060_255, operator("DEPTHWISE_CONV_2D", (1, 26, 26, 48), (1, 10, 10, 48), (1, 7, 7, 48), **STRIDE)),
    (828_302, operator("DEPTHWISE_CONV_2D", (1, 3, 3, 288), (1, 3, 3, 288), (1, 7, 7, 288))),
    (2_604_215, operator("DEPTHWISE_CONV_2D", (1, 10, 10, 120), (1, 10, 10, 120), (1, 5, 5, 120))),
    (160_405, operator("FULLY_CONNECTED", (1, 640), (1, 128), (128, 640))),
    (1_065_189, operator("ADD", (1, 32, 32, 16), (1, 32, 32, 16), (1, 32, 32, 16))),
    (21_453, operator("AVERAGE_POOL_2D", (1, 8, 8, 64), (1, 1, 1, 64), **WHOLE)),
]


@pytest.mark.parametrize(("counted", "single"), COUNTED, ids=lambda value: getattr(value, "name", None))
def test_an_operator_is_predicted_within_seven_percent(counted, single):
    assert instructions.by_operator([single])[0].instructions == pytest.approx(counted, rel=0.07)


def test_every_operator_is_named_with_its_number():
    costs = instructions.by_operator([single for _, single in COUNTED])
    assert [(name, number) for name, number, _ in costs] == [(s.name, i) for i, (_, s) in enumerate(COUNTED)]
    total = instructions.total([single for _, single in COUNTED])
    assert total == pytest.approx(sum(cost for *_, cost in costs) + 85 * len(COUNTED))


def test_the_counts_of_a_small_convolution_by_hand():
    # 4x4 image, 3x3 window, 3 filters of 2 channels: 9 taps and 18 values a pixel; one of 3 filters is odd.
    single = operator("CONV_2D", (1, 4, 4, 2), (1, 4, 4, 3), (3, 3, 3, 2))
    assert cmsis_nn_counts.counts(single, "int8") == (16 * 9, 16 * 18, 16 * 3, 16 * 3 * 18, 16)
    # Depthwise: corners see 4 taps, edges 6, the four in the middle 9; so 10 rows of 12 windows; channel 5 is odd.
    single = operator("DEPTHWISE_CONV_2D", (1, 4, 4, 5), (1, 4, 4, 5), (1, 3, 3, 5))
    assert cmsis_nn_counts.counts(single, "int8") == (16 * 4, 10 * 4 * 4, 100 * 4, 16, 100)
    # 1x1 on 5 pixels with 3 filters of 8 channels: one pair of filters, 3 pairs of pixels, the last one half.
    single = operator("CONV_2D", (1, 1, 5, 8), (1, 1, 5, 3), (3, 1, 1, 8))
    assert cmsis_nn_counts.counts(single, "int8") == (8, 3, 2 * 4 * 8, 5 * 8)


@pytest.mark.parametrize("name", ["L2_NORMALIZATION", "REDUCE_MAX", "UNIDIRECTIONAL_SEQUENCE_LSTM"])
def test_a_model_with_an_operator_that_was_never_counted_has_no_estimate(name):
    """Neither of the whole nor of the latency; counted in the emulator, it has one."""
    model, board = [operator(name, (1, 100), (1, 100)), COUNTED[0][1]], boards.load("stm32f746")
    assert instructions.uncounted(model) == [name]
    assert instructions.total(model) is None
    assert [cost.instructions is None for cost in instructions.by_operator(model)] == [True, False]
    report = latency.report(model, board)
    assert (report["latency_ms"], report["latency_range_ms"]) == (None, None)
    assert f"unknown: the instructions of {name} were never counted; export measures it if TFLM_DIR" in printed(report)
    counted = latency.report(model, board, 216_000_000)
    assert counted["latency_ms"] == pytest.approx(970)  # 1 s at a cycle each, times the likely 0.97


@pytest.mark.parametrize(
    ("name", "width", "resolution", "classes", "counted", "own"),
    [
        ("resnet8", 1.0, 32, 10, 29_545_200, 14_736_530),
        ("mobilenet_v1", 0.25, 96, 2, 24_025_853, 11_205_566),
        pytest.param("mobilenet_v2", 0.35, 96, 10, 44_232_060, 18_961_640, marks=pytest.mark.long),
    ],
)
def test_a_network_is_predicted_within_three_percent(name, width, resolution, classes, counted, own):
    """With TFLM's kernels and with ours; the counts are those of docs/quantization.md and docs/kernels.md."""
    build = plugins.load("models", name).build
    model = convert.convert_untrained(build(classes=classes, channels=3, width=width, resolution=resolution))
    kernels = [prepare(model, operator) for operator in model.operators]
    assert instructions.total(model.operators) == pytest.approx(counted, rel=0.03)
    assert instructions.total(model.operators, kernels) == pytest.approx(own, rel=0.01)


PUBLISHED = [
    # board, its clock now, published ms and clock, instructions that the emulator counted for the published .tflite
    ("nucleo_h743zi", 97, 480e6, 47_108_220),  # MCUNet vww1, README of tinyengine, CMSIS-NN
    ("nucleo_l4r5zi", 389.56, 120e6, 29_552_603),  # MLPerf Tiny v1.0, OctoML microTVM + CMSIS-NN: ResNet-8
    ("nucleo_l4r5zi", 301.2, 120e6, 24_039_767),  # MobileNetV1
    ("nucleo_l4r5zi", 99.81, 120e6, 7_634_470),  # DS-CNN
    ("nucleo_l4r5zi", 8.605, 120e6, 584_467),  # autoencoder
    ("nucleo_u575zi", 316.16, 128e6, 29_552_603),  # the same four on an nRF5340, another Cortex-M33
    ("nucleo_u575zi", 232.02, 128e6, 24_039_767),
    ("nucleo_u575zi", 76.09, 128e6, 7_634_470),
    ("nucleo_u575zi", 6.266, 128e6, 584_467),
]


@pytest.mark.parametrize(("name", "ms", "clock_hz", "counted"), PUBLISHED)
def test_the_interval_holds_the_published_latencies(name, ms, clock_hz, counted):
    board = boards.load(name)
    scale = clock_hz / board.clock_hz  # the published board may have run at another clock than ours
    found = latency.predict([COUNTED[0][1]], board, counted)
    assert found.low_ms < ms * scale < found.high_ms
    assert found.likely_ms == pytest.approx(ms * scale, rel=0.15)
    assert found.how == latency.COUNTED


def test_what_the_emulator_did_not_count_is_less_certain():
    board, conv = boards.load("stm32f746"), [COUNTED[1][1]]
    number = instructions.total(conv)
    counted, estimated = latency.predict(conv, board, number), latency.predict(conv, board)
    assert estimated.likely_ms == counted.likely_ms == pytest.approx(number * 0.97 / 216e3)
    assert estimated.low_ms == pytest.approx(counted.low_ms * 0.95)
    assert estimated.high_ms == pytest.approx(counted.high_ms * 1.05)
    assert estimated.how == latency.ESTIMATED


@pytest.mark.parametrize("name", ["stm32f746", "nucleo_l4r5zi", "nucleo_u575zi"])
def test_the_interval_of_our_kernels_holds_that_of_cmsis_nn(name):
    board, models = boards.load(name), [COUNTED[0][1], COUNTED[1][1]]
    kernels = [Refusal("it has groups"), Kernel("add", b"")]
    tflm, ours = latency.predict(models, board, 1e6), latency.predict(models, board, 1e6, kernels)
    assert ours.low_ms <= tflm.low_ms < tflm.likely_ms < ours.likely_ms < tflm.high_ms < ours.high_ms
    assert ours.report()["latency_basis"]["error_percent"] is None
    assert latency.predict(models, board, 1e6, [Refusal("it has groups")] * 2) == tflm


def test_a_core_without_published_figures_gets_no_number(tmp_path):
    text = boards.load("stm32f746").path.read_text().replace('"cortex-m7"', '"cortex-m55"')
    (tmp_path / "other.h").write_text(text)
    board = boards.read(tmp_path / "other.h")
    assert latency.predict([COUNTED[0][1]], board) is None
    report = latency.report([COUNTED[0][1]], board)
    assert (report["latency_ms"], report["latency_range_ms"]) == (None, None)
    assert "unknown: there are no usable published latencies" in printed(report)
    assert "cortex-m55" in printed(report)


def test_a_core_without_figures_is_the_reason_even_if_an_operator_was_never_counted():
    """Counting it would give no latency, so export must not say that it would."""
    board = dataclasses.replace(boards.load("stm32f746"), core="cortex-m55")
    strange = operator("CUMSUM", (1, 4, 4, 8), (1, 4, 4, 8))
    changes = latency.report([strange], board)
    assert changes["latency_basis"] == {"core": "cortex-m55", "uncounted_operators": []}
    assert (
        "latency   unknown: there are no usable published latencies of TFLM with CMSIS-NN on a cortex-m55"
        in printed(changes)
    )


def test_the_interval_comes_first():
    report = latency.predict([COUNTED[1][1]], boards.load("stm32f746"), 2_678_571).report()
    assert json.loads(json.dumps(report)) == report
    assert report["latency_ms"] == pytest.approx(2_678_571 * 0.97 / 216e3, abs=0.01)
    assert report["latency_range_ms"] == [9.92, 17.36]
    assert "latency   9.9 to 17.4 ms, predicted (likely 12.0; instructions counted in the emulator)" in printed(report)
    assert report["latency_basis"]["core"] == "cortex-m7"


def printed(changes):
    """Returns the summary of an export with the latency keys of `changes`."""
    return summary(export_reports.report(**changes), Path("out"))


@pytest.mark.parametrize(
    ("single", "by_hand"),
    [
        (operator("CONV_2D", (1, 8, 8, 16), (1, 4, 4, 32), (32, 3, 3, 16), **STRIDE), 4 * 4 * 32 * 3 * 3 * 16),
        (operator("CONV_2D", (1, 8, 8, 16), (1, 8, 8, 32), (32, 1, 1, 4)), 8 * 8 * 32 * 4),  # in 4 groups
        (operator("DEPTHWISE_CONV_2D", (1, 8, 8, 16), (1, 8, 8, 16), (1, 5, 3, 16)), 8 * 8 * 16 * 5 * 3),
        (operator("FULLY_CONNECTED", (1, 64), (1, 10), (10, 64)), 640),
        (operator("ADD", (1, 8, 8, 16), (1, 8, 8, 16), (1, 8, 8, 16)), 0),
    ],
)
def test_multiply_accumulates_by_hand(single, by_hand):
    assert macs.macs(single) == by_hand
    assert macs.total_macs([single, single]) == 2 * by_hand
