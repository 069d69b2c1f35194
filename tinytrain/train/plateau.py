"""ReduceLROnPlateauV2: the learning rate falls when the training loss stands still, and then the training ends.

Prokofiev and Sovrasov (2021; arXiv 2108.07049), as their released code does it (methods.md C.1). With the rate η found
for the training, W epochs of warm-up and epochs e counted from 0:
- e ≤ W: η·(f + (1 − f)·e/W), f = optim.warmup_from; nothing else happens;
- after each later epoch: a mean training loss (of SAM the second pass, mutual parts included) below the best one by
  `threshold` of it is better; after more than `patience` epochs that are not, the rate is multiplied by `gamma`, but is
  never below η / `floor`, and the count restarts;
- if it has not fallen after `forced` of all epochs, it falls once all the same;
- an epoch at the lowest rate that does not raise the best class-balanced val score, rounded to 4 digits, counts; the
  training ends after `stop_patience` of them in a row. The weights of the best epoch are kept.
PyTorch's scheduler is like this but for floor, forcing and end; Keras' reduces an epoch earlier and by absolute values
(methods.md F.11).

The state is a function of the losses and accuracies so far: a resumed run replays its history.
"""

from typing import Any

import keras

from tinytrain.config import schema
from tinytrain.config.schema import Optim


class Plateau:
    """The learning rate of the next epoch (`lr`) and whether there should be one (not `stopped`)."""

    def __init__(self, optim: Optim, options: schema.Plateau) -> None:
        self.first, self.options = optim.lr, options
        self.warmup, self.warmup_from = int(optim.warmup_epochs), optim.warmup_from
        self.forced_at = int(options.forced * optim.epochs) - self.warmup
        self.epoch, self.rate, self.stopped = 0, optim.lr, False
        self.best_loss, self.bad = float("inf"), 0
        self.best_score, self.waited = -1.0, 0

    @property
    def lr(self) -> float:
        """The learning rate of the epoch that comes next."""
        if self.epoch <= self.warmup and self.warmup:
            return self.first * (self.warmup_from + (1 - self.warmup_from) * self.epoch / self.warmup)
        return self.rate

    @property
    def lowest(self) -> float:
        """The learning rate below which it never falls."""
        return self.first / self.options.floor

    def after_epoch(self, loss: float, score: float) -> None:
        """Takes in the mean training loss and the class-balanced val score, 0..1, of an epoch."""
        self._stop(score, self.lr)
        if self.epoch > self.warmup:
            self._reduce(loss)
        self.epoch += 1

    def _stop(self, score: float, lr: float) -> None:
        if round(score, 4) > self.best_score:
            self.best_score, self.waited = round(score, 4), 0
        elif round(lr, 8) <= round(self.lowest, 8):
            self.waited += 1
            self.stopped = self.waited >= self.options.stop_patience

    def _reduce(self, loss: float) -> None:
        if loss < self.best_loss * (1 - self.options.threshold):
            self.best_loss, self.bad = loss, 0
        else:
            self.bad += 1
        forced = self.epoch - self.warmup >= self.forced_at and self.rate == self.first
        if self.bad > self.options.patience or forced:
            self.rate, self.bad = max(self.options.gamma * self.rate, self.lowest), 0


class PlateauSchedule(keras.callbacks.Callback):
    """Sets the learning rate before each epoch and ends the training, as `plateau` says.

    score: the column of history.csv that `plateau` watches beside the loss.
    """

    def __init__(self, plateau: Plateau, score: str) -> None:
        super().__init__()
        self.plateau, self.score = plateau, score

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sets the rate of this epoch."""
        self.model.optimizer.learning_rate = self.plateau.lr

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at what the epoch brought."""
        logs = logs or {}
        self.plateau.after_epoch(logs["loss"], logs[self.score])
        self.model.stop_training = self.plateau.stopped
