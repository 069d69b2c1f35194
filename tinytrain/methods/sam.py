"""SAM (Foret et al., 2021; arXiv 2010.01412): a step by the gradient at the worst point nearby.

    g = ∂L(w)/∂w,  ε = ρ·g / (‖g‖₂ + 1e-12),  the step is taken with ∂L(w + ε)/∂w at w

Both gradients are of the same batch and of the loss without weight decay, which the optimizer adds at w. The norm is
that of all trained variables of one network; of networks that learn side by side each is moved by its own norm, all
of them before the second pass (methods.md C.3). The loss that is shown is that of the second pass.

`sam.batch_norm` = "both": each pass updates the running statistics, as in the code of Prokofiev and Sovrasov (2021);
"first": those of the second pass, of weights that nobody keeps, are thrown away, as in davda54/sam's example.
Dropout draws another mask in the second pass, as in both.

Where the norm is not finite, which a loss scale of mixed precision makes it in the first steps, there is no point
uphill: the gradients are NaN then, at which the optimizer skips the step and lowers the scale.
"""

import keras
import tensorflow as tf

from tinytrain.config.schema import Config
from tinytrain.train.method import STATISTICS, Method, MethodWrapper, Objective, Step, TrainingContext

OFF = ["sam.rho=0"]


class SAM(MethodWrapper):
    """Sharpness-aware minimization around `inner`; `rho` is the length of the step uphill, 0 is what `inner` does.

    batch_norm: "both" or "first", the passes that update the running statistics.
    """

    def __init__(self, inner: Method, rho: float, batch_norm: str = "both") -> None:
        super().__init__(inner)
        self.rho, self.batch_norm = rho, batch_norm

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns what `inner` finds uphill; the weights are back where they were."""
        first = self.inner.gradients(x, objective, number)
        if not self.rho:
            return first
        moved = self.trainable_variables
        kept = [v for v in self.non_trainable_variables if v.name in STATISTICS] if self.batch_norm == "first" else []
        before = [tf.identity(variable.value) for variable in (*moved, *kept)]  # to be restored exactly
        steps, finite = self._uphill(first.gradients)
        for variable, step in zip(moved, steps, strict=True):
            variable.assign_add(step)
        second = self.inner.gradients(x, objective, number)
        with tf.control_dependencies([second.loss, *second.gradients]):
            for variable, value in zip((*moved, *kept), before, strict=True):
                variable.assign(value)
        skipped = tf.where(finite, 0.0, float("nan"))
        return second._replace(gradients=[gradient + tf.cast(skipped, gradient.dtype) for gradient in second.gradients])

    def _uphill(self, gradients: list[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Returns ε for each variable, and whether every norm is finite: all ε are zeros unless it is.

        That gradients are scaled for mixed precision makes no difference to ε.
        """
        place = {id(variable): number for number, variable in enumerate(self.trainable_variables)}
        steps: list[tf.Tensor] = [tf.constant(0.0)] * len(gradients)
        finite = tf.constant(True)
        for student in self.students():
            own = [place[id(variable)] for variable in student]
            norm = tf.linalg.global_norm([tf.cast(gradients[i], tf.float32) for i in own])
            finite &= tf.math.is_finite(norm)
            for i in own:
                steps[i] = tf.cast(self.rho / (norm + 1e-12), gradients[i].dtype) * gradients[i]
        return [tf.where(finite, step, tf.zeros_like(step)) for step in steps], finite


def build(inner: keras.Model | Method, config: Config, training: TrainingContext) -> SAM:
    """Returns SAM around `inner` as [sam] of `config` says."""
    method = inner if isinstance(inner, Method) else Method(inner)
    return SAM(method, config.sam.rho, config.sam.batch_norm)
