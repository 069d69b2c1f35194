"""Which models TFLM can run: the reason that a user sees first, and that parsing alone does not refuse them."""

import pytest
from int8_models import conv_model

from tinytrain.deploy.tflm import supported
from tinytrain.errors import UserError
from tinytrain.tflite.model import Model


def in_two_subgraphs(content):
    tree = Model.parse(content).copy_tree()
    tree.subgraphs = tree.subgraphs * 2
    return Model.pack(tree).content


@pytest.mark.parametrize(
    ("custom", "sentence"),
    [("Erf", r"'a\.tflite' uses Erf, which"), ("SignalWindow", r"'a\.tflite' has 2 subgraphs")],
)
def test_an_operator_that_tflm_lacks_is_the_reason_before_the_subgraphs(custom, sentence):
    content = in_two_subgraphs(conv_model(custom=custom))
    assert Model.parse(content).subgraphs == 2
    with pytest.raises(UserError, match=sentence):
        supported.parse(content, "'a.tflite'")
