"""The commands of the command line: what each takes, and what it calls. TensorFlow is imported only where it is needed.

To add a flag is one line in COMMANDS: its usage, help, parsing and checks follow from that.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from tinytrain.cli import output
from tinytrain.cli.flags import BEGINS, GOES_ON, Command, choice, flag_words, integer, number, switch, text
from tinytrain.cli.lists.names import LISTS
from tinytrain.config import fields, library, plugins, schema
from tinytrain.config import load as configs
from tinytrain.deploy.cpu.runtimes import MODULES as CPU_RUNTIMES
from tinytrain.errors import TinytrainError, UserError
from tinytrain.experiments.papers.scaling import LEAST_BATCH
from tinytrain.files import json_text
from tinytrain.workers import cluster, launch, side_by_side

MOST_SEEDS, MOST_CLASSES = 1000, 100_000  # more is a typing error, or would never end
MOST_WORKERS, MOST_RESTARTS = 1000, 1000
BUDGET = choice(
    "budget",
    ("epochs", "time"),
    "what is the same for all runs: epochs, or processor time, so that cheaper networks get more epochs",
    "epochs",
)
DRY_RUN = switch("dry-run", "show what would be trained, for how long and where, without training or writing anything")
AUTO = "auto"  # --model: the project's choice for the board


def _refuse_unquoted(spec: str, others: Sequence[str]) -> None:
    """Raises UserError if `others` are the rest of the path in `spec`, which has blanks and was not quoted."""
    kind, _, start = spec.partition(":")
    whole = " ".join([start, *others])
    if others and start and not Path(start).exists() and Path(whole).exists():
        raise UserError(f"the path '{whole}' has a blank, where the shell ends a word: write {kind}:'{whole}'")


def _fit(values: Any, operands: list[str], overrides: list[str]) -> tuple[Any, str]:
    chooses, typed_words = values.model == AUTO, [*operands, *overrides]
    if chooses and not values.mcu:
        raise UserError("--model auto chooses the network for a board: say which with --mcu BOARD")
    flag_keys = [("data.spec", values.data), ("model.name", None if chooses else values.model)]
    overrides = [f"{dotted}={value}" for dotted, value in flag_keys if value is not None] + overrides
    _refuse_unquoted(values.data or "", operands)
    if len(operands) > 1:
        raise UserError(f"fit takes one config file, received {', '.join(operands)}")
    if operands and values.recipe:
        raise UserError(f"fit takes a config file or --recipe, received '{operands[0]}' and --recipe {values.recipe}")
    out = Path(values.out) if values.out else None
    path = library.recipe(values.recipe) if values.recipe else Path(operands[0]) if operands else None
    config, typed = configs.load(path, overrides), configs.typed(path, overrides)
    if values.mcu:
        from tinytrain.deploy import boards

        boards.load(values.mcu)
    if values.teacher:
        return _teach(values, path, config, typed, typed_words)
    others = cluster.of_environment()
    if values.resume and others.chief:  # who alone may have the run
        config = _config_to_resume(out, config, typed)
    if values.restarts and values.workers is None:
        raise UserError("--restarts needs --workers N, the processes that are started again")
    if values.restarts and not out:
        raise UserError("--restarts needs --out RUN, the folder of the run to go on with")
    if _is_dry(values) and (values.workers is not None or others.count > 1):
        raise UserError(
            "--dry-run estimates the time of one process: leave out --workers; several take at least as long"
        )
    if values.workers is not None and others.count > 1:
        raise UserError(
            f"{cluster.VARIABLE} names {others.count} workers, and --workers would start others: use one of them"
        )
    if values.workers is not None:
        words = flag_words(COMMANDS["fit"], values, leave_out=("workers", "restarts"))
        sys.exit(launch.launch(["fit", *words, *typed_words], values.workers, values.restarts, out))
    if _is_dry(values):
        return _forecast(values, config, out, typed)
    from tinytrain.quiet import import_tensorflow

    import_tensorflow(at_once=True)
    from tinytrain.commands.fit import fit
    from tinytrain.train import task

    run = fit(config, out, values.mcu, values.resume, typed, chooses)
    if run is None:
        sys.exit(0)  # a worker beside the chief, which says what came out
    result = run.metrics()
    return result | {"run": str(run.folder)}, task.of(run.config(), []).line(run.folder, result)


def _is_dry(values: Any) -> bool:
    """Returns whether nothing is to be trained, only told."""
    return bool(getattr(values, DRY_RUN.name))


def _forecast(values: Any, config: schema.Config, out: Path | None, typed: set[str]) -> tuple[Any, str]:
    """Says what `fit` would do."""
    from tinytrain.quiet import import_tensorflow

    import_tensorflow(at_once=True)
    from tinytrain.commands.fit import forecast

    return forecast(config, out, values.mcu, values.resume, typed, values.model == AUTO)


def _teach(values: Any, path: Path | None, config: schema.Config, typed: set[str], words: list[str]) -> tuple[Any, str]:
    """Trains with a teacher, as `fit` says with --teacher."""
    if not values.out:
        raise UserError("--teacher needs --out DIR, the folder of the runs that it trains")
    if _is_dry(values):
        raise UserError("--dry-run cannot say what --teacher trains: that depends on the results of its first runs")
    if values.resume:
        raise UserError("--teacher does not take --resume: to continue, run the same command again")
    if values.workers is not None or cluster.of_environment().count > 1:
        raise UserError(
            "--teacher trains several networks, and workers share one: start the same command several times instead, "
            "the processes share the networks"
        )
    from tinytrain.quiet import import_tensorflow

    import_tensorflow(at_once=True)
    from tinytrain.commands.teach import teach

    command = ["tinytrain", "fit", *flag_words(COMMANDS["fit"], values), *words]
    return teach(config, values.out, values.teacher, values.mcu, typed, path, command, values.model == AUTO)


def _config_to_resume(out: Path | None, config: schema.Config, typed: set[str]) -> schema.Config:
    """Returns the config of the run in `out`, with those typed keys that training does not read.

    Raises UserError if another of the keys `typed` says something else.
    """
    from tinytrain.run import CHANGEABLE_KEYS, Run

    if out is None:
        raise UserError("--resume needs --out RUN, the folder of the run to go on with")
    run = Run.open(out)
    run.refuse_other_config(config, typed)
    stored = run.config()
    for dotted in typed:
        if dotted.startswith(CHANGEABLE_KEYS):
            configs.set_key(stored, dotted, configs.get_key(config, dotted))
    return stored


def _refuse_unfinished(target: str) -> None:
    """Raises UserError, before TensorFlow is imported, for the folder of a run that is not finished."""
    from tinytrain.run import Run

    if Run(Path(target)).config_path.is_file():
        Run.open(Path(target)).metrics()


def _compare(values: Any, operands: list[str], overrides: list[str]) -> tuple[Any, str]:
    texts = values.resolutions.split(",") if values.resolutions else []
    if not all(text.isascii() and text.isdecimal() and len(text) <= 4 for text in texts):
        raise UserError(
            f"--resolutions {values.resolutions} is not a list of pixels: expected numbers such as 96,128,160"
        )
    sides = list(map(int, texts))
    if values.workers is not None:
        _share("compare", values, operands, overrides)
    from tinytrain.quiet import import_tensorflow

    import_tensorflow(at_once=True)
    from tinytrain.commands.compare import compare

    data = values.data.split(",") if values.data else None
    return compare(operands, data, values.seeds, values.out, overrides, sides, _is_dry(values), values.budget)


def _share(name: str, values: Any, operands: list[str], overrides: list[str]) -> NoReturn:
    """Runs a command in --workers processes, which share its runs, and exits."""
    if _is_dry(values):
        raise UserError("--dry-run estimates the time of one process: leave out --workers")
    words = flag_words(COMMANDS[name], values, leave_out=("workers",))
    sys.exit(side_by_side.launch([name, *operands, *words, *overrides], values.workers))


def _search(values: Any, operands: list[str], overrides: list[str]) -> tuple[Any, str]:
    if operands or not values.data or not values.mcu:
        received = " ".join([*operands, *overrides]) or "neither"
        raise UserError(f"search needs --data SPEC and --mcu BOARD, received {received}")
    if (values.hours is None) == (values.trials is None):
        raise UserError("search must know when to stop: give either --hours H or --trials N")
    from tinytrain.deploy import boards

    boards.load(values.mcu)
    configs.load(None, overrides)
    if values.workers is not None:
        _share("search", values, operands, overrides)
    from tinytrain.quiet import import_tensorflow

    import_tensorflow(at_once=True)
    from tinytrain.commands.search import search

    return search(
        values.data,
        values.mcu,
        values.out,
        values.hours,
        values.trials,
        getattr(values, "latency-ms"),
        values.storage,
        overrides,
        values.teacher == AUTO,
        _is_dry(values),
    )


def _reproduce(values: Any, operands: list[str], overrides: list[str]) -> tuple[Any, str]:
    from tinytrain.experiments.papers import scaling, tables

    if len(operands) != 1:
        raise UserError(f"reproduce needs one TABLE, such as seed003-table4, received {' '.join(operands) or 'none'}")
    table = tables.load(operands[0])
    scaling.parse(values.scale)
    if not table.trains:
        _refuse_workers(table.name, values)
    if values.workers is not None:
        _share("reproduce", values, operands, overrides)
    from tinytrain.quiet import import_tensorflow

    import_tensorflow(at_once=True)
    from tinytrain.commands.reproduce import reproduce

    data = values.data.split(",") if values.data else None
    return reproduce(
        operands[0],
        data,
        values.scale,
        values.seeds,
        values.out,
        overrides,
        values.batch,
        _is_dry(values),
        values.budget,
        values.arms.split(",") if values.arms else None,
        values.teacher,
    )


def _refuse_workers(table: str, values: Any) -> None:
    """Raises UserError for a table that trains nothing if workers should share it, or OpenVINO is not installed."""
    from tinytrain.deploy.cpu import runtimes
    from tinytrain.experiments.papers.tables import RUNTIME

    if values.workers is not None:
        raise UserError(
            f"{table} trains nothing, so workers have nothing to share: leave out --workers {values.workers}"
        )
    runtimes.require(RUNTIME)


def _export(values: Any, operands: list[str], overrides: list[str]) -> tuple[Any, str]:
    if values.mcu and values.cpu:
        raise UserError(
            f"an export is for a board or for a CPU: give --mcu {values.mcu} or --cpu {values.cpu}, not both"
        )
    if len(operands) != 1 or not (values.mcu or values.cpu):
        received = " ".join([*operands, *overrides]) or "neither"
        missing = ": --mcu BOARD is missing" if len(operands) == 1 else ""
        raise UserError(
            f"export needs RUN or MODEL.tflite and --mcu BOARD or --cpu RUNTIME, received {received}{missing}"
        )
    if values.cpu:
        return _export_cpu(values, operands[0], overrides)
    from tinytrain.deploy import boards

    board = boards.load(values.mcu)
    _refuse_unfinished(operands[0])
    from tinytrain.quiet import import_tensorflow

    import_tensorflow(at_once=True)
    from tinytrain.commands.export import export
    from tinytrain.exporting.text import summary

    flag_keys = [("export.target", values.target), ("export.engine", values.engine)]
    overrides = [f"{dotted}={value}" for dotted, value in flag_keys if value is not None] + overrides
    report, folder = export(operands[0], board.name, values.out, overrides, values.data, values.diagnose)
    return report, summary(report, folder)


def _export_cpu(values: Any, target: str, overrides: list[str]) -> tuple[Any, str]:
    """Exports a run for a CPU, as `export` says with --cpu."""
    if values.data or values.diagnose:
        flag = "--data" if values.data else "--diagnose"
        raise UserError(f"{flag} works only with --mcu: --cpu exports a run with the data it was trained on")
    from tinytrain.deploy.cpu import runtimes

    runtimes.require(values.cpu)
    _refuse_unfinished(target)
    from tinytrain.quiet import import_tensorflow

    import_tensorflow(at_once=True)
    from tinytrain.commands.export_cpu import export_cpu
    from tinytrain.exporting.cpu.text import summary

    report, folder = export_cpu(target, values.cpu, values.out, overrides)
    return report, summary(report, folder)


def _refuse_wrong_or_too_large(report: dict[str, Any]) -> None:
    """Raises TinytrainError for an export that computes something else, DoesNotFit for one that does not fit."""
    from tinytrain.exporting import proof

    if "runtime" in report:
        if wrong := report["unproven"]:
            raise TinytrainError(f"the export of '{report['source']}' is wrong: {'; '.join(wrong)}")
        return
    if wrong := proof.wrong(report):
        raise TinytrainError(f"the export of '{report['source']}' is wrong, so do not flash it: {'; '.join(wrong)}")
    if report["fits"] is not False:
        return
    from tinytrain.deploy import boards, fit_check

    board = boards.load(report["board"])
    remedy = f"train a smaller one: fit --mcu {board.name} says which sizes fit"
    if Path(report["source"]).is_file():
        remedy = "use a smaller network or a larger board (`tinytrain list boards`)"
    raise fit_check.too_large(f"'{report['source']}'", fit_check.Memory(**report["memory"]), board, remedy)


def _evaluate(values: Any, operands: list[str], overrides: list[str]) -> tuple[Any, str]:
    if len(operands) != 1:
        raise UserError(f"evaluate needs RUN or MODEL.tflite, received {' '.join(operands) or 'nothing'}")
    _refuse_unfinished(operands[0])
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands.evaluate import evaluate

    result = evaluate(Path(operands[0]), values.data, values.split, overrides, values.frames)
    if values.frames is None:
        return result, _figures(result)
    lines = [f"{way:7}  {_figures(result[way])}" for way in ("pillow", "integer")]
    return result, "\n".join(lines)


def _figures(result: dict[str, Any]) -> str:
    """Returns the numbers of a measurement as a line."""
    numbers = {name: value for name, value in result.items() if isinstance(value, int | float)}
    return "  ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.4g}" for name, value in numbers.items()
    )


def _predict(values: Any, operands: list[str], _: list[str]) -> tuple[Any, str]:
    if len(operands) < 2:
        received = " ".join(operands) or "neither"
        raise UserError(f"predict needs RUN or EXPORT and at least one IMAGE, a file or a folder, received {received}")
    _refuse_unfinished(operands[0])
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands.predict import predict

    def print_row(row: dict[str, Any]) -> None:
        output.write(json_text(row, "the prediction"))

    result = predict(operands[0], operands[1:], values.out, values.score, print_row)
    return {"images": len(result.pop("predictions")), **result}, ""  # their rows are printed


def _refuse_unreadable(result: dict[str, Any]) -> None:
    from tinytrain.commands.predict import failure

    if why := failure(result):
        raise TinytrainError(why)


def _bench(values: Any, operands: list[str], _: list[str]) -> tuple[Any, str]:
    if len(operands) != 1:
        raise UserError(f"bench needs the DIR of one export, received {' '.join(operands) or 'nothing'}")
    from tinytrain.commands.bench import bench

    result, folder = bench(operands[0], values.port, values.images, values.protocol, values.out)
    return result, _bench_text(result).summary(result, folder)


def _bench_text(result: dict[str, Any]) -> ModuleType:
    """Returns the module that puts this result into words."""
    from tinytrain.benching import text as of_board
    from tinytrain.benching.cpu import text as of_cpu

    return of_cpu if "runtime" in result else of_board


def _refuse_wrong_answers(result: dict[str, Any]) -> None:
    if why := _bench_text(result).failure(result):
        raise TinytrainError(why)


def _report(values: Any, operands: list[str], _: list[str]) -> tuple[Any, str]:
    if not operands:
        raise UserError("report needs at least one RUN, a folder that `tinytrain fit` wrote, received nothing")
    from tinytrain.run import Run

    for folder in operands:
        Run.open(Path(folder))
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands.report import report

    result = report(operands, values.out)
    names = ", ".join(run["name"] for run in result["runs"])
    return result, f"{result['out']}: {result['bytes']:,} bytes about {names}"


def _data(values: Any, operands: list[str], overrides: list[str]) -> tuple[Any, str]:
    _refuse_unquoted(operands[0] if operands else "", operands[1:])
    if len(operands) != 1:
        raise UserError(f"data needs one SPEC, such as digits or folder:PATH, received {' '.join(operands) or 'none'}")
    config = configs.load(None, [*overrides, f"data.spec={operands[0]}"])
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    from tinytrain.commands import data as data_report

    result = data_report.report(config, Path(values.out))
    return result, data_report.as_text(result)


def _refuse_severe(result: dict[str, Any]) -> None:
    """Raises TinytrainError for data that `fit` would refuse; what is wrong with them is printed."""
    from tinytrain.data.source import counted

    if severe := sum(finding["severe"] for finding in result["findings"]):
        raise TinytrainError(
            f"fit cannot train on '{result['data']}' until {counted(severe, 'finding')} marked error above "
            f"{'is' if severe == 1 else 'are'} solved"
        )


def _clean(values: Any, operands: list[str], _: list[str]) -> tuple[Any, str]:
    if operands:
        raise UserError(f"clean takes no argument, received {' '.join(operands)}: it cleans the whole cache")
    from tinytrain.commands.clean import clean

    return clean(values.yes)


def _completion(values: Any, operands: list[str], _: list[str]) -> tuple[Any, str]:
    from tinytrain.cli import completion

    if len(operands) != 1 or operands[0] not in completion.SHELLS:
        received = " ".join(operands) or "none"
        raise UserError(f"completion needs one SHELL, {', '.join(completion.SHELLS)}, received {received}")
    script = completion.script(operands[0], COMMANDS)
    return {"shell": operands[0], "script": script}, script


def _list(values: Any, operands: list[str], _: list[str]) -> tuple[Any, str]:
    from tinytrain.cli.lists import names

    return names.show(operands, values.classes)


COMMANDS = {
    "fit": Command(
        "Trains a model on images.",
        "[CONFIG|--recipe NAME]",
        (
            choice("recipe", library.recipe_names(), "a complete training recipe", value="NAME"),
            text("data", "SPEC", configs.keys()["data.spec"].metadata["meaning"]),
            text(
                "model",
                "NAME",
                "a name from `tinytrain list models`, or auto: the first of the measured networks that fits the board",
            ),
            text("mcu", "BOARD", "the board: a model that does not fit it is refused before training"),
            text(
                "teacher",
                "auto|RUN|FILE",
                "let a larger network teach this one (auto: train it first) and compare that with plain training for "
                "the same time",
            ),
            text("out", "RUN", "the run folder to write (default: the next free runs/DATA-MODEL-NNN)"),
            switch("resume", "continue the interrupted run in --out"),
            integer("workers", "N", "train in N processes on this machine, which share each batch", 1, MOST_WORKERS),
            integer(
                "restarts",
                "K",
                "with --workers: start again up to K times after one was killed",
                0,
                MOST_RESTARTS,
                default=0,
            ),
            DRY_RUN,
        ),
        _fit,
        again=lambda values: GOES_ON if values.teacher else BEGINS,  # of a run that was begun, fit says it
    ),
    "compare": Command(
        "Trains every config on every dataset with every seed, and tabulates the results; run again, it continues.",
        "CONFIG|RECIPE…",
        (
            text("data", "SPEC,SPEC…", "data to use instead of each config's own"),
            text(
                "resolutions", "R,R…", "train every config at each of these, and draw accuracy against cost in macs.png"
            ),
            integer("seeds", "N", "number of seeds, starting at 0", 1, MOST_SEEDS, default=1),
            text("out", "DIR", "the folder of the runs, results.csv and results.md", default="compare"),
            BUDGET,
            integer("workers", "N", "train in N processes on this machine, which share the runs", 1, MOST_WORKERS),
            DRY_RUN,
        ),
        _compare,
        again=lambda _: GOES_ON,
    ),
    "search": Command(
        "Finds the best network for a board: trains many briefly and the best ones longer; run again, it continues.",
        "",
        (
            text("data", "SPEC", "the images, one class each", required=True),
            text("mcu", "BOARD", "the board that the network has to fit", required=True),
            number("latency-ms", "MS", "the longest predicted latency that is allowed", 0.001, 1e6),
            number("hours", "H", "stop after this time", 0.001, 10_000),
            integer("trials", "N", "stop after this many networks, instead of --hours", 1, fields.MOST_TRIALS),
            choice("teacher", (AUTO,), "in the end, train a larger network to teach the winner, if time is left"),
            text("storage", "URL", "the database that processes share (default: search.db in --out)"),
            text("out", "DIR", "the folder of the runs, search.csv, search.md and search.png", default="search"),
            integer("workers", "N", "search in N processes on this machine, which share the networks", 1, MOST_WORKERS),
            DRY_RUN,
        ),
        _search,
        again=lambda _: GOES_ON,
    ),
    "reproduce": Command(
        "Trains the networks of a paper's table and prints its figures beside ours; run again, it continues.",
        "TABLE",
        (
            text("data", "SPEC,SPEC…", "data to use instead of the paper's"),
            text(
                "scale", "S", "share of the work, or E,I or E,I,R: shares of epochs, images and resolution (default: 1)"
            ),
            text("arms", "ARM,ARM…", "only arms whose names begin so, and those they are compared to or learn from"),
            text("teacher", "RUN|FILE", "the teacher, instead of one that the table trains"),
            integer(
                "batch", "B", "images per step; the learning rates change in proportion", LEAST_BATCH, fields.MOST_BATCH
            ),
            integer("seeds", "N", "number of seeds, starting at 0", 1, MOST_SEEDS, default=1),
            text("out", "DIR", "the folder of the runs, table.md, table.csv and figures/ (default: reproduce/TABLE)"),
            BUDGET,
            integer("workers", "N", "train in N processes on this machine, which share the runs", 1, MOST_WORKERS),
            DRY_RUN,
        ),
        _reproduce,
        again=lambda _: GOES_ON,
    ),
    "export": Command(
        "Turns a run into an int8 model, proven to fit the board, with firmware to flash, or into models for a CPU.",
        "RUN|MODEL.tflite (--mcu BOARD|--cpu RUNTIME)",
        (
            text("mcu", "BOARD", "a board or microcontroller from `tinytrain list boards`"),
            choice(
                "cpu",
                tuple(CPU_RUNTIMES),
                "write a RUN as a float and an int8 model for this runtime, and check them in it",
                value="RUNTIME",
            ),
            choice(
                "target",
                plugins.names(plugins.TARGETS),
                "a whole program for the board, or a library for a program of your own (default: bare-metal)",
            ),
            choice("engine", ("auto", "compiled", "tflm"), configs.keys()["export.engine"].metadata["meaning"]),
            text("data", "SPEC", "for MODEL.tflite: images to prove it on"),
            text("out", "DIR", "the folder to write (default: RUN/export-BOARD, RUN/export-cpu-RUNTIME)"),
            switch("diagnose", "show the quantization error by layer and the accuracy by class, on val images"),
        ),
        _export,
        verdict=_refuse_wrong_or_too_large,
        again=lambda _: BEGINS,
    ),
    "evaluate": Command(
        "Measures a run or a .tflite file on a split of its data.",
        "RUN|MODEL.tflite",
        (
            text(
                "data",
                "SPEC",
                "measure on this data instead of the run's: its test split, or all of it if it has no splits",
            ),
            choice("split", ("train", "val", "test"), "the split to measure (default: test)"),
            choice(
                "frames",
                fields.FRAME_FORMATS,
                "measure the images a second time as camera frames in this format, as an exported library resizes them",
                value="FORMAT",
            ),
        ),
        _evaluate,
    ),
    "predict": Command(
        "Finds boxes, or the class, in pictures: prints a line of JSON for each, and draws them with --out.",
        "RUN|EXPORT IMAGE…",
        (
            text("out", "DIR", "draw the pictures into this folder"),
            number(
                "score",
                "S",
                "lowest score at which a box is shown; by default the one stored with the model",
                fields.LEAST_SCORE,
                fields.MOST_SCORE,
            ),
        ),
        _predict,
        overrides=False,
        verdict=_refuse_unreadable,
    ),
    "bench": Command(
        "Runs an export on test images, on a board, in the emulator or on this CPU: outputs, latency, profile, memory.",
        "DIR",
        (
            text("port", "DEVICE|auto", "the serial port of a board that holds the firmware (default: the emulator)"),
            integer(
                "images",
                "N",
                "number of test images; by default all, in the emulator as many as take about a minute",
                1,
                fields.MOST_IMAGES,
            ),
            choice("protocol", ("binary", "mlperf"), "mlperf: the text protocol of MLPerf Tiny's runner", "binary"),
            text("out", "DIR", "the folder for bench.json and its pictures (default: DIR)"),
        ),
        _bench,
        overrides=False,
        verdict=_refuse_wrong_answers,
    ),
    "report": Command(
        "Writes one HTML file about one run or several side by side: accuracy, curves, mistakes, memory, latency.",
        "RUN…",
        (text("out", "HTML", "the file to write; an existing one is replaced", default="report.html"),),
        _report,
        overrides=False,
    ),
    "data": Command(
        "Shows what is in a data source and what is wrong with it: classes, mean and deviation, samples, findings.",
        "SPEC",
        (text("out", "PNG", "the picture of samples to write", default="samples.png"),),
        _data,
        verdict=_refuse_severe,
    ),
    "list": Command(
        "Lists the names and keys that a config can use.",
        f"[{'|'.join(LISTS)}]",
        (
            integer(
                "classes", "N", "for `list models`: number of classes; by default those of the papers", 1, MOST_CLASSES
            ),
        ),
        _list,
        overrides=False,
    ),
    "clean": Command(
        "Shows where the cache is and how large it is, and empties it with --yes; it holds no runs and no exports.",
        "",
        (switch("yes", "remove what is shown"),),
        _clean,
        overrides=False,
    ),
    "completion": Command(
        "Prints a script that makes a shell complete commands, flags, keys and names.",
        "bash|zsh|fish",
        (),
        _completion,
        overrides=False,
    ),
}
