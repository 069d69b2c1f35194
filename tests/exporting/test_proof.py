"""What is proven of an export: the form of each operator, the table of forms, the reasons and the verdict."""

import numpy as np
import pytest
from int8_models import shaped

from tinytrain.deploy import make
from tinytrain.deploy.kernels.prepare import PREPARE
from tinytrain.deploy.tflm import operators as tflm_ops
from tinytrain.deploy.tflm import verified_forms
from tinytrain.exporting import proof
from tinytrain.tflite.model import Operator, Tensor

MAP = (1, 6, 5, 8)


def with_values(name, shape, output, values):
    """An int8 operator with a constant of int32, such as the order of TRANSPOSE."""
    source, target = (Tensor("", side, "int8", (1.0,), (0,), False) for side in (shape, output))
    constant = Tensor("", np.shape(values), "int32", (), (), True, (), tuple(np.ravel(values).tolist()))
    return Operator(name, (source, constant), (target,))


def transposed(taps, stride):
    shapes = [(1, 12, 10, 4), (4, taps, taps, 8), MAP]
    operator = shaped("TRANSPOSE_CONV", *shapes, (1, 12, 10, 4), strideH=stride, strideW=stride, padding=0)
    return Operator(
        operator.name,
        (Tensor("", (4,), "int32", (), (), True), *operator.inputs[1:]),
        operator.outputs,
        operator.options,
    )


@pytest.mark.parametrize(
    ("operator", "form"),
    [
        (shaped("CONV_2D", MAP, (16, 3, 3, 8), MAP, strideH=2, strideW=2, padding=0), "CONV_2D int8 3x3/2 same"),
        (shaped("CONV_2D", MAP, (16, 1, 1, 8), MAP, strideH=1, strideW=1, padding=1), "CONV_2D int8 1x1 same"),
        (shaped("CONV_2D", MAP, (16, 1, 3, 8), MAP, strideH=1, strideW=2, padding=1), "CONV_2D int8 1x3/1x2 valid"),
        (shaped("CONV_2D", MAP, (16, 3, 3, 4), MAP), "CONV_2D int8 3x3 same grouped"),
        (
            shaped("CONV_2D", MAP, (16, 3, 3, 8), MAP, dilationHFactor=2, dilationWFactor=2),
            "CONV_2D int8 3x3 same dilated 2x2",
        ),
        (shaped("DEPTHWISE_CONV_2D", MAP, (1, 3, 3, 8), MAP), "DEPTHWISE_CONV_2D int8 3x3 same"),
        (shaped("DEPTHWISE_CONV_2D", MAP, (1, 3, 3, 16), MAP), "DEPTHWISE_CONV_2D int8 3x3 same multiplied by 2"),
        (transposed(4, 2), "TRANSPOSE_CONV int8 4x4/2 same"),
        (shaped("ADD", MAP, MAP, MAP), "ADD own NHWC"),
        (shaped("ADD", (1, 6, 1, 8), (1, 1, 6, 8), (1, 6, 6, 8)), "ADD int8 NH1C with N1WC"),
        (shaped("MUL", MAP, (1, 1, 1, 8), MAP), "MUL own NHWC with N11C"),
        (shaped("MUL", (8,), MAP, MAP), "MUL own N11C with NHWC"),
        (with_values("TRANSPOSE", MAP, (1, 8, 6, 5), [0, 3, 1, 2]), "TRANSPOSE int8 NHWC to NCHW"),
        (with_values("MEAN", MAP, (1, 8), [1, 2]), "MEAN general NHWC over HW"),
        (with_values("PAD", MAP, (1, 7, 6, 8), [[0, 0], [1, 0], [1, 0], [0, 0]]), "PAD int8 NHWC sides of HW"),
        (shaped("FULLY_CONNECTED", (1, 1, 1, 8), (5, 8), (1, 5)), "FULLY_CONNECTED int8 NC"),
        (shaped("FULLY_CONNECTED", MAP, (5, 8), (1, 6, 5, 5)), "FULLY_CONNECTED int8 NHWC"),
        (shaped("SOFTMAX", (1, 8), (1, 8)), "SOFTMAX int8 NC"),
    ],
)
def test_the_form_of_an_operator_tells_what_chooses_its_kernel(operator, form):
    assert verified_forms.of(operator, tflm_ops.registrations([operator])[operator.name]) == form


