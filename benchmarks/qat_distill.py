"""Gain from distillation in the fine-tune of `tinytrain export`, with the float model as the teacher of the int8 model.

Each run is quantized in three ways: after training (qat.epochs=0), fine-tuned on the labels, and fine-tuned on the
labels and the outputs of the float model (qat.distill=1). Prints the test top-1 of TFLM's interpreter in percent.

    python benchmarks/qat_distill.py RUN… [--quick] [--json] [KEY=VALUE …]
"""

import argparse
import json
from pathlib import Path

from tinytrain.quiet import import_tensorflow

import_tensorflow()

from tinytrain import tables
from tinytrain.config import load as configs
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.exporting import int8_model
from tinytrain.run import Run
from tinytrain.tasks.classify import metrics
from tinytrain.tflite.int8_values import dequantize

VARIANTS = {"post_training": ["qat.epochs=0"], "labels": ["qat.distill=0"], "labels_and_float_model": ["qat.distill=1"]}


def measure(run, overrides, images):
    """Returns a row: test top-1 in percent, float and of each variant in int8, on the first `images` test images."""
    row = {"run": str(run.folder)}
    for variant, keys in VARIANTS.items():
        model = int8_model.from_run(run, configs.apply(run.config(), [*overrides, *keys]))
        output = model.tflite.outputs[0]
        scores = dequantize(ReferenceInterpreter(model.tflite.content).run(model.images[:images])[0], output)
        row["float_percent"] = round(
            100 * metrics.top_k(model.float_scores[:images], model.samples.annotations[:images], 1), 2
        )
        row[f"{variant}_percent"] = round(100 * metrics.top_k(scores, model.samples.annotations[:images], 1), 2)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="finished runs, and KEY=VALUE words for [qat]")
    parser.add_argument("--quick", action="store_true", help="1,000 test images")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    options = parser.parse_intermixed_args()
    overrides = [argument for argument in options.runs if "=" in argument]
    rows = []
    columns = ("<40", ">7", ">7", ">7", ">21")
    headings = ("run", "float", "after", "labels", "labels + float model")
    print(f"{tables.line(headings, columns, between=' ')}   (test top-1, %)")
    for folder in (argument for argument in options.runs if "=" not in argument):
        row = measure(Run.open(Path(folder)), overrides, 1000 if options.quick else None)
        rows.append(row)
        percent = [f"{row[f'{variant}_percent']:.2f}" for variant in ("float", *VARIANTS)]
        print(tables.line((folder, *percent), columns, between=" "), flush=True)
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
