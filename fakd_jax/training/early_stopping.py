"""Selection of the best epoch by a validation metric, and early stopping by it.

The paper's is accuracy, with a patience of 5 (section IV-B).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

MONITORS = ("accuracy", "balanced_accuracy", "loss")


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """The best epoch so far, and whether to continue.

    Only a strictly better epoch replaces the best: of equal epochs the first is the best.

    Attributes:
      patience: epochs without a better one after which training stops.
      monitor: the validation metric that is compared, one of :data:`MONITORS`.
      best_value: its value in the best epoch; 0 before the first epoch.
      best_accuracy: the accuracy in that epoch, in [0, 1]; -1 before the first epoch.
      best_epoch: 1-based; 0 before the first epoch.
      best_step: the number of optimizer steps at the end of that epoch.
      last_epoch: the last epoch that has ended.
    """

    patience: int
    monitor: str = "accuracy"
    best_value: float = 0.0
    best_accuracy: float = -1.0
    best_epoch: int = 0
    best_step: int = 0
    last_epoch: int = 0

    @classmethod
    def restored(cls, position: Mapping[str, Any]) -> EarlyStopping:
        """Inverts `dataclasses.asdict`; earlier versions compared accuracy alone."""
        return cls(**{"best_value": position.get("best_accuracy", 0.0), **position})

    def is_better(self, metrics: Mapping[str, float]) -> bool:
        """Whether an epoch with these validation metrics is better than every one so far."""
        value = metrics[self.monitor]
        if self.best_epoch == 0:
            return True
        return value < self.best_value if self.monitor == "loss" else value > self.best_value

    def update(self, *, epoch: int, step: int, metrics: Mapping[str, float]) -> EarlyStopping:
        """Returns the state after `epoch` ended at `step` with these validation metrics."""
        if not self.is_better(metrics):
            return dataclasses.replace(self, last_epoch=epoch)
        return dataclasses.replace(
            self,
            best_value=metrics[self.monitor],
            best_accuracy=metrics["accuracy"],
            best_epoch=epoch,
            best_step=step,
            last_epoch=epoch,
        )

    @property
    def should_stop(self) -> bool:
        """Whether `patience` epochs have passed since the best one."""
        return self.last_epoch - self.best_epoch >= self.patience

    def is_finished(self, num_epochs: int) -> bool:
        """Whether training ends here: early, or after `num_epochs`."""
        return self.should_stop or self.last_epoch >= num_epochs
