"""Published latencies beside those that deploy/latency.py predicts: cycles an instruction of each core, and the errors.

Of each row the instructions are estimated by operator, with TFLM's own kernels as they were measured. A row is
predicted from the other rows of its core alone (leave one out), so its error is one of prediction; `held` says whether
the interval that `tinytrain export` prints holds the row. Rows of which only multiply-accumulates (MACs) are known take
the instructions a MAC of the core's other networks. The rest are engines with other kernels, whose rows say where an
engine stands beside TFLM with CMSIS-NN: most lie outside the interval, which is not for them.

    python benchmarks/latency_model.py [--quick] [--json]
"""

import argparse
import json
import sys
from statistics import geometric_mean
from typing import Any

from published import BY_MACS, FITTED, H743_CLOCKS_HZ, OTHER_KERNELS, Row, operators

from tinytrain.deploy import latency
from tinytrain.deploy.tflm import instructions

KERNELS = "int8"  # TFLM's `*_INT8` registrations: the firmware's own operators did not run there


def instructions_of(network: str) -> float:
    """Returns the estimated instructions of one inference of a published network."""
    return sum(instructions.predict(operator, KERNELS) + instructions.CALL for operator in operators(network))


def instructions_per_mac(core: str) -> float:
    """Returns the instructions a MAC of the core's networks whose operators are known, their geometric mean."""
    networks = [row.network for row in FITTED if row.core == core]
    return geometric_mean(instructions_of(name) / latency.total_macs(operators(name)) for name in networks)


def cycles_per_instruction(row: Row) -> float:
    """Returns the cycles an instruction that a published row means."""
    number = row.macs * instructions_per_mac(row.core) if row.macs else instructions_of(row.network)
    return row.ms / 1e3 * row.clock_hz / number


def published(row: Row) -> dict[str, Any]:
    """Returns the keys that every row of the table begins with."""
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
    """Returns the row of the table for a row that the model is fitted to, or known by its MACs."""
    found = cycles_per_instruction(row)
    others = [cycles_per_instruction(other) for other in FITTED if other.core == row.core and other != row]
    core, likely = latency.CORES[row.core], geometric_mean(others)
    per_ms = row.ms / found
    return {
        **published(row),
        "instructions": round(row.ms / 1e3 * row.clock_hz / found),
        "cycles_per_instruction": round(found, 3),
        "predicted_ms": round(likely * per_ms, 1),
        "error_percent": round(100 * (likely / found - 1), 1),
        "interval_ms": [round(core.low * per_ms, 1), round(core.high * per_ms, 1)],
        "held": core.low <= found <= core.high,
        "known_by": "MACs" if row.macs else "operators",
    }


def other_row(row: Row) -> dict[str, Any]:
    """Returns the row of the table for an engine with other kernels, as cycles for each instruction of ours."""
    found = cycles_per_instruction(row)
    core = latency.CORES[row.core]
    return {
        **published(row),
        "cycles_per_instruction": round(found, 3),
        "of_likely": round(found / core.likely, 2),
        "place": "below" if found < core.low else "above" if found > core.high else "inside",
        "known_by": "other kernels",
    }


def two_boards() -> list[dict[str, Any]]:
    """Returns how many times the cycles an engine needs on one board that it needs on another with the same core."""
    rows = []
    for row in OTHER_KERNELS:
        for other in OTHER_KERNELS:
            same = all(getattr(row, key) == getattr(other, key) for key in ("source", "engine", "network", "core"))
            if same and row.board < other.board:
                times = row.ms * row.clock_hz / (other.ms * other.clock_hz)
                rows.append({"core": row.core, "engine": row.engine, "network": row.network}
                            | {"board": row.board, "other_board": other.board, "times": round(times, 2)})  # fmt: skip
    return rows


def print_fitted(rows: list[dict[str, Any]]) -> None:
    """Prints the rows that the model is fitted to, and those known by their MACs."""
    titles = f"{'published':>10}{'instructions':>14}{'cycles each':>12}{'predicted':>11}{'error':>8}  interval"
    print(f"{'network':22}{'core':11}{titles}")
    for row in rows:
        low, high = row["interval_ms"]
        held = "" if row["held"] else "  NOT HELD"
        print(
            f"{row['network']:22}{row['core']:11}{row['published_ms']:>7.1f} ms{row['instructions']:>14,}"
            f"{row['cycles_per_instruction']:>12.2f}{row['predicted_ms']:>8.1f} ms{row['error_percent']:>+6.1f} %"
            f"  {low:.1f} to {high:.1f} ms{held}{'  (by MACs)' if row['known_by'] == 'MACs' else ''}"
        )


def print_cores(rows: list[dict[str, Any]]) -> None:
    """Prints what the fitted rows of each core say, beside what deploy/latency.py uses."""
    for name, core in latency.CORES.items():
        found = [row for row in rows if row["core"] == name and row["known_by"] == "operators"]
        ratios = [row["cycles_per_instruction"] for row in found]
        worst = max(abs(row["error_percent"]) for row in found)
        clock = (
            f" (at 400 MHz {geometric_mean(ratios) * H743_CLOCKS_HZ[0] / H743_CLOCKS_HZ[1]:.2f})" if "7" in name else ""
        )
        print(
            f"{name}: {len(found)} rows, {min(ratios):.2f} to {max(ratios):.2f} cycles an instruction, mean "
            f"{geometric_mean(ratios):.2f}{clock}; largest error {worst:.1f} %; export uses {core.likely:.2f} "
            f"({core.low:.2f} to {core.high:.2f})"
        )


def print_others(rows: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> None:
    """Prints the rows of other kernels, and what another board of the same core changes."""
    print("\nother kernels: cycles for each of our instructions, also as a share of the likely ones")
    for row in rows:
        print(
            f"{row['source']:11} {row['engine']:24}{row['board']:15}{row['network']:7}{row['published_ms']:>8.1f} ms"
            f"{row['cycles_per_instruction']:>7.2f}{row['of_likely']:>7.2f}  {row['place']}"
        )
    outside = sum(row["place"] != "inside" for row in rows)
    print(f"{outside} of {len(rows)} lie outside the interval")
    print("\nthe same engine and network on two boards: cycles on the first, as a multiple of those on the second")
    for pair in pairs:
        boards = f"{pair['board']:15}{pair['other_board']:15}"
        print(f"{pair['core']:11}{pair['engine']:24}{pair['network']:7}{boards}{pair['times']:.2f}")


def main() -> int:
    """Prints the tables; exit status 1 if an interval does not hold a row that it is fitted to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the same: it takes a second")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    options = parser.parse_args()
    rows = [fitted_row(row) for row in [*FITTED, *BY_MACS]]
    others = [other_row(row) for row in OTHER_KERNELS]
    pairs = two_boards()
    print_fitted(rows)
    print_cores(rows)
    print_others(others, pairs)
    if options.json:
        print(json.dumps({"rows": [*rows, *others], "two_boards": pairs}))
    return 0 if all(row["held"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
