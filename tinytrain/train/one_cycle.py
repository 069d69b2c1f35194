"""1cycle (Smith and Topin, 2018; arXiv 1708.07120): the rate rises to its peak and falls far below where it began.

As torch.optim.lr_scheduler.OneCycleLR computes it with its cosines. Of T steps, t = 0 … T − 1, the rate goes

    from η/d to η          up to t₁ = share·T − 1,    then
    from η to η/(d·f)      up to T − 1,

each along half a cosine, a + (b − a)·½(1 − cos(π·progress)). The momentum mirrors it: from high to low, then back.
"""

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tinytrain")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """The rate of 1cycle, and the momentum beside it.

    Args:
        peak: η.
        total_steps: T, at least 1.
        rise: share of the steps in which the rate rises, above 0 and below 1.
        start: d, by which the first rate is below the peak.
        end: f, by which the last rate is below the first.
        momentum: (low, high), that at the peak and that at both ends.
    """

    def __init__(
        self,
        peak: float,
        total_steps: int,
        rise: float = 0.3,
        start: float = 25.0,
        end: float = 1e4,
        momentum: tuple[float, float] = (0.85, 0.95),
    ) -> None:
        self.peak, self.total_steps, self.rise, self.start, self.end = peak, total_steps, rise, start, end
        self.momenta = (momentum[0], momentum[1])

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of step `step`, counted from 0."""
        first = self.peak / self.start
        return self._along(step, first, self.peak, first / self.end)

    def momentum(self, step: Any) -> Any:
        """Returns the momentum of step `step`, β₁ of Adam."""
        low, high = self.momenta
        return self._along(step, high, low, high)

    def _along(self, step: Any, begin: float, middle: float, finish: float) -> Any:
        step = ops.cast(step, "float32")
        top = max(self.rise * self.total_steps - 1, 0.0)
        left = max(self.total_steps - 1 - top, 1e-6)  # of a single step
        rising = _half_cosine(step / max(top, 1e-6), begin, middle)
        return ops.where(step <= top, rising, _half_cosine((step - top) / left, middle, finish))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the schedule."""
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "rise": self.rise,
            "start": self.start,
            "end": self.end,
            "momentum": list(self.momenta),
        }


def momentum_of(optimizer: keras.optimizers.Optimizer, usual: float, dtype: str) -> Any:
    """Returns the momentum of the step that `optimizer` takes: that of 1cycle if it has this rate, else `usual`."""
    rate = optimizer._learning_rate
    return ops.cast(rate.momentum(optimizer.iterations), dtype) if isinstance(rate, OneCycle) else usual


def _half_cosine(progress: Any, begin: float, finish: float) -> Any:
    return begin + (finish - begin) * 0.5 * (1.0 - ops.cos(math.pi * ops.clip(progress, 0.0, 1.0)))
