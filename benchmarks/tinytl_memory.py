"""Training memory of full training, the classifier alone, biases, and TinyTL, each in its own process.

MobileNetV2 0.35 with Adam. Four figures, from the most real to the most abstract:
- memory of the process (VmHWM) that a step of 8 images adds to that after steps of one image;
- memory that each image adds: the peak at 64 images minus that at 8, divided by 56. This leaves out everything that
  does not grow with the batch, such as the graph, the weights and the buffers of the kernels;
- memory that each image keeps for the gradients: the tensors of the forward graph that the backward graph reads;
- the count of the TinyTL paper for 8 images: the inputs of trained weights and of smooth activations in float32, one
  bit per value for ReLU, the trained parameters, and the two moments of Adam.
The allocator returns large blocks at once (MALLOC_MMAP_THRESHOLD_), so that the peak is that of the live tensors.

    python benchmarks/tinytl_memory.py [--quick] [--json]
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

from tinytrain import tables

CONTESTANTS = {"full": "all weights", "classifier": "classifier", "biases": "biases", "tinytl": "TinyTL"}
FIGURES = {
    "step_of_8_megabytes": "a step of 8 images adds",
    "image_megabytes": "an image adds to the peak",
    "kept_megabytes": "an image leaves for the gradients",
    "paper_megabytes": "the paper's count, 8 images",
}
BATCHES = (1, 8, 64)  # a warm-up, then the two that are measured
CLASSES = 10
MEGABYTE = 1e6
SHAPE_ONLY = ("Shape", "ShapeN", "Size", "ZerosLike", "OnesLike", "BroadcastGradientArgs")


def method_of(contestant, resolution):
    """Returns the compiled method of a contestant."""
    import keras

    from tinytrain.config import plugins
    from tinytrain.config.schema import Optim
    from tinytrain.methods.tinytl import TinyTL
    from tinytrain.nn.pretrained import CLASSIFIER
    from tinytrain.train import optimizers
    from tinytrain.train.method import Method

    model = plugins.load("models", "mobilenet_v2").build(classes=CLASSES, resolution=resolution, channels=3, width=0.35)
    method = Method(model) if contestant == "full" else TinyTL(model, residual=contestant == "tinytl")
    if contestant == "classifier":
        for layer in method.network.layers:
            layer.trainable = layer.name == CLASSIFIER
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    method.compile(optimizers.build(Optim(name="adam", weight_decay=0.0), 10), loss, jit_compile=False)
    method.optimizer.build(method.trainable_variables)
    return method


def peak_bytes(run):
    """Returns the peak of the resident memory of this process during `run()`, and the memory before."""
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    run()
    return status("VmHWM"), before


def status(field):
    return int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


def measure(contestant, resolution):
    """Returns the figures of one contestant."""
    import tensorflow as tf

    method = method_of(contestant, resolution)
    step = tf.function(
        lambda x, y: method.train_step((x, y)),
        input_signature=[tf.TensorSpec((None, resolution, resolution, 3)), tf.TensorSpec((None, CLASSES))],
    )

    def steps(images):
        def run():
            for _ in range(3):
                step(x, y)

        x, y = tf.random.uniform((images, resolution, resolution, 3), -1, 1), tf.one_hot([0] * images, CLASSES)
        return peak_bytes(run)

    _, (small_peak, before), (large_peak, _) = [steps(images) for images in BATCHES]
    _, small_batch, large_batch = BATCHES
    kept = kept_bytes(method.network, method.trainable_variables, 8)
    return {
        "step_of_8_megabytes": (small_peak - before) / MEGABYTE,
        "image_megabytes": (large_peak - small_peak) / (large_batch - small_batch) / MEGABYTE,
        "kept_megabytes": kept / 8 / MEGABYTE,
        "paper_megabytes": paper_bytes(method, 8, backward=contestant != "classifier") / MEGABYTE,
    }


def kept_bytes(network, variables, images):
    """Returns the bytes of the forward tensors with an image axis that the gradients of a step of `images` need.

    Unused gradients are in the graph, but they are not computed. A tensor of which only the shape is read is not kept.
    """
    import tensorflow as tf

    forward_operations = set()

    def trace(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(x, training=True) ** 2)
        forward_operations.update(op.name for op in x.graph.get_operations())
        return tape.gradient(loss, [variable.value for variable in variables])

    function = tf.function(trace).get_concrete_function(tf.TensorSpec((images, *network.input_shape[1:])))
    waiting, seen, kept = [tensor.op for tensor in function.outputs], set(), {}
    while waiting:
        op = waiting.pop()
        if op.name in seen or op.name in forward_operations:
            continue
        seen.add(op.name)
        for tensor in op.inputs:
            by_image = tensor.shape.rank and tensor.shape[0] == images
            if tensor.op.name in forward_operations and by_image and op.type not in SHAPE_ONLY:
                kept[tensor.name] = math.prod(tensor.shape) * tensor.dtype.size
        waiting += [tensor.op for tensor in op.inputs]
    return sum(kept.values())


def paper_bytes(method, images, backward):
    """Returns the bytes that the released memory_cost_profiler.py counts, with parameters and their moments."""
    from keras import layers

    bits = 0
    for layer in method.network.layers:
        values = math.prod(layer.input.shape[1:]) if not isinstance(layer.input, list) else 0
        names = {variable.name for variable in layer.trainable_variables}
        if names & {"kernel", "gamma"}:
            bits += 32 * values
        elif backward and isinstance(layer, layers.ReLU):
            bits += values
        elif backward and isinstance(layer, layers.Activation):
            bits += 32 * values
    trained = sum(math.prod(variable.shape) for variable in method.trainable_variables)
    return bits // 8 * images + 4 * 3 * trained


def in_a_process(contestant, resolution):
    """Returns the figures of one contestant, measured in a new process."""
    command = [sys.executable, __file__, "--contestant", contestant, "--resolution", str(resolution)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="96 pixels only, under two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--resolution", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(measure(options.contestant, options.resolution)))
        return
    rows = []
    cells = [("", "MB", *CONTESTANTS.values())]
    for resolution in (96,) if options.quick else (96, 160):
        measured = {name: in_a_process(name, resolution) for name in CONTESTANTS}
        for key, meaning in FIGURES.items():
            figures = {f"{name}_megabytes": round(measured[name][key], 3) for name in CONTESTANTS}
            rows.append({"case": key.removesuffix("_megabytes"), "resolution": resolution} | figures)
            cells.append((f"{resolution}x{resolution}", meaning, *(f"{figure:.3g}" for figure in figures.values())))
    print(tables.markdown(tables.without_repeats(cells), "<<>>>>"))
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
