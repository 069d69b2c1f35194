"""AM-Softmax (Wang et al., 2018; arXiv 1801.05599): a margin between the angles of features and classes.

The last layer gives cosθ_j, between the features and the direction of class j, both of length 1. With the true class y

    L = −log( e^{s(cosθ_y − m)} / (e^{s(cosθ_y − m)} + Σ_{j≠y} e^{s·cosθ_j}) )

which is the cross-entropy of the logits s·(cosθ − m·y), so label smoothing, mixed labels and class weights go with it.
The finished model gives cosθ: the margin is for training only. A distillation around it compares the teacher's answers
with s·cosθ.

Where we differ from the released code of the adaptive pipeline (methods.md C.6):
- its margin vanished after the first batch, by a mistake; am_softmax.margin = 0 is what it did then;
- it also put PReLU in place of the activation before the head; our networks keep theirs, which int8 kernels have.
"""

import math
from typing import Any

import keras
import tensorflow as tf

from tinytrain.config.schema import Config
from tinytrain.nn import cosine_head
from tinytrain.nn.fused_batch_norm import with_fused_batch_norm
from tinytrain.train import additive_margin
from tinytrain.train.method import Method, Objective, Step, TrainingContext, require_functional


def usual(model: str, classes: int) -> dict[str, Any]:
    """Returns what "auto" means in the keys of [am_softmax]."""
    return {"am_softmax.scale": usual_scale(classes)}


def usual_scale(classes: int) -> float:
    """Returns max(√2·ln(classes − 1), 3), the released code's scale of the cosines (methods.md C.6)."""
    return max(math.sqrt(2) * math.log(classes - 1), 3.0) if classes > 1 else 3.0


def build(inner: Any, config: Config, training: TrainingContext) -> "AMSoftmax":
    """Returns AM-Softmax around the plain model `inner`; raises UserError around another method."""
    options = config.am_softmax
    return AMSoftmax(require_functional(inner, "am_softmax"), options.margin, float(options.scale))


class AMSoftmax(Method):
    """Training of a copy of `model` with a cosine head: margin `margin`, scale `scale`.

    `network` and the finished model give cosines (B, classes), and so do the logits of a step.
    """

    def __init__(self, model: keras.Model, margin: float, scale: float, **kwargs: Any) -> None:
        super().__init__(cosine_head.with_cosine_head(model), **kwargs)
        self.margin, self.scale = margin, scale

    def trained(self, model: keras.Model) -> keras.Model:
        """Returns a copy of `model`, weights included, whose directions may have any length."""
        return cosine_head.in_training(with_fused_batch_norm(model))

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns what plain training finds for the loss of the cosines."""
        return super().gradients(x, additive_margin.am_softmax(objective, self.margin, self.scale), number)

    def finish(self) -> keras.Model:
        """Returns the plain model with the trained weights, the directions with length 1."""
        plain = super().finish()
        cosine_head.normalize_directions(plain)
        return plain
