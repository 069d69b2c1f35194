"""`tinytrain bench` of a board that lies: one sentence, status 1, within a bounded time, through both protocols."""

import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from bench_helpers import OUTPUTS, exported
from lying_board import Clock, LyingPort, TextPort, random_lie, random_text_lie

from tinytrain.benching import binary_runner, connection, mlperf_runner
from tinytrain.benching.serial import cobs_frames, messages
from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.messages import BoardWrong, Kind
from tinytrain.benching.serial.mlperf import INFER_TIMEOUT_S
from tinytrain.benching.serial.requests import EXCHANGE_S, BoardRefused
from tinytrain.benching.text import failure, summary
from tinytrain.deploy.exported import Exported
from tinytrain.errors import TinytrainError, UserError
from tinytrain.files import write_json

SEEDS = range(150)


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return Exported.open(exported(tmp_path_factory.mktemp("lies") / "export"))


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def binary(export, clock, lie, window_s=3.0, **behavior):
    """Returns the result through the binary protocol of a board with this lie."""
    port = LyingPort(clock, export.model, export.inputs[0].size, export.output_bytes, lie, **behavior)
    link = BoardLink(port)
    hello = link.hello()
    connection.refuse_another_model(hello, export, "fake")
    return binary_runner.measure(link, hello, export, 2, window_s)


def text(export, clock, lie, window_s=3.0, inference_us=1_000_000):
    """Returns the result through MLPerf's protocol; the board gives the host's own probabilities."""
    asked = list(binary_runner.drawn(SimpleNamespace(emulated=False, board="sim"), None, len(export.inputs)))
    rows = iter([*asked[:2], 0, *asked * 100])
    expected = mlperf_runner.probabilities(export, list(range(len(export.inputs))))
    port = TextPort(
        clock,
        lambda: f"m-results-[{','.join(f'{value:.3f}' for value in expected[next(rows)])}]",
        lie,
        inference_us,
    )
    hello = SimpleNamespace(board="sim", emulated=False, engine="python", model="conv")
    return mlperf_runner.measure(SimpleNamespace(port=port), hello, export, 2, window_s)


def honest(_, what):
    return what


def test_an_honest_board_is_believed(export, clock, tmp_path):
    """Else the tests below would show nothing."""
    result = binary(export, clock, honest)
    assert (result["different"], failure(result)) == (0, "")
    assert result["latency"]["milliseconds"] == 1000.0
    assert [row["inferences"] for row in result["latency"]["windows"]] == [4] * 5
    result = text(export, clock, honest)
    assert (result["different"], failure(result)) == (0, "")
    assert result["latency"]["milliseconds"] == 1000.0
    write_json(tmp_path / "bench.json", result)
    assert "sim" in summary(result, tmp_path)


HELLO = ["version", "longest", "crc", "bytes", "in", "out", "arena", "used", "stack", "outputs", "operators", "clock"]
HELLO += ["counts", "ticks", "boxes", "decoder", "keeps"]


def in_hello(name, number):
    def lie(kind, payload):
        if kind != Kind.HELLO:
            return payload
        numbers = list(struct.unpack_from("<HH15I", payload))
        numbers[HELLO.index(name)] = number
        return struct.pack("<HH15I", *numbers) + payload[64:]

    return lie


