"""A .tflite parsed once: an edited model agrees with its own bytes, and the model it was made from is unchanged."""

import pytest
from int8_models import conv_model, converted_model

from tinytrain.tflite.int8_io import with_int8_io
from tinytrain.tflite.model import Model
from tinytrain.tflite.strip import strip


def described(model):
    """Everything that a model says of itself; the numbers of tensors and the options do not count in comparisons."""
    operators = [
        (node, node.options, [tensor and tensor.index for tensor in (*node.inputs, *node.outputs)])
        for node in model.operators
    ]
    return operators, model.inputs, model.outputs, model.subgraphs


@pytest.mark.parametrize("edit", [strip, lambda model: with_int8_io(model)[0]], ids=["strip", "with_int8_io"])
def test_an_edited_model_is_what_its_bytes_say_and_the_old_one_is_left_alone(edit):
    content = converted_model("uint8")
    model = Model.parse(content)
    edited = edit(model)
    assert edited.content != content
    assert described(edited) == described(Model.parse(edited.content))
    assert described(model) == described(Model.parse(content))
    assert model.content == content


def test_a_copy_of_the_tree_is_free_to_be_changed():
    model = Model.parse(conv_model())
    tree = model.copy_tree()
    graph = tree.subgraphs[0]
    graph.operators[0].builtinOptions.strideW = 2
    graph.tensors[3].shape, graph.tensors[3].name = [1, 4, 2, 5], b"narrow"
    packed = Model.pack(tree)
    assert packed.operators[0].options["strideW"] == 2
    assert (packed.outputs[0].name, packed.outputs[0].shape) == ("narrow", (1, 4, 2, 5))
    assert model.operators[0].options["strideW"] == 1
    assert (model.outputs[0].name, model.outputs[0].shape) == ("output", (1, 4, 4, 5))
