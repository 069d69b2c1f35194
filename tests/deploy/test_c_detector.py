"""A detector's decoder in the generated C++: compiled with app/detect.c it gives the boxes of deploy/decode."""

import dataclasses
import subprocess

import numpy as np
import pytest
from conftest import REPOSITORY, needs_tool
from firmware_helpers import needs_compiler, stub_outputs
from int8_models import cells_decoder, cells_model, detector_decoder, detector_model

from tinytrain.deploy import boards, c_source, firmware
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.decode.boxes import BOX
from tinytrain.deploy.targets import bare_metal
from tinytrain.errors import UserError
from tinytrain.tflite.model import Model

MAIN = """
#include <cstdio>
#include "model/model_data.h"
inline int Decode(const AnchorDetector& detector, const int8_t* const* outputs, Box* boxes) {
  return detect(&detector, outputs, boxes, kBoxCandidates, kBoxRoom);
}
inline int Decode(const CellDetector& detector, const int8_t* const* outputs, Box* boxes) {
  return detect_cells(&detector, outputs[0], boxes, kBoxRoom);
}
int main() {
  const int8_t* outputs[kOutputCount];
  for (uint32_t i = 0; i < kOutputCount; ++i) outputs[i] = kGoldenOutputs + kOutputs[i].offset;
  Box boxes[kBoxCandidates];
  const int count = Decode(kDetector, outputs, boxes);
  fwrite(boxes, sizeof *boxes, count, stdout);
  fwrite(kGoldenBoxes, sizeof *boxes, kGoldenBoxCount, stdout);
}
"""


def contents(content, decoder, golden=None):
    graph = Model.parse(content)
    image = np.random.default_rng(1).integers(-128, 128, graph.inputs[0].shape).astype(np.int8)
    golden = golden or stub_outputs(image, graph.outputs)
    return Contents(graph, "boxes", 8192, ["cat", "dog"], image, golden, decoder=decoder)


@needs_tool("gcc")
@pytest.mark.parametrize("kind", ["anchors", "anchors without a gain", "cells"])
def test_what_is_compiled_gives_the_golden_boxes(tmp_path, kind):
    model = cells_model() if kind == "cells" else detector_model()
    gain = 1.0 if kind == "anchors without a gain" else 4.0
    held = contents(model, cells_decoder(model) if kind == "cells" else detector_decoder(model, gain=gain))
    (tmp_path / "model").mkdir()
    c_source.write(tmp_path / "model", held)
    (tmp_path / "main.cc").write_text(MAIN)
    sources = REPOSITORY / "firmware"
    compile_ = ["gcc", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-I.", f"-I{sources}"]
    files = ["main.cc", "model/model_data.cc", sources / "app/detect.c"]
    subprocess.run([*compile_, *files, "-lstdc++", "-o", "main"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout
    expected = held.decoder.decode(held.golden_outputs)
    assert len(expected) > 5
    assert printed == 2 * expected.tobytes()
    assert ("kPlaces" in (tmp_path / "model/model_data.cc").read_text()) == (kind == "anchors")


def test_a_classifier_is_written_as_if_there_were_no_detectors(tmp_path):
    model = detector_model()
    texts = {}
    for name, decoder in (("without", None), ("with", detector_decoder(model))):
        (tmp_path / name).mkdir()
        c_source.write(tmp_path / name, contents(model, decoder))
        texts[name] = [(tmp_path / name / f"model_data.{end}").read_text() for end in ("h", "cc")]
    for without, with_ in zip(*texts.values(), strict=True):
        assert with_.startswith(without)
        assert "detect" not in without.lower()


def test_an_image_without_a_box_has_no_golden_boxes(tmp_path):
    model = detector_model()
    none = [np.full(tensor.shape, -128, np.int8) for tensor in Model.parse(model).outputs]
    c_source.write(tmp_path, contents(model, detector_decoder(model), none))
    assert "kGoldenBoxCount = 0;" in (tmp_path / "model_data.h").read_text()


def test_a_decoder_of_another_model_is_refused(tmp_path):
    model, other = detector_model(), cells_model()
    with pytest.raises(UserError, match="decoder expects outputs of"):
        c_source.write(tmp_path, contents(model, cells_decoder(other)))


@needs_compiler
@pytest.mark.parametrize("kind", ["anchors", "cells"])
def test_the_estimate_of_a_decoder_is_near_what_is_linked(tmp_path, kind):
    model = cells_model() if kind == "cells" else detector_model()
    decoder = cells_decoder(model) if kind == "cells" else detector_decoder(model)
    decoder = dataclasses.replace(decoder, room=20)  # the estimate has a golden box for each of them
    board, graph = boards.load("stm32f746"), Model.parse(model)
    linked, estimated = [], []
    for number, each in enumerate((None, decoder)):
        sources = bare_metal.write(tmp_path / str(number), board, contents(model, each))
        linked.append(firmware.link(sources, board, None))
        estimated.append(firmware.estimate(graph, 8192, board, each))
    for size, within in (("flash_bytes", 700), ("ram_bytes", 32)):
        differences = [getattr(sizes[1], size) - getattr(sizes[0], size) for sizes in (linked, estimated)]
        assert differences[1] == pytest.approx(differences[0], abs=within)
        assert differences[1] > 200


def test_a_box_of_the_wire_and_of_the_firmware_have_one_layout():
    assert BOX.itemsize == 12
    assert [BOX.fields[name][1] for name in BOX.names] == [0, 2, 4, 6, 8, 10, 11]
