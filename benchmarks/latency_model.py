"""Published latencies beside the predictions of deploy/latency.py: cycles per instruction of each core, and the errors.

The instructions of each row are estimated by operator, for TFLM's own kernels, which were measured. Each row is
predicted from the other rows of its core only (leave-one-out), so that its error is a prediction error. `held` says
whether the interval that `tinytrain export` prints holds the row. If only the multiply-accumulates (MACs) of a network
are known, the instructions per MAC of the core's other networks are used. The remaining rows are engines with other
kernels. They show how an engine compares to TFLM with CMSIS-NN; most lie outside the interval, which is not meant for
them. Last comes what the kernels of firmware/kernels are predicted to need for the same networks on the same boards.

    python benchmarks/latency_model.py [--quick] [--json]
"""

import argparse
import json
import sys
from functools import cache
from statistics import geometric_mean
from typing import Any

from tinytrain.quiet import import_tensorflow

import_tensorflow()

import operator_models
from operator_models import Case
from published import BY_MACS, FITTED, H743_CLOCKS_HZ, OTHER_KERNELS, Row, operators

from tinytrain import tables
from tinytrain.deploy import latency
from tinytrain.deploy.kernels.prepare import prepare
from tinytrain.deploy.tflm import instructions
from tinytrain.tflite.macs import total_macs
from tinytrain.tflite.model import Model, Operator

COMPARED = ("Plumerai", "Bosch HALE", "X-CUBE-AI", "TinyEngine")  # with our own kernels
KERNELS = "int8"  # TFLM's `*_INT8` registrations: these latencies are not of our firmware's own operators


def instructions_of(network: str) -> float:
    """Returns the estimated instructions of one inference of a published network."""
    return sum(instructions.predict(operator, KERNELS) + instructions.CALL for operator in operators(network))


def instructions_per_mac(core: str) -> float:
    """Returns the instructions per MAC on a core, the geometric mean over its networks with known operators."""
    networks = [row.network for row in FITTED if row.core == core]
    return geometric_mean(instructions_of(name) / total_macs(operators(name)) for name in networks)


def cycles_per_instruction(row: Row) -> float:
    """Returns the cycles per instruction that follow from a published row."""
    estimate = row.macs * instructions_per_mac(row.core) if row.macs else instructions_of(row.network)
    return row.ms / 1e3 * row.clock_hz / estimate


def published(row: Row) -> dict[str, Any]:
    """Returns the first columns of every row of the table."""
    return {
        "source": row.source,
        "board": row.board,
        "core": row.core,
        "engine": row.engine,
        "network": row.network,
        "published_ms": row.ms,
        "clock_mhz": row.clock_hz / 1e6,
    }


def fitted_row(row: Row) -> dict[str, Any]:
    """Returns the row of the table for a row of FITTED or BY_MACS."""
    cycles = cycles_per_instruction(row)
    others = [cycles_per_instruction(other) for other in FITTED if other.core == row.core and other != row]
    core, likely = latency.CORES[row.core], geometric_mean(others)
    ms_per_cycle = row.ms / cycles
    return {
        **published(row),
        "instructions": round(row.ms / 1e3 * row.clock_hz / cycles),
        "cycles_per_instruction": round(cycles, 3),
        "predicted_ms": round(likely * ms_per_cycle, 1),
        "error_percent": round(100 * (likely / cycles - 1), 1),
        "interval_ms": [round(core.low * ms_per_cycle, 1), round(core.high * ms_per_cycle, 1)],
        "held": core.low <= cycles <= core.high,
        "known_by": "MACs" if row.macs else "operators",
    }


def other_row(row: Row) -> dict[str, Any]:
    """Returns the row of the table for an engine with other kernels, in cycles per instruction of ours."""
    cycles = cycles_per_instruction(row)
    core = latency.CORES[row.core]
    return {
        **published(row),
        "cycles_per_instruction": round(cycles, 3),
        "of_likely": round(cycles / core.likely, 2),
        "place": "below" if cycles < core.low else "above" if cycles > core.high else "inside",
        "known_by": "other kernels",
    }


@cache
def own_instructions(network: str) -> float:
    """Returns the estimated instructions of one inference of a published network with the kernels of ours."""
    model = Model.parse(operator_models.model([case_of(operator) for operator in operators(network)]))
    total = instructions.total(model.operators, [prepare(model, operator) for operator in model.operators])
    if total is None:
        raise AssertionError(f"an operator of {network} was never counted")
    return total


def case_of(operator: Operator) -> Case:
    """Returns the operator as one that has constants; its output saturates as those of ReLU6 do."""
    shape, window = operator.inputs[0].shape[1:], (1, 1)
    if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        window = operator.inputs[1].shape[1:3]
    if operator.name == "AVERAGE_POOL_2D":
        window = shape[:2]
    filters = operator.outputs[0].shape[-1] if len(operator.inputs) > 1 else 0
    return Case(operator.name, shape, window, filters, operator.options.get("strideH", 1), zero=-128)


def own_row(row: Row) -> dict[str, Any]:
    """Returns the row of the table for our kernels beside an engine with other kernels."""
    core, number = latency.OWN_KERNELS[row.core], own_instructions(row.network)
    low, likely, high = (
        round(number * cycles / row.clock_hz * 1e3, 2) for cycles in (core.low, core.likely, core.high)
    )
    return {
        **published(row),
        "instructions": round(number),
        "ours_ms": likely,
        "interval_ms": [low, high],
        "cycles_per_instruction_to_be_level": round(row.ms / 1e3 * row.clock_hz / number, 2),
    }


