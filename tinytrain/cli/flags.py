"""The commands of the command line: what each takes, and what it calls. TensorFlow is imported only where it is needed.

A command's function gets the values of its flags and the words that are no flags; it returns what --json prints and a
text to read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytrain.cli.words import separated, whole
from tinytrain.config import load as configs
from tinytrain.config import schema
from tinytrain.errors import TinytrainError, UserError, unknown

MOST_SEEDS, MOST_IMAGES, MOST_CLASSES = 1000, schema.MOST_IMAGES, 100_000  # beyond is a slip, or has no end


@dataclass(frozen=True)
class Command:
    """What a command does, its flags {name: meaning; a switch if it begins with "switch:"} and its function.

    `verdict` raises the error that a result is, once it is printed.
    """

    meaning: str
    flags: dict[str, str]
    run: Callable[[Any, list[str]], tuple[Any, str]]
    verdict: Callable[[Any], None] = lambda _: None


def _fit(values: Any, words: list[str]) -> tuple[Any, str]:
    plain, overrides = separated(words)
    short = [("data.spec", values.data), ("model.name", values.model)]
    overrides = [f"{dotted}={value}" for dotted, value in short if value is not None] + overrides
    if len(plain) > 1:
        raise UserError(f"fit takes one config file, received {', '.join(plain)}")
    if plain and values.recipe:
        raise UserError(f"fit takes a config file or --recipe, received '{plain[0]}' and --recipe {values.recipe}")
    plain += [str(configs.recipe(values.recipe))] if values.recipe else []
    out = Path(values.out) if values.out else None
    path = Path(plain[0]) if plain else None
    config = configs.load(path, overrides)
    if values.mcu:
        from tinytrain.deploy import boards

        boards.load(values.mcu)
    if values.resume:
        config = _config_to_resume(out, config, configs.typed(path, overrides))
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands.fit import fit
    from tinytrain.train import task

    run = fit(config, out, values.mcu, values.resume)
    result = run.metrics()
    return result | {"run": str(run.folder)}, task.of(run.config(), []).line(run.folder, result)


def _config_to_resume(out: Path | None, config: schema.Config, typed: set[str]) -> schema.Config:
    """Returns the config of the run in `out`, with those typed keys that training does not read.

    Raises UserError if another of the keys `typed` says something else.
    """
    from tinytrain.run import FREE, Run

    if out is None:
        raise UserError("--resume needs --out RUN, the folder of the run to go on with")
    run = Run.open(out)
    run.refuse_another(config, typed)
    stored = run.config()
    for dotted in typed:
        if dotted.startswith(FREE):
            configs.set_key(stored, dotted, configs.get_key(config, dotted))
    return stored


def _compare(values: Any, words: list[str]) -> tuple[Any, str]:
    plain, overrides = separated(words)
    seeds = whole("seeds", values.seeds or "1", MOST_SEEDS)
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands.compare import compare

    data = values.data.split(",") if values.data else None
    return compare(plain, data, seeds, values.out or "compare", overrides)


def _reproduce(values: Any, words: list[str]) -> tuple[Any, str]:
    from tinytrain.experiments.papers import scaling, tables

    plain, overrides = separated(words)
    if len(plain) != 1:
        raise UserError(f"reproduce needs one TABLE, such as seed003-table4, received {' '.join(plain) or 'none'}")
    tables.load(plain[0])
    scaling.parse(values.scale)
    batch = whole("batch", values.batch, schema.MOST_BATCH, scaling.LEAST_BATCH) if values.batch else None
    seeds = whole("seeds", values.seeds or "1", MOST_SEEDS)
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands.reproduce import reproduce

    data = values.data.split(",") if values.data else None
    return reproduce(plain[0], data, values.scale, seeds, values.out, overrides, batch)


def _export(values: Any, words: list[str]) -> tuple[Any, str]:
    plain, overrides = separated(words)
    if len(plain) != 1 or not values.mcu:
        raise UserError(f"export needs RUN or MODEL.tflite and --mcu BOARD, received {' '.join(words) or 'neither'}")
    from tinytrain.deploy import boards

    board = boards.load(values.mcu)
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands.export import export
    from tinytrain.exporting.text import summary

    report, folder = export(plain[0], board.name, values.out, overrides, values.data, values.diagnose)
    return report, summary(report, folder)


def _refuse_wrong_or_too_large(report: dict[str, Any]) -> None:
    """Raises TinytrainError for an export that computes something else, DoesNotFit for one that does not fit."""
    from tinytrain.exporting import proof

    if wrong := proof.wrong(report):
        raise TinytrainError(f"the export of '{report['source']}' is wrong, so do not flash it: {'; '.join(wrong)}")
    if report["fits"] is not False:
        return
    from tinytrain.deploy import boards, fit_check

    board = boards.load(report["board"])
    remedy = f"train it smaller: fit --mcu {board.name} says how"
    if Path(report["source"]).is_file():
        remedy = "a smaller network or a larger board would (`tinytrain list boards`)"
    raise fit_check.too_large(f"'{report['source']}'", fit_check.Memory(**report["memory"]), board, remedy)


def _evaluate(values: Any, words: list[str]) -> tuple[Any, str]:
    words, overrides = separated(words)
    if len(words) != 1:
        raise UserError(f"evaluate needs RUN or MODEL.tflite, received {' '.join(words) or 'nothing'}")
    if values.split not in (None, "train", "val", "test"):
        raise unknown("split", values.split, ["train", "val", "test"])
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands.evaluate import evaluate

    result = evaluate(Path(words[0]), values.data, values.split, overrides)
    return result, "  ".join(f"{name} {value:.4g}" for name, value in result.items() if isinstance(value, int | float))


def _bench(values: Any, words: list[str]) -> tuple[Any, str]:
    if len(words) != 1:
        raise UserError(f"bench needs the DIR of one export, received {' '.join(words) or 'nothing'}")
    images = whole("images", values.images, MOST_IMAGES) if values.images else None
    from tinytrain.benching.text import summary
    from tinytrain.commands.bench import bench

    result, folder = bench(words[0], values.port, images, values.protocol or "binary", values.out)
    return result, summary(result, folder)


def _refuse_wrong_answers(result: dict[str, Any]) -> None:
    from tinytrain.benching.text import failure

    if why := failure(result):
        raise TinytrainError(why)


def _report(values: Any, words: list[str]) -> tuple[Any, str]:
    if not words:
        raise UserError("report needs at least one RUN, a folder that `tinytrain fit` wrote, received nothing")
    from tinytrain.run import Run

    for word in words:
        Run.open(Path(word))
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands.report import report

    result = report(words, values.out or "report.html")
    names = ", ".join(run["name"] for run in result["runs"])
    return result, f"{result['out']}: {result['bytes']:,} bytes about {names}"


def _data(values: Any, words: list[str]) -> tuple[Any, str]:
    plain, overrides = separated(words)
    if len(plain) != 1:
        raise UserError(f"data needs one SPEC, such as digits or folder:PATH, received {' '.join(plain) or 'none'}")
    config = configs.load(None, [*overrides, f"data.spec={plain[0]}"])
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands import data as data_report

    result = data_report.report(config, Path(values.out or "samples.png"))
    return result, data_report.as_text(result)


def _list(values: Any, words: list[str]) -> tuple[Any, str]:
    from tinytrain.cli.lists import names as listing

    return listing.show(words, whole("classes", values.classes, MOST_CLASSES) if values.classes else None)


FIT_FLAGS = {
    "recipe": "a whole way of training: adaptive, adaptive_am, adaptive_baseline",
    "data": "digits, folder:PATH, csv:FILE, tfds:NAME[/CONFIG] or a name from `tinytrain list datasets`",
    "model": "a name from `tinytrain list models`",
    "mcu": "a board; refuse, before training, a model that does not fit it",
    "out": "the run folder to write (default: the next free runs/DATA-MODEL-NNN)",
    "resume": "switch: go on with the interrupted run in --out",
}
COMMANDS = {
    "fit": Command("Trains a model on images.", FIT_FLAGS, _fit),
    "compare": Command(
        "Trains every config on every dataset with every seed, and tables the results; typed again, it goes on.",
        {
            "data": "SPECs joined by commas, in place of each config's own",
            "seeds": "how many seeds, from 0 (default: 1)",
            "out": "the folder of the runs, results.csv and results.md (default: compare)",
        },
        _compare,
    ),
    "reproduce": Command(
        "Trains a table of one of the papers and prints it beside ours; typed again, it goes on.",
        {
            "data": "SPECs joined by commas, in place of the paper's datasets",
            "scale": "share of the epochs and images, or two of them joined by a comma (default: 1)",
            "batch": "images a step in place of the paper's, learning rates in proportion",
            "seeds": "how many seeds, from 0 (default: 1)",
            "out": "the folder of the runs, table.md, table.csv and figures/ (default: reproduce/TABLE)",
        },
        _reproduce,
    ),
    "export": Command(
        "Turns a run into an int8 model, proven to fit the board, with firmware to flash.",
        {
            "mcu": "a board or microcontroller from `tinytrain list boards`",
            "out": "the folder to write (default: RUN/export-BOARD)",
            "data": "for MODEL.tflite: images to prove it on",
            "diagnose": "switch: show the quantization error by layer and the accuracy by class, on val images",
        },
        _export,
        _refuse_wrong_or_too_large,
    ),
    "evaluate": Command(
        "Measures a run or a .tflite file on a split of its data.",
        {
            "data": "another data source than the run's: its test split, or all of it if it has no splits",
            "split": "train, val or test (default)",
        },
        _evaluate,
    ),
    "bench": Command(
        "Runs an export's firmware on test images, on a board or in the emulator: outputs, latency, profile, memory.",
        {
            "port": "the serial port of a board that holds the firmware, or auto (default: the emulator)",
            "images": "how many test images (default: all; in the emulator, as many as take a minute)",
            "protocol": "binary (default), or mlperf, the text protocol of MLPerf Tiny's runner",
            "out": "the folder for bench.json and operators.png (default: DIR)",
        },
        _bench,
        _refuse_wrong_answers,
    ),
    "report": Command(
        "Writes one HTML file about one run or several side by side: accuracy, curves, mistakes, memory, latency.",
        {"out": "the file to write, replaced if it is there (default: report.html)"},
        _report,
    ),
    "data": Command(
        "Shows what is in a data source and what is wrong with it: classes, mean and deviation, samples, findings.",
        {"out": "the picture of samples to write (default: samples.png)"},
        _data,
    ),
    "list": Command(
        "Lists what a config can name.",
        {"classes": "for `list models`: how many classes there are (default: the papers' 1,000)"},
        _list,
    ),
}
