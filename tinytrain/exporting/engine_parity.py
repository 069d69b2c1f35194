"""Whether the network as C computes what TFLM's interpreter does: compiled for this computer, on every image.

model_graph.c is read back from the firmware folder, as the compiler of the firmware will see it. Outputs and what each
step of the plan writes (an operator, or the end of a fused block) must equal the interpreter's.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinytrain import files, progress
from tinytrain.deploy import c_source
from tinytrain.deploy.compiled import host
from tinytrain.deploy.compiled.plan import Plan, output_of
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.exporting import kernel_parity

CHUNK_BYTES = 1 << 26  # of values between steps, which are looked at together


def different(sources: Path, plan: Plan, images: np.ndarray, outputs: Sequence[np.ndarray]) -> int:
    """Returns for how many images the compiled network differs from the interpreter, at a step or an output.

    Args:
        sources: the firmware folder.
        plan: of the network that it holds.
        images: (N, H, W, C) int8.
        outputs: (N, elements) int8 of each output, of the interpreter.

    Raises:
        UserError: no compiler for this computer is here.
        TinytrainError: it refuses the sources.
    """
    network = plan.network
    written = [output_of(step) for step in plan.steps]
    observed = ReferenceInterpreter(kernel_parity.with_outputs(network.model, written).content)
    chunk = max(CHUNK_BYTES // max(sum(network.sizes[buffer] for buffer in written), 1), 1)
    text = (sources / "model" / c_source.GRAPH_FILE).read_text("utf-8")
    count = 0
    with files.folder() as folder, progress.stage("parity of the compiled network", len(images), "image") as stage:
        engine = host.HostEngine(plan, folder, host.kernels(folder, sources / "kernels"), text)
        for first in range(0, len(images), chunk):
            some = images[first : first + chunk]
            expected = observed.run(some)
            for number, image in enumerate(some):
                steps, found = engine.run_once(image)
                pairs = [*zip(steps, (each[number] for each in expected), strict=True)]
                pairs += zip(found, (output[first + number] for output in outputs), strict=True)
                count += any((one.reshape(-1) != other.reshape(-1)).any() for one, other in pairs)
                stage.advance(1)
    return count
