"""A network that takes its input by rows on the emulated core, by both protocols, with the input kept and not kept."""

import struct
import zlib

import numpy as np
import pytest
from faulty_line import FaultyLine
from firmware_helpers import EMULATED, needs_emulator, run_make
from simulated_board import open_device

from tinytrain.benching.serial import emulator, messages
from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.messages import Kind
from tinytrain.benching.serial.mlperf import Mlperf
from tinytrain.benching.serial.requests import BoardRefused
from tinytrain.deploy import boards, make, self_test
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.compiled.plan import plan
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import TinytrainError

BOARD = boards.load(EMULATED)
KEPT = pytest.mark.parametrize("keep", ["0", "1"])
PIECE = 508


@pytest.fixture(scope="module")
def least(converted):
    planned = plan(network(converted("mobilenet_v2")))
    assert 0 < planned.input_rows < 48
    return planned


@pytest.fixture(scope="module")
def images(least):
    shape = (3, *least.network.model.inputs[0].shape[1:])
    return np.random.default_rng(3).integers(-128, 128, shape).astype(np.int8)


@pytest.fixture(scope="module")
def expected(least, images):
    """The outputs of each image, as bytes."""
    outputs = ReferenceInterpreter(least.network.model.content).run(images)
    return [b"".join(output[i].tobytes() for output in outputs) for i in range(len(images))]


@pytest.fixture(scope="module")
def sources(tmp_path_factory, least, images):
    """The firmware folder, whose golden image is the first one."""
    golden = [output[0] for output in ReferenceInterpreter(least.network.model.content).run(images[:1])]
    contents = Contents(least.network.model, "rows", 1, [], images[0], golden, plan=least)
    return bare_metal.write(tmp_path_factory.mktemp("sources"), boards.load("stm32f746"), contents)


@pytest.fixture(scope="module")
def programs(tmp_path_factory, sources):
    """Returns the program for a value of KEEP_IMAGE."""
    found = {}

    def program(keep):
        if keep not in found:
            folder = tmp_path_factory.mktemp(f"keep-{keep}")
            make.run(sources, BOARD, None, "all", BUILD=str(folder), KEEP_IMAGE=keep)
            found[keep] = folder / f"{EMULATED}-compiled/firmware.elf"
        return found[keep]

    return program


@pytest.fixture
def device(programs, keep):
    with emulator.running(programs(keep), BOARD) as device:
        yield device


@needs_emulator
@KEPT
def test_the_self_test_runs_the_golden_image(sources, tmp_path, least, keep):
    done = run_make(sources, "emulate", f"BOARD={EMULATED}", "INFERENCES=2", f"KEEP_IMAGE={keep}", f"BUILD={tmp_path}")
    printed = self_test.parse(done.stdout)
    assert printed["golden_equal"], done.stdout + done.stderr
    assert printed["arena_used_bytes"] == least.arena_bytes
    assert printed["operators"] == str(len(least.steps))


@needs_emulator
@KEPT
def test_the_binary_protocol_gives_the_references_outputs(device, keep, images, expected):
    with open_device(device) as port:
        link = BoardLink(port)
        assert link.hello().keeps_input == int(keep)
        for image, outputs in zip(images, expected, strict=True):
            assert link.infer(image.tobytes(), 1, len(outputs)).outputs == outputs
        repeated = link.infer(images[2].tobytes(), 3, len(expected[2]))
        assert (repeated.outputs, repeated.count) == (expected[2], 3)
        assert link.status().overrun_bytes == 0


@needs_emulator
def test_time_and_profile_count_what_ran_while_the_input_came(programs, least, images):
    ticks, profiles = {}, {}
    for keep in ("0", "1"):
        with emulator.running(programs(keep), BOARD) as device, open_device(device) as port:
            link = BoardLink(port)
            link.hello()
            ticks[keep] = link.infer(images[1].tobytes()).ticks
            profiles[keep] = link.profile(images[1].tobytes(), len(least.steps))
    assert ticks["0"] == pytest.approx(ticks["1"], rel=0.01)
    assert profiles["0"][1:] == pytest.approx(profiles["1"][1:], abs=100)
    assert profiles["0"][0] == pytest.approx(profiles["1"][0], rel=0.01)
    assert sum(profiles["0"]) == pytest.approx(ticks["0"], rel=0.01)


@needs_emulator
@pytest.mark.parametrize("keep", ["0"])
def test_pieces_that_are_not_the_next_are_refused_until_the_input_begins_again(device, images, expected):
    content = images[1].tobytes()
    infer = struct.pack("<II", zlib.crc32(content), 1)

    def put(first):
        link.ask(Kind.IMAGE, struct.pack("<I", first) + content[first : first + PIECE], bytes)

    with open_device(device) as port:
        link = BoardLink(port)
        link.hello()
        for wrong in (2 * PIECE, PIECE - 1, len(content)):
            put(0)
            with pytest.raises(BoardRefused, match="not the next ones") as refused:
                put(wrong)
            assert refused.value.code == messages.INPUT_IS_ANOTHER
            with pytest.raises(BoardRefused, match="not the one of this CRC-32"):
                link.ask(Kind.INFER, infer, bytes)
        with pytest.raises(BoardRefused, match="takes an offset"):
            link.ask(Kind.IMAGE, b"abc", bytes)
        assert link.infer(content, 1, len(expected[1])).outputs == expected[1]
        with pytest.raises(BoardRefused, match="not the one of this CRC-32"):
            link.ask(Kind.INFER, infer, bytes)  # the inference has used it up


@needs_emulator
@pytest.mark.parametrize("keep", ["0"])
def test_a_bad_line_loses_no_input(device, images, expected):
    faults = {"lose": 0.0005, "double": 0.0005, "damage": 0.0005}
    with FaultyLine(device, 6, **faults) as line, open_device(line.device) as port:
        link = BoardLink(port, patience_s=0.1, tries=20)
        link.hello()
        for image, outputs in zip(images, expected, strict=True):
            assert link.infer(image.tobytes(), 1, len(outputs)).outputs == outputs
        assert all(count > 0 for (way, kind), count in line.counts.items() if way == "to" and kind in faults)
    assert link.traffic.repeated_requests > 0


@needs_emulator
@KEPT
def test_the_text_protocol_gives_the_references_results(device, keep, images, expected, least):
    (output,) = least.network.model.outputs
    real = (np.frombuffer(expected[1], np.int8).astype(float) - output.zero_point[0]) * output.scale[0]
    probabilities = real if real.min() >= 0 else np.exp(real) / np.exp(real).sum()
    pixels = (images[1].astype(int) + 128).astype(np.uint8)  # the table of a model whose input is scaled from 0 to 255
    with open_device(device) as port:
        tested = Mlperf(port)
        tested.load(pixels.tobytes())
        window = tested.infer(2)
        assert window.results == pytest.approx(probabilities, abs=0.0011)
        assert tested.results() == window.results
        assert window.elapsed_us > 0
        if keep == "0":
            with pytest.raises(TinytrainError, match="The input was used up"):
                tested.infer(1)
            with pytest.raises(TinytrainError, match="The input is not kept"):
                tested.loaded()