def answering(asked, answer):
    return lambda kind, payload: answer(payload) if kind == asked else payload


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        (in_hello("clock", 0), "HELLO wrong: 'clock_hz 0', expected 1,000 to 4,294,967,295"),
        (in_hello("ticks", 0), "HELLO wrong: 'ticks 0', expected 1 to"),
        (in_hello("counts", 0), "HELLO wrong: 'counts 0', expected 1 to"),
        (in_hello("longest", 4), "HELLO wrong: 'longest_payload 4', expected 16 to"),
        (in_hello("operators", 0), "HELLO wrong: 'operators 0'"),
        (in_hello("keeps", 2), "HELLO wrong: 'keeps_input 2', expected 0 to 1"),
        (answering(Kind.HELLO, lambda payload: payload[:20]), "HELLO wrong"),
        (answering(Kind.HELLO, lambda payload: payload[:64] + b"a\x1b[2J\0b\0c\0cycles\0\0"), "printable"),
        (answering(Kind.HELLO, lambda payload: payload[:64] + b"x" * 400 + b"\0b\0c\0cycles\0\0"), "at most 300"),
        (
            answering(Kind.HELLO, lambda payload: payload[:64] + b"a\0b\0c\0bananas\0\0"),
            "'bananas', expected cycles or",
        ),
        (answering(Kind.INFER, lambda payload: payload[:4] + bytes(8) + payload[12:]), "in 0 ticks"),
        (answering(Kind.INFER, lambda payload: b"\xff" * 12 + payload[12:]), "inferences in"),
        (answering(Kind.INFER, lambda payload: payload[:4] + b"\xff" * 8 + payload[12:]), "s an inference'"),
        (answering(Kind.INFER, lambda payload: payload[:4] + b"\1" + bytes(7) + payload[12:]), "5e-09 s an inference'"),
        (
            answering(Kind.INFER, lambda payload: payload[:-1] + bytes([payload[-1] ^ 1])),
            "OUTPUT wrong: 'outputs with CRC-32",
        ),
        (answering(Kind.OUTPUT_INFO, lambda payload: bytes([79]) + payload[1:]), "OutputInfo(size_bytes=79, scale="),
        (answering(Kind.OUTPUT_INFO, lambda payload: payload[:-4]), "'12 bytes of a shape', expected 4 dimensions"),
        (in_hello("outputs", 0), "HELLO wrong: 'outputs 0', expected 1 to"),
        (answering(Kind.INFER, lambda payload: payload + b"more"), "OUTPUT wrong: '84 bytes', expected 80 bytes"),
        (answering(Kind.INFER, lambda payload: payload[:4]), "4 bytes, which is not a valid one"),
        (answering(Kind.PROFILE, lambda payload: struct.pack("<HHI", 65535, 0, 1)), "1 operators from 0 on, of 65535"),
        (answering(Kind.PROFILE, lambda payload: struct.pack("<HH2I", 1, 0, 1, 1)), "2 operators from 0 on"),
        (answering(Kind.PROFILE, lambda payload: struct.pack("<HH", 1, 0)), "0 operators from 0 on"),
        (answering(Kind.PROFILE, lambda payload: struct.pack("<HHI", 1, 0, 0)), "0 ticks in all"),
        (answering(Kind.PROFILE, lambda payload: b""), "0 bytes, which is not a valid one"),
    ],
)
def test_a_wrong_answer_is_named_with_what_was_received(export, clock, lie, sentence):
    with pytest.raises(TinytrainError) as error:
        binary(export, clock, lie)
    assert sentence in str(error.value)
    assert error.value.exit_status == 1
    assert len(str(error.value)) < 500


def test_a_clock_at_the_end_of_its_range_is_believed(export, clock):
    result = binary(export, clock, in_hello("clock", 2**32 - 1))
    assert result["latency"]["milliseconds"] == pytest.approx(200_000_000 / (2**32 - 1) * 1e3)


def test_counts_that_fall_are_wrong(export, clock):
    counts = iter([5, 4, 3, 2, 1])
    lie = answering(Kind.STATUS, lambda payload: payload[:-4] + struct.pack("<I", next(counts)))
    with pytest.raises(BoardWrong, match=r"STATUS wrong: .*expected counts that do not fall"):
        binary(export, clock, lie)


@pytest.mark.parametrize("version", [3, 5])
@pytest.mark.parametrize("how", ["its error names it", "its answer has it"])
def test_a_board_of_another_version_is_refused_in_one_sentence(export, clock, version, how):
    """Firmware of version 3, which answers HELLO of another version with error 2 and this text, is the first case."""
    refusal = {Kind.HELLO: (2, f"HELLO takes version {version}".encode())} if "error" in how else {}
    with pytest.raises(UserError) as error:
        binary(export, clock, honest if refusal else in_hello("version", version), refuse=refusal)
    assert str(error.value) == (
        f"the board speaks version {version} of the protocol, this tinytrain 4: export and flash it again"
    )


def test_a_refused_hello_that_names_no_version_is_the_boards_error(export, clock):
    with pytest.raises(BoardRefused, match="refuses HELLO with error 2: no"):
        binary(export, clock, honest, refuse={Kind.HELLO: (2, b"no")})


def test_other_frames_for_ever_end(export, clock):
    port = LyingPort(clock, export.model, 48, OUTPUTS, honest)
    link = BoardLink(port)
    link.hello()
    other, read = cobs_frames.encode(Kind.STATUS | messages.ANSWER, 1, bytes(28)), port.read
    port.read = lambda count: other if count == 1 else read(count)
    port.write = lambda data: None
    link._inference_s = 1e9  # what a lie has made it believe
    before = clock.now
    with pytest.raises(TinytrainError, match="does not answer INFER"):
        link.infer(bytes(48), 2**31)
    assert clock.now - before < 2 * EXCHANGE_S


def flood(clock, each_s):
    """Every read brings another line, for ever."""

    def read(_):
        clock.now += each_s
        return b"m-name-dut-[again]\r\n"

    return read


@pytest.mark.parametrize("each_s", [1.0, 1e-4], ids=["a line a second", "as fast as it goes"])
def test_lines_for_ever_end(clock, each_s):
    port = TextPort(clock, lambda: "", honest)
    device = mlperf_runner.Mlperf(port)
    port.read = flood(clock, each_s)
    for ask in (device.name, device.synchronize, lambda: device.infer(1), lambda: device.load(bytes(300))):
        before = clock.now
        with pytest.raises(TinytrainError, match=r"lines without m-ready: \[… .* more, 'm-name-dut") as error:
            ask()
        assert clock.now - before < 4 * INFER_TIMEOUT_S
        assert len(str(error.value)) < 500


