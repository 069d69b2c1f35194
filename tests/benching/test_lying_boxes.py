"""`tinytrain bench` of a board that lies about boxes: one sentence, status 1, within a bounded time."""

import json
import struct

import numpy as np
import pytest
from bench_helpers import exported
from int8_models import DETECTOR_SIDE, detector_decoder, detector_model
from lying_board import Clock, LyingPort, random_lie

from tinytrain.benching import binary_runner, connection
from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.messages import BoardWrong, Kind
from tinytrain.benching.serial.requests import EXCHANGE_S
from tinytrain.benching.text import failure, summary
from tinytrain.deploy.decode import description
from tinytrain.deploy.decode.boxes import BOX
from tinytrain.deploy.exported import Exported
from tinytrain.errors import TinytrainError, UserError
from tinytrain.files import write_json

SEEDS = range(60)
FRAME = 42  # boxes


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    model = detector_model()
    decoder = detector_decoder(model, score=0.02, gain=0.5, nms=1.0, room=60)
    return Exported.open(exported(tmp_path_factory.mktemp("lies") / "export", 4, model=model, decoder=decoder))


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def measured(export, clock, lie, **behavior):
    """Returns the result of a detector's board with this lie."""
    decoder = export.decoder
    tensors = export.summary.outputs

    def found(outputs):
        return decoder.decode(export.split(outputs)).tobytes()

    detector = {"room": decoder.room, "decoder_crc": description.crc(decoder), "found": found}
    detector |= {"shapes": [tensor.shape for tensor in tensors], "operators": len(export.summary.operators)}
    detector |= {
        "scales": [tensor.scale[0] for tensor in tensors],
        "zero_points": [tensor.zero_point[0] for tensor in tensors],
    }
    port = LyingPort(clock, export.model, export.inputs[0].size, export.output_bytes, lie, **detector | behavior)
    link = BoardLink(port)
    hello = link.hello()
    connection.refuse_another_model(hello, export, "fake")
    return binary_runner.measure(link, hello, export, 2, 3.0)


def honest(_, payload):
    return payload


def test_an_honest_board_is_believed(export, clock, tmp_path):
    """Else the tests below would show nothing."""
    result = measured(export, clock, honest)
    assert (result["different"], result["boxes"]["different"], failure(result)) == (0, 0, "")
    assert result["boxes"]["mean"] > FRAME  # so that there is more than one frame
    assert result["boxes"]["decode"]["milliseconds"] == 31_250 / 200e3
    write_json(tmp_path / "bench.json", result)
    assert "0.16 ms, 31,250 cycles an image" in summary(result, tmp_path)


def answering(change, first=0):
    """A lie about the frame of boxes from number `first` on: `change` gets (count, boxes), and returns the payload."""

    def lie(kind, payload):
        if kind != Kind.BOXES or struct.unpack_from("<HH", payload)[1] != first:
            return payload
        return change(payload)

    return lie


def with_head(count=None, first=None):
    def change(payload):
        head = list(struct.unpack_from("<HHI", payload))
        head[0] = head[0] if count is None else count
        head[1] = head[1] if first is None else first
        return struct.pack("<HHI", *head) + payload[8:]

    return answering(change)


def with_box(**fields):
    """A lie about the third box."""

    def change(payload):
        boxes = np.frombuffer(payload[8:], BOX).copy()
        for name, value in fields.items():
            boxes[name][2] = value
        return payload[:8] + boxes.tobytes()

    return answering(change)