def report(**changes):
    """The sections of a report in which nothing is wrong, with changes."""
    lite = {"images": 50, "largest_steps": 1, "noise": 1e-4, "noise_limit": 0.25, "parts": False}
    lite |= {"reason": "", "failed": ""}
    return {"fits": True, "parity": {"images": 9, "different": 0}, "tensorflow_lite": lite} | changes


USUAL = shaped("CONV_2D", MAP, (16, 3, 3, 8), MAP, strideH=2, strideW=2, padding=0)
EMULATED = {"board": "mps2_an500", "golden": "equal", "different_bytes": 0, "failed": ""}


def test_without_an_emulator_operators_of_verified_forms_are_a_proof():
    assert proof.section(report(), [USUAL]) == {"proven": True, "unproven": []}


def test_an_operator_that_was_never_run_in_its_form_is_not_proven(monkeypatch):
    monkeypatch.setattr(make, "lacking", lambda **_: "TFLM_DIR is not set")
    strange = shaped("CONV_2D", MAP, (16, 11, 2, 8), MAP)
    found = proof.section(report(), [USUAL, strange])
    reason = "never run on the emulated core in this form: CONV_2D int8 11x2 same (TFLM_DIR is not set)"
    assert found == {"proven": False, "unproven": [reason]}
    assert proof.wrong(report()) == []  # not known to be wrong: status 0


def test_the_transposed_convolution_that_cmsis_nn_computes_wrong_is_not_proven_and_another_is():
    """CMSIS-NN#230: 4x4 with stride 2; 5x5 was found so, too."""
    for taps in (4, 5):
        found = proof.section(report(), [transposed(taps, 2)])
        form = f"TRANSPOSE_CONV int8 {taps}x{taps}/2 same"
        assert found["unproven"] == [f"known to be wrong on the emulated core: {form}"]
    assert proof.section(report(), [transposed(3, 2)])["proven"]


def test_the_emulators_word_counts_more_than_the_table():
    strange = [shaped("CONV_2D", MAP, (16, 11, 2, 8), MAP)]
    assert proof.section(report(emulated=EMULATED), strange)["proven"]
    different = report(emulated=EMULATED | {"golden": "different", "different_bytes": 3})
    assert not proof.section(different, [USUAL])["proven"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"parity": {"images": 9, "different": 2}}, "2 of 9 outputs of the C array differ from TFLM's"),
        ({"parity": {"images": 9, "different": 1}}, "1 of 9 outputs of the C array differ from TFLM's"),
        (
            {"emulated": EMULATED | {"golden": "not reached", "failed": "init: too small"}},
            "the firmware does not run on the emulated mps2_an500: init: too small",
        ),
        (
            {"emulated": EMULATED | {"golden": "different", "different_bytes": 3}},
            "the golden output is different on the emulated mps2_an500 (3 values)",
        ),
        (
            {"emulated": EMULATED | {"boxes": "different", "failed": "the boxes are not the golden boxes"}},
            "the boxes of the golden image are different on the emulated mps2_an500",
        ),
    ],
)
def test_what_is_wrong_is_a_sentence(changes, sentence):
    assert proof.wrong(report(**changes)) == [sentence]


def test_a_model_that_does_not_fit_need_not_start_in_the_emulator():
    changes = {"fits": False, "emulated": EMULATED | {"golden": "not reached", "failed": "no room"}}
    assert proof.wrong(report(**changes)) == []
    assert not proof.section(report(**changes), [USUAL])["proven"]


def test_the_table_holds_the_firmwares_own_operators_and_they_are_equal():
    own = {form: verdict for form, verdict in verified_forms.verified().items() if form.split()[1] == "own"}
    assert {form.split()[0] for form in own} == {name for name, op in tflm_ops.OPS.items() if op.own}
    assert set(own.values()) == {verified_forms.EQUAL}


def test_the_table_holds_the_kernels_of_ours_and_they_are_equal():
    ours = {form: verdict for form, verdict in verified_forms.verified().items() if form.split()[1] == "kernel"}
    assert {form.split()[0] for form in ours} == set(PREPARE)
    assert set(ours.values()) == {verified_forms.EQUAL}


def test_an_operator_is_looked_up_by_the_kernel_that_runs_it():
    strange = shaped("CONV_2D", MAP, (16, 11, 2, 8), MAP)
    assert verified_forms.unverified([USUAL, strange], {0, 1}) == {"CONV_2D kernel 11x2 same": ""}
    assert verified_forms.unverified([USUAL, strange], {0}) == {"CONV_2D int8 11x2 same": ""}
    found = proof.section(report(), [USUAL, strange], {0, 1})
    assert "CONV_2D kernel 11x2 same" in found["unproven"][0]
