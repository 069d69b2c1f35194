"""Whether a model with kernels of ours, read back from the C array, computes what the model that it was made from does.

TFLM's interpreter runs the latter and gives the values between its operators. What each block of constants makes of
the same inputs (deploy/kernels/block_outputs.py) must equal them: then all outputs do. Operators that TFLM runs must
have arrived as they were.
"""

from collections.abc import Sequence

import numpy as np

from tinytrain import progress
from tinytrain.deploy.kernels import block_outputs
from tinytrain.deploy.kernels.derive import PREFIX
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import TinytrainError
from tinytrain.tflite.model import Model, Operator, Tensor

CHUNK_BYTES = 1 << 26  # of values between operators, which are looked at together


def different(model: Model, held: Model, images: np.ndarray, outputs: Sequence[np.ndarray]) -> int:
    """Returns for how many images `held` computes anything else than `model`, or `model` other than `outputs`.

    Args:
        model: the stripped model.
        held: what `derive.derive` made of it, read back.
        images: (N, H, W, C) int8.
        outputs: (N, elements) int8 of each output.

    Raises:
        TinytrainError: the operators are not those of the model.
    """
    _check_operators(model, held)
    tensors = _activations(model)
    chunk = max(CHUNK_BYTES // max(sum(_size(tensor) for tensor in tensors.values()), 1), 1)
    observed = ReferenceInterpreter(with_outputs(model, list(tensors)).content)
    count = 0
    with progress.stage("parity of the C array", len(images), "image") as stage:
        for first in range(0, len(images), chunk):
            some = images[first : first + chunk]
            values = dict(zip(tensors, observed.run(some), strict=True))
            values[model.inputs[0].index] = some
            wrong = np.zeros(len(some), bool)
            for output, expected in zip(model.outputs, outputs, strict=True):
                wrong |= _unequal(values[output.index], expected[first : first + chunk])
            for before, after in zip(model.operators, held.operators, strict=True):
                if after.name.startswith(PREFIX):
                    read = [
                        _read(model, tensor, values, len(some)) for tensor in before.inputs[: len(after.inputs) - 1]
                    ]
                    wrong |= _unequal(values[before.outputs[0].index], _computed(held, after, read))
            count += int(wrong.sum())
            stage.advance(len(some))
    return count


def _read(model: Model, tensor: Tensor | None, values: dict[int, np.ndarray], count: int) -> np.ndarray:
    """Returns what a tensor holds for each of `count` images, (count, elements) int8."""
    if tensor is None:
        raise TinytrainError("an operator in the C array lacks an input")
    if tensor.constant:
        return np.repeat(model.constant(tensor).reshape(1, -1), count, axis=0)
    return values[tensor.index].reshape(count, -1)


def _computed(held: Model, operator: Operator, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Returns what an operator of ours makes of these inputs, (N, elements) int8."""
    block = operator.inputs[-1]
    if block is None:
        raise TinytrainError(f"{operator.name} in the C array has no block of constants")
    return block_outputs.outputs(operator.name.removeprefix(PREFIX), held.constant(block).tobytes(), inputs)


def _unequal(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns (N,) for which images two arrays (N, …) differ."""
    return (first.reshape(len(first), -1) != second.reshape(len(second), -1)).any(axis=1)


def _activations(model: Model) -> dict[int, Tensor]:
    """Returns the tensors that operators write, by their numbers."""
    return {output.index: output for operator in model.operators for output in operator.outputs}


def _size(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape))


def with_outputs(model: Model, numbers: list[int]) -> Model:
    """Returns the model with these tensors as its outputs."""
    tree = model.copy_tree()
    tree.subgraphs[0].outputs = numbers
    return Model.pack(tree)


def _check_operators(model: Model, held: Model) -> None:
    """Raises TinytrainError unless `held` has the operators of `model`, connected alike, and TFLM's as they were."""
    same = len(model.operators) == len(held.operators)
    numbers = dict(zip((t.index for t in held.inputs), (t.index for t in model.inputs), strict=True))
    for before, after in zip(model.operators, held.operators, strict=False):
        ours = after.name.startswith(PREFIX)
        inputs = zip(before.inputs, after.inputs[:-1] if ours else after.inputs, strict=False)
        for old, new in inputs:
            if old is None or new is None or new.constant:
                same &= (old is None) == (new is None) and (old is None or _equal_constants(model, old, held, new))
            else:
                same &= numbers.get(new.index) == old.index
        if not ours:
            same &= before == after and str(before.options) == str(after.options)
        numbers |= {new.index: old.index for old, new in zip(before.outputs, after.outputs, strict=True)}
    same &= [numbers.get(output.index) for output in held.outputs] == [output.index for output in model.outputs]
    if not same:
        raise TinytrainError("the operators in the C array are not those of the model")


def _equal_constants(model: Model, old: Tensor, held: Model, new: Tensor | None) -> bool:
    """Returns whether two constants are equal; those of other types than int8 and int32 by what is known of them."""
    if new is None or old != new:
        return False
    if old.dtype not in ("int8", "int32"):
        return True
    return bool(np.array_equal(model.constant(old), held.constant(new)))
