"""Class and folder names with letters beyond ASCII, blanks and signs, from `data` to the report."""

import ast
import html
import io
import json
import re

import pytest
from PIL import Image
from small_training import SMALLEST

from tinytrain.benching import plot
from tinytrain.run import Run

CLASSES = ("$\\frac$ 50 %", "Gänseblümchen", "a  b", "日本 Ω")


def test_a_model_file_may_look_like_mathematics():
    rows = [{"index": 0, "name": "CONV_2D", "operators": [0], "output": [1, 2, 2, 3], "counts": 5, "share": 1.0}]
    profile = {"operators": rows, "kinds": {"CONV_2D": 1.0}, "unit": "cycles"}
    result = {"profile": profile, "model": "$a^$.tflite", "board": "mps2_an500", "emulated": True}
    file = io.BytesIO()
    plot.draw(result | {"latency": {"median": 5, "unit": "cycles"}}, file)
    with Image.open(file) as picture:
        assert picture.width == 9 * 120


@pytest.mark.long
def test_names_are_the_same_all_along_the_road(command_line, image_folder, tmp_path):
    root = image_folder("Blüten $x$", classes=CLASSES, count=10)
    spec, run = f"folder:{root}", tmp_path / "Läufe $y$"
    assert command_line("data", spec, "--out", "Bild ß.png", "--json")[0] == 0
    words = [f"--data={spec}", f"--out={run}", "--json", *SMALLEST, "optim.epochs=1"]
    status, out, error = command_line("fit", *words)
    assert status == 0, error
    assert json.loads(out.splitlines()[-1])["run"] == str(run)
    assert command_line("export", run, "--mcu", "stm32f746", "qat.epochs=0")[0] == 0
    assert command_line("report", run, "--out", "Bericht ü.html")[0] == 0
    found = Run(run)
    assert found.config().data.spec == spec
    assert json.loads(found.origin_path.read_text())["classes"] == sorted(CLASSES)
    names = [name for part in found.split().values() for name in part]
    assert sorted(names) == sorted(f"{name}/{number:03d}.png" for name in CLASSES for number in range(10))
    source = (run / "export-stm32f746g_disco/firmware/model/model_data.cc").read_text("ascii")
    literals = re.search(r"kLabels\[[^\]]*\] = \{(.*?)\};", source, re.DOTALL)[1]
    labels = re.findall(r'"(?:[^"\\]|\\.)*"', literals)
    assert [ast.literal_eval("b" + label).decode() for label in labels] == sorted(CLASSES)
    page = html.unescape((tmp_path / "Bericht ü.html").read_text("utf-8"))
    for name in CLASSES:
        assert page.count(name) > 2  # a table, and the texts of a picture
