"""Draws docs/readme.png: the head of a run's report above what its firmware answers in the emulator.

Both are made anew from the run, so the picture shows what the commands of the README print: `tinytrain report RUN` and
the target `emulate` of its export. It needs Chromium (`make browser`), the compiler and QEMU (`make firmware-tools`).

    python docs/pictures/readme_picture.py runs/demo
"""

import argparse
import html
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PICTURE = Path(__file__).parents[1] / "readme.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, REPORT_HEIGHT, TERMINAL_HEIGHT = 980, 318, 290  # CSS pixels: three cards of the report fit side by side
SCALE = 1.6  # pixels of the file for each of them
COLORS = 96  # of the palette, to keep the file small

PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #fff }}
iframe {{ display: block; box-sizing: border-box; border: 1px solid #d0d7de; border-radius: 8px; width: 100%;
         height: {report_height}px }}
pre {{ box-sizing: border-box; margin: 8px 0 0; padding: 12px 16px; height: {terminal_height}px; background: #161b22;
      color: #e6edf3; border-radius: 8px; font: 15px/20.5px 'DejaVu Sans Mono', monospace }}
b {{ color: #7ee787; font-weight: normal }} i {{ color: #8b949e; font-style: normal }}
</style><iframe src="{report}" scrolling="no"></iframe><pre>{terminal}</pre>"""


def answer(run: Path) -> str:
    """Returns what the firmware of a run's only export prints in the emulator, the runner's lines left out."""
    (firmware,) = run.glob("export-*/firmware")
    command = ["make", "-s", "-C", str(firmware), "BOARD=mps2_an500", "emulate"]
    printed = subprocess.check_output(command, text=True)
    lines = [line for line in printed.splitlines() if line and not line.startswith("m-")]
    return "\n".join([f"$ {' '.join(command)}", *lines])


def terminal(text: str) -> str:
    """Returns a text in HTML, with the command gray and the proof green."""
    tags = {"$": "i", "golden:": "b", "done": "b"}
    lines = ((tags.get(line.split()[0], "span"), html.escape(line)) for line in text.splitlines())
    return "\n".join(f"<{tag}>{line}</{tag}>" for tag, line in lines)


def draw(run: Path) -> None:
    """Writes the picture of a run."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("Chromium is not installed: make browser")
    with tempfile.TemporaryDirectory() as temporary:
        report, page, shot = (Path(temporary) / name for name in ("report.html", "page.html", "shot.png"))
        subprocess.run([sys.executable, "-m", "tinytrain", "report", str(run), "--out", str(report)], check=True)
        texts = {"report": report.as_uri(), "terminal": terminal(answer(run))}
        sizes = {"report_height": REPORT_HEIGHT, "terminal_height": TERMINAL_HEIGHT}
        page.write_text(PAGE.format(**texts, **sizes), "utf-8")
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--force-device-scale-factor={SCALE}",
        ]
        flags += [
            f"--window-size={WIDTH},{REPORT_HEIGHT + 8 + TERMINAL_HEIGHT}",
            f"--screenshot={shot}",
            "--virtual-time-budget=5000",
        ]
        subprocess.run([browser, *flags, page.as_uri()], check=True, stderr=subprocess.DEVNULL)
        Image.open(shot).convert("RGB").quantize(COLORS).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="a run with one export, such as runs/demo")
    draw(parser.parse_args().run)
