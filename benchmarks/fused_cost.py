"""Instructions that fused rows cost on an emulated core, by group, beside the estimates of deploy/compiled/overhead.py.

    python benchmarks/fused_cost.py [--board mps2_an500] [--only PART-OF-A-NAME] [--fit]

Each network of memory.py, and those of MORE, runs plain and with the least memory. A row is a group of fused operators:
its instructions, those of the same operators by themselves, and the difference as estimated. `--fit` prints the
coefficients of overhead.py that fit all differences best.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import memory
import numpy as np
from scipy.optimize import nnls

from tinytrain import tables
from tinytrain.benching.serial import emulator, ports
from tinytrain.deploy import boards, make
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.compiled import overhead
from tinytrain.deploy.compiled.engine import PLAIN
from tinytrain.deploy.compiled.fused import Group, stages_of
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.compiled.plan import Plan, plan
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model

MORE = {
    "mobilenet_v3_small 0.35 at 96": ("mobilenet_v3_small", 0.35, 96, 10),
    "mobilenet_v3_large 0.35 at 128": ("mobilenet_v3_large", 0.35, 128, 10),
    "mcunet at 96": ("mcunet", 1.0, 96, 10),
    "resnet50 0.125 at 96": ("resnet50", 0.125, 96, 10),
    "efficientnet_b0 0.35 at 96": ("efficientnet_b0", 0.35, 96, 10),
}
COLUMNS = ("<32", ">6", ">6", ">6", ">12", ">12", ">10", ">10")


def counted(model: Model, planned: Plan, board: boards.Board) -> list[float]:
    """Returns the instructions of each step of a plan, the least of three inferences."""
    image = np.random.default_rng(0).integers(-128, 128, model.inputs[0].shape).astype(np.int8)
    golden = [output[0] for output in ReferenceInterpreter(model.content).run(image)]
    contents = Contents(model, "fused", 1, [], image, golden, plan=planned)
    with tempfile.TemporaryDirectory() as folder:
        sources = bare_metal.write(Path(folder), board, contents)
        program = make.build(sources, board, None, Path(folder) / "build")
        with emulator.running(program, board) as device:
            link, hello = ports.connect(device)
            runs = [link.profile(image.tobytes(), len(planned.steps)) for _ in range(3)]
    return [hello.in_unit(min(ticks)) for ticks in zip(*runs, strict=True)]


def groups(model: Model, board: boards.Board) -> Iterator[tuple[Group, list[float], float, float, int]]:
    """Yields each group of the least memory: itself, its parts, instructions, those of its operators, the estimate."""
    net = network(model)
    alone, fused = plan(net, PLAIN), plan(net)
    by_node, by_step, place = counted(model, alone, board), counted(model, fused, board), 0
    for step, count in zip(fused.steps, by_step, strict=True):
        end = place + (len(step.nodes) if isinstance(step, Group) else 1)
        if isinstance(step, Group):
            stages = stages_of(net, place, end, input_by_rows=net.source in step.rings) or []
            yield (
                step,
                overhead.parts(step, stages),
                count,
                sum(by_node[place:end]),
                overhead.instructions(step, stages),
            )
        place = end


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", default="mps2_an500", help="an emulated board")
    parser.add_argument("--only", default="", help="a part of the names of networks")
    parser.add_argument("--fit", action="store_true", help="print coefficients that fit")
    options = parser.parse_args()
    board, rows = boards.load(options.board), []
    memory.NETWORKS.update(MORE)
    heads = ("network", "step", "nodes", "rows", "fused", "alone", "more", "estimated")
    print(tables.line(heads, COLUMNS), flush=True)
    for name in [name for name in memory.NETWORKS if options.only in name]:
        for number, (group, parts, count, alone, estimate) in enumerate(groups(memory.built(name), board)):
            rows.append((parts, count - alone))
            figures = (count, alone, count - alone, estimate)
            cells = (name, number, len(group.nodes), group.band, *(f"{figure:,.0f}" for figure in figures))
            print(tables.line(tuple(map(str, cells)), COLUMNS), flush=True)
    if options.fit:
        matrix, more = np.array([parts for parts, _ in rows]), np.array([each for _, each in rows])
        weights = 1 / np.sqrt(np.maximum(np.abs(more), 1000))  # large groups count more, but do not decide alone
        print(dict(zip(overhead.PARTS, np.round(nnls(matrix * weights[:, None], more * weights)[0], 2), strict=True)))


if __name__ == "__main__":
    main()
