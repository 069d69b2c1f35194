"""AM-Softmax (Wang et al., 2018; arXiv 1801.05599): a margin between the angles of features and classes.

The last layer gives cosθ_j, for the angle between the features and the direction of class j, both of length 1. With
the true class y, the loss is

    L = −log( e^{s(cosθ_y − m)} / (e^{s(cosθ_y − m)} + Σ_{j≠y} e^{s·cosθ_j}) ),

the cross-entropy of the logits s·(cosθ − m·y). So label smoothing, mixed labels and class weights can be used with it.
The margin is for training only: the finished model gives cosθ. A distillation around it compares the teacher's
probabilities with softmax(s·cosθ).

Differences from the released code of the adaptive pipeline (methods.md C.6):
- its margin is lost after the first batch, by mistake; am_softmax.margin = 0 reproduces that;
- it also replaces the activations before the head by PReLU, as am_softmax.prelu = true does here (`nn.prelu`).
"""

import math
from typing import Any

import keras
import tensorflow as tf

from tinytrain.config.schema import Config
from tinytrain.nn import cosine_head
from tinytrain.nn.fused_batch_norm import with_fused_batch_norm
from tinytrain.nn.prelu import with_prelu
from tinytrain.train import additive_margin_loss
from tinytrain.train.method import Method, Objective, Step, TrainingContext, require_functional


def defaults(model: str, classes: int) -> dict[str, Any]:
    """Returns the values that "auto" stands for in [am_softmax]."""
    return {"am_softmax.scale": default_scale(classes)}


def default_scale(classes: int) -> float:
    """Returns the released code's scale s of the cosines, max(√2·ln(classes − 1), 3) (methods.md C.6)."""
    return max(math.sqrt(2) * math.log(classes - 1), 3.0) if classes > 1 else 3.0


def build(inner: Any, config: Config, training: TrainingContext) -> "AMSoftmax":
    """Returns AM-Softmax around the plain model `inner`; raises UserError around another method."""
    options = config.am_softmax
    model = require_functional(inner, "am_softmax")
    return AMSoftmax(with_prelu(model) if options.prelu else model, options.margin, float(options.scale))


class AMSoftmax(Method):
    """Trains a copy of `model` with a cosine head. The network, a step and the finished model give cosines.

    Args:
        model: a functional model: images (B, H, W, C) -> logits (B, classes), whose last layer is Dense.
        margin: m.
        scale: s.
        **kwargs: of keras.Model.
    """

    def __init__(self, model: keras.Model, margin: float, scale: float, **kwargs: Any) -> None:
        super().__init__(cosine_head.with_cosine_head(model), **kwargs)
        self.margin, self.scale = margin, scale

    def trained(self, model: keras.Model) -> keras.Model:
        """Returns the form of `model` for training, weights included, whose directions may have any length."""
        return cosine_head.in_training(with_fused_batch_norm(model))

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns the step of plain training with the AM-Softmax loss."""
        return super().gradients(x, additive_margin_loss.am_softmax(objective, self.margin, self.scale), number)

    def finish(self) -> keras.Model:
        """Returns the plain model with the trained weights, its directions scaled to length 1."""
        plain = super().finish()
        cosine_head.normalize_directions(plain)
        return plain