def two_boards() -> list[dict[str, Any]]:
    """Returns the ratio of the cycles that an engine needs on two boards with the same core."""
    rows = []
    for row in OTHER_KERNELS:
        for other in OTHER_KERNELS:
            is_same = all(getattr(row, key) == getattr(other, key) for key in ("source", "engine", "network", "core"))
            if is_same and row.board < other.board:
                times = row.ms * row.clock_hz / (other.ms * other.clock_hz)
                rows.append({"core": row.core, "engine": row.engine, "network": row.network}
                            | {"board": row.board, "other_board": other.board, "times": round(times, 2)})  # fmt: skip
    return rows


def print_fitted(rows: list[dict[str, Any]]) -> None:
    """Prints the rows of FITTED and BY_MACS in Markdown, then those that the interval of their core does not hold."""
    heads = ("network", "core", "published, ms", "instructions", "cycles per instruction", "error of the prediction")
    cells = [heads]
    for row in rows:
        network = f"{'MLPerf Tiny' if row['source'].startswith('tiny v') else 'MCUNet'} {row['network']}"
        cells.append(
            (
                f"{network}, by its MACs only" if row["known_by"] == "MACs" else network,
                row["core"].replace("cortex-m", "Cortex-M"),
                f"{row['published_ms']:.1f}",
                f"{row['instructions']:,}",
                f"{row['cycles_per_instruction']:.2f}",
                f"{row['error_percent']:+.1f} %",
            )
        )
        if not row["held"]:
            print(f"{network}: the interval of {row['core']} does not hold it: {row['interval_ms']} ms")
    print(tables.markdown(cells, "<<>>>>"))


def print_cores(rows: list[dict[str, Any]]) -> None:
    """Prints the cycles per instruction of the fitted rows of each core, beside those that deploy/latency.py uses."""
    for name, core in latency.CORES.items():
        fitted = [row for row in rows if row["core"] == name and row["known_by"] == "operators"]
        ratios = [row["cycles_per_instruction"] for row in fitted]
        worst = max(abs(row["error_percent"]) for row in fitted)
        clock = (
            f" (at 400 MHz {geometric_mean(ratios) * H743_CLOCKS_HZ[0] / H743_CLOCKS_HZ[1]:.2f})" if "7" in name else ""
        )
        print(
            f"{name}: {len(fitted)} rows, {min(ratios):.2f} to {max(ratios):.2f} cycles an instruction, mean "
            f"{geometric_mean(ratios):.2f}{clock}; largest error {worst:.1f} %; export uses {core.likely:.2f} "
            f"({core.low:.2f} to {core.high:.2f})"
        )


def print_others(rows: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> None:
    """Prints the rows of other kernels, and the effect of the board for the same core."""
    print("\nother kernels: cycles for each of our instructions, also as a share of the likely ones")
    for row in rows:
        figures = (f"{row['published_ms']:.1f} ms", f"{row['cycles_per_instruction']:.2f}", f"{row['of_likely']:.2f}")
        cells = (row["source"], "", row["engine"], row["board"], row["network"], *figures, "", row["place"])
        print(tables.line(cells, ("<11", "<1", "<24", "<15", "<7", ">11", ">7", ">7", "<2", "")))
    outside = sum(row["place"] != "inside" for row in rows)
    print(f"{outside} of {len(rows)} lie outside the interval")
    print("\nthe same engine and network on two boards: cycles on the first, as a multiple of those on the second")
    for pair in pairs:
        names = [pair[key] for key in ("core", "engine", "network", "board", "other_board")]
        print(tables.line((*names, f"{pair['times']:.2f}"), ("<11", "<24", "<7", "<15", "<15", "")))


def print_own(rows: list[dict[str, Any]]) -> None:
    """Prints the rows of our kernels."""
    print("\nours, predicted, beside them: likely, interval, and the cycles an instruction at which both are level")
    for row in rows:
        low, high = row["interval_ms"]
        figures = (f"{row['published_ms']:.1f} ms", f"{row['ours_ms']:.1f} ms", f"{low:.1f} to {high:.1f} ms")
        names = (row["source"], "", row["engine"], row["board"], row["network"])
        level = f"{row['cycles_per_instruction_to_be_level']:.2f}"
        print(tables.line((*names, *figures, level), ("<11", "<1", "<24", "<15", "<7", ">11", ">11", ">20", ">7")))


def main() -> int:
    """Prints the tables; exit status 1 if an interval does not hold a row that it is fitted to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="no effect: all of it takes a second")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    options = parser.parse_args()
    rows = [fitted_row(row) for row in [*FITTED, *BY_MACS]]
    others = [other_row(row) for row in OTHER_KERNELS]
    pairs, own = two_boards(), [own_row(row) for row in OTHER_KERNELS if row.engine in COMPARED]
    print_fitted(rows)
    print_cores(rows)
    print_others(others, pairs)
    print_own(own)
    if options.json:
        print(json.dumps({"rows": [*rows, *others], "two_boards": pairs, "ours": own}))
    return 0 if all(row["held"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