@pytest.mark.parametrize("left", [b"\0", b"rest of an answer\0", b"\0" + bytes(range(1, 40))])
def test_what_is_left_of_a_frame_does_not_swallow_the_answers(clock, left):
    """HELLO that was sent twice is answered twice: the second answer may come when the text protocol has begun."""
    port = TextPort(clock, lambda: "", honest)
    device = mlperf_runner.Mlperf(port)
    port.say(left)
    device.synchronize()
    assert device.name()


def test_ready_for_ever_ends(clock):
    port = TextPort(clock, lambda: "", lambda command, lines: ["m-ready"])
    device = mlperf_runner.Mlperf(port)
    port.read = lambda _: b"m-ready\r\n" if clock.read() else b""
    with pytest.raises(TinytrainError, match="answers 'name' without one"):
        device.synchronize()


def test_an_input_that_is_taken_too_slowly_ends(clock):
    def slowly(command, lines):
        clock.now += 4
        return lines

    device = mlperf_runner.Mlperf(TextPort(clock, lambda: "", slowly))
    with pytest.raises(TinytrainError, match="has not taken 27648 bytes of input after"):
        device.load(bytes(27_648))
    assert clock.now < 300


def on_infer(change):
    return lambda command, lines: change(lines) if command.startswith("infer") else lines


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda lines: ["m-lap-us-abc", *lines[1:]], "with 1 times, expected 2"),
        (lambda lines: ["m-lap-us-" + "9" * 5000, *lines[1:]], "with 1 times, expected 2"),
        (lambda lines: ["m-lap-us-5", lines[1], "m-lap-us-5", *lines[3:]], "stay shorter than 3 s"),
        (
            lambda lines: [*lines[:3], "m-results-[nan" + ",0.1" * 79 + "]", "m-ready"],
            "the result 'nan', expected 0.000",
        ),
        (lambda lines: [*lines[:3], "m-results-[inf" + ",0.1" * 79 + "]", "m-ready"], "the result 'inf'"),
        (lambda lines: [*lines[:3], "m-results-[abc" + ",0.1" * 79 + "]", "m-ready"], "the result 'abc'"),
        (lambda lines: [*lines[:3], "m-results-[1e999,0.1]", "m-ready"], "the result '1e999'"),
        (lambda lines: [*lines[:3], "m-results-[0.1,0.2]", "m-ready"], "with 2 results of image"),
        (lambda lines: [*lines[:3], "m-results-[]", "m-ready"], "without m-results"),
        (lambda lines: [*lines[:2], *lines[:2] * 3000, "m-ready"], "with 3001 times"),
        (lambda lines: lines[:-1], "does not answer 'infer 1 0' within 30 s"),
    ],
)
def test_a_wrong_line_is_named(export, clock, change, sentence):
    before = clock.now
    with pytest.raises(TinytrainError) as error:
        text(export, clock, on_infer(change), inference_us=1)
    assert sentence in str(error.value)
    assert error.value.exit_status == 1
    assert len(str(error.value)) < 800
    assert clock.now - before < 3600


def ended(ask):
    """Returns (what `ask` returned, "") or ({}, what its error said)."""
    try:
        return ask(), ""
    except TinytrainError as error:
        return {}, str(error)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_a_board_answers_only_our_own_errors_come_out(export, clock, seed, tmp_path):
    for ask, lie in ((binary, random_lie(seed)), (text, random_text_lie(seed))):
        before = clock.now
        result, error = ended(lambda ask=ask, lie=lie: ask(export, clock, lie))
        assert "\x1b" not in error
        assert len(error) < 4000
        assert clock.now - before < 20 * EXCHANGE_S
        if result:
            write_json(tmp_path / "bench.json", result)
            assert json.loads((tmp_path / "bench.json").read_text())["images"] == 2
            summary(result, tmp_path)


def test_random_lies_reach_the_end_and_the_beginning(export, clock):
    """Else the test above would look at the first answers only."""

    for ask, lie in ((binary, random_lie), (text, random_text_lie)):
        results = [ended(lambda seed=seed, ask=ask, lie=lie: ask(export, clock, lie(seed)))[0] for seed in SEEDS]
        assert 5 < sum(map(bool, results)) < len(results) - 5


def test_what_is_not_finite_is_not_written(tmp_path):
    for value in (np.inf, np.nan, [-np.inf]):
        with pytest.raises(TinytrainError, match="not finite"):
            write_json(tmp_path / "bench.json", {"value": value})
    assert not list(tmp_path.iterdir())
