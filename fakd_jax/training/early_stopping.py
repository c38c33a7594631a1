"""Early stopping on validation accuracy (paper, section IV-B: patience 5)."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """The best epoch so far, and whether to continue.

    Only a strictly greater accuracy is better: of equal epochs the first is the best.

    Attributes:
      patience: epochs without a better validation accuracy after which training stops.
      best_accuracy: in [0, 1]; -1 before the first epoch.
      best_epoch: 1-based; 0 before the first epoch.
      best_step: the number of optimizer steps at the end of that epoch.
      last_epoch: the last epoch that has ended.
    """

    patience: int
    best_accuracy: float = -1.0
    best_epoch: int = 0
    best_step: int = 0
    last_epoch: int = 0

    def is_better(self, accuracy: float) -> bool:
        """Whether `accuracy` is greater than that of every epoch so far."""
        return accuracy > self.best_accuracy

    def update(self, *, epoch: int, step: int, accuracy: float) -> EarlyStopping:
        """Returns the state after `epoch` ended at `step` with this validation accuracy."""
        if self.is_better(accuracy):
            return EarlyStopping(self.patience, accuracy, epoch, step, epoch)
        return dataclasses.replace(self, last_epoch=epoch)

    @property
    def should_stop(self) -> bool:
        """Whether `patience` epochs have passed since the best one."""
        return self.last_epoch - self.best_epoch >= self.patience

    def is_finished(self, num_epochs: int) -> bool:
        """Whether training ends here: early, or after `num_epochs`."""
        return self.should_stop or self.last_epoch >= num_epochs
