"""SAM (Foret et al., 2021; arXiv 2010.01412): steps by the gradient at the worst point nearby.

    g = ∂L(w)/∂w,  ε = ρ·g / (‖g‖₂ + 1e-12),  the step at w uses ∂L(w + ε)/∂w

Both gradients are those of the same batch, and of the loss without weight decay, which the optimizer adds at w. The
norm is over all trained variables of a network. Networks that are trained together are each perturbed by their own
norm, all of them before the second pass (methods.md C.3). The reported loss is that of the second pass. Of workers that
share a batch, g is the mean over all of them.

With `sam.batch_norm` = "both" each pass updates the running statistics, as in the code of Prokofiev and Sovrasov
(2021). With "first" the update of the second pass is undone, since nobody keeps its weights, as in davda54/sam's
example. Dropout draws a new mask for the second pass, as in both.

The norm may be infinite, as in the first steps of mixed precision, when the loss scale is too large. Then all gradients
are NaN, so that the optimizer skips the step and lowers the scale.
"""

import keras
import tensorflow as tf

from tinytrain.config.schema import Config
from tinytrain.train.method import STATISTICS, Method, MethodWrapper, Objective, Step, TrainingContext
from tinytrain.workers import collectives

OFF = ["sam.rho=0"]


class SAM(MethodWrapper):
    """Sharpness-aware minimization around another method.

    Args:
        inner: the method whose gradients are taken twice.
        rho: ρ, the length of the perturbation; 0 leaves `inner` as it is.
        batch_norm: which passes update the running statistics, "both" or "first".
    """

    def __init__(self, inner: Method, rho: float, batch_norm: str = "both") -> None:
        super().__init__(inner)
        self.rho, self.batch_norm = rho, batch_norm

    def gradients(self, x: tf.Tensor, objective: Objective, number: tf.Tensor) -> Step:
        """Returns the step of `inner` at the perturbed weights, and restores the weights."""
        first = self.inner.gradients(x, objective, number)
        if not self.rho:
            return first
        uphill = collectives.here().mean(first.gradients)
        weights = self.trainable_variables
        kept = [v for v in self.non_trainable_variables if v.name in STATISTICS] if self.batch_norm == "first" else []
        saved = [tf.identity(variable.value) for variable in (*weights, *kept)]  # to be restored exactly
        perturbations, finite = self._perturbations(uphill)
        for variable, perturbation in zip(weights, perturbations, strict=True):
            variable.assign_add(perturbation)
        second = self.inner.gradients(x, objective, number)
        with tf.control_dependencies([second.loss, *second.gradients]):
            for variable, value in zip((*weights, *kept), saved, strict=True):
                variable.assign(value)
        skip = tf.where(finite, 0.0, float("nan"))
        return second._replace(gradients=[gradient + tf.cast(skip, gradient.dtype) for gradient in second.gradients])

    def _perturbations(self, gradients: list[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Returns ε for each variable, and whether every norm is finite; if not, all ε are 0.

        The loss scale of mixed precision cancels out in ε.
        """
        index_of = {id(variable): index for index, variable in enumerate(self.trainable_variables)}
        perturbations: list[tf.Tensor] = [tf.constant(0.0)] * len(gradients)
        finite = tf.constant(True)
        for student in self.students():
            indices = [index_of[id(variable)] for variable in student]
            norm = tf.linalg.global_norm([tf.cast(gradients[i], tf.float32) for i in indices])
            finite &= tf.math.is_finite(norm)
            for i in indices:
                perturbations[i] = tf.cast(self.rho / (norm + 1e-12), gradients[i].dtype) * gradients[i]
        return [tf.where(finite, value, tf.zeros_like(value)) for value in perturbations], finite


def build(inner: keras.Model | Method, config: Config, training: TrainingContext) -> SAM:
    """Returns SAM around `inner`, as configured by [sam]."""
    method = inner if isinstance(inner, Method) else Method(inner)
    return SAM(method, config.sam.rho, config.sam.batch_norm)