def reversed_(payload):
    return payload[:8] + np.frombuffer(payload[8:], BOX)[::-1].tobytes()


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        (with_head(count=61), "42 boxes from 0 on, of 61', expected some boxes from 0 on, of at most 60"),
        (with_head(count=65_535), "42 boxes from 0 on, of 65535'"),
        (with_head(count=3), "42 boxes from 0 on, of 3'"),
        (with_head(first=7), "42 boxes from 7 on, of 6"),
        (answering(lambda payload: payload[:8]), "0 boxes from 0 on, of 6"),
        (answering(lambda payload: payload[:8], FRAME), "0 boxes from 42 on, of 6"),
        (answering(lambda payload: payload + payload[8:20], FRAME), "boxes from 42 on, of 6"),
        (
            answering(lambda payload: struct.pack("<H", 59) + payload[2:], FRAME),
            "boxes from 42 on, of 59', expected some boxes from 42 on",
        ),
        (answering(lambda payload: payload[:-5]), "'499 bytes of boxes', expected 12 bytes each"),
        (answering(lambda payload: payload[:7]), "answer to BOXES has 7 bytes, which is not a valid one"),
        (answering(lambda payload: b""), "answer to BOXES has 0 bytes"),
        (
            with_box(x1=DETECTOR_SIDE * 16 + 1),
            "box 2: ",
        ),
        (with_box(y0=-1), "expected corners 0 to 512"),
        (with_box(x0=300, x1=300), "expected x0 < x1 and y0 < y1"),
        (with_box(y0=500, y1=20), "expected x0 < x1 and y0 < y1"),
        (with_box(label=2), "class 2', expected a class below 2"),
        (with_box(score=32_769), "expected a score of 656 to 32,768"),
        (with_box(score=655), "expected a score of 656 to 32,768"),
        (with_box(zero=1), "expected a last byte of 0"),
        (answering(reversed_), "expected scores that fall"),
    ],
)
def test_a_wrong_answer_is_named_with_what_was_received(export, clock, lie, sentence):
    with pytest.raises(TinytrainError) as error:
        measured(export, clock, lie)
    assert sentence in str(error.value)
    assert error.value.exit_status == 1
    assert len(str(error.value)) < 300


def test_a_plausible_box_that_is_another_is_a_difference(export, clock, tmp_path):
    """One sixteenth of a pixel, in one of two images."""
    lied = []

    def change(payload):
        boxes = np.frombuffer(payload[8:], BOX).copy()
        if not lied:
            boxes["x0"][0] += 1
        lied.append(1)
        return payload[:8] + boxes.tobytes()

    result = measured(export, clock, answering(change))
    assert result["boxes"]["different"] == 1
    assert (
        failure(result)
        == "the boxes of 1 of 2 images on sim differ from the host's: its decoder gives different results there"
    )
    (row,) = result["boxes"]["differences"]
    assert row["board"][0][0] == row["host"][0][0] + 1
    assert row["board"][1:] == row["host"][1:]
    assert f"image {row['image']}: {len(row['host'])} and {len(row['board'])} boxes, box 0" in summary(result, tmp_path)


@pytest.mark.parametrize("behavior", [{"room": 0}, {"room": 59}, {"decoder_crc": 7}])
def test_a_board_with_another_decoder_is_refused(export, clock, behavior):
    with pytest.raises(UserError, match=r"decodes up to \d+ boxes with [0-9a-f]{8}, expected 60 with .*flash") as error:
        measured(export, clock, honest, **behavior)
    assert len(str(error.value)) < 500


def test_more_boxes_than_any_board_has_are_no_hello(export, clock):
    with pytest.raises(BoardWrong, match="HELLO wrong: 'boxes 401', expected 0 to 400"):
        measured(export, clock, honest, room=401)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_a_board_answers_only_our_own_errors_come_out(export, clock, seed, tmp_path):
    lie = random_lie(seed)
    before = clock.now
    try:
        result = measured(export, clock, lambda kind, payload: lie(kind, payload) if kind == Kind.BOXES else payload)
    except TinytrainError as error:
        assert "\x1b" not in str(error)  # noqa: PT017
        assert len(str(error)) < 1000  # noqa: PT017
    else:
        write_json(tmp_path / "bench.json", result)
        assert json.loads((tmp_path / "bench.json").read_text())["images"] == 2
        summary(result, tmp_path)
    assert clock.now - before < 20 * EXCHANGE_S
