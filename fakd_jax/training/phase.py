"""All that defines the training of one network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import optax

from fakd_jax.data.augment import Augmentation
from fakd_jax.data.pipeline import MaskSource
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.distillation.objective import Objective
from fakd_jax.training.state import Learner
from fakd_jax.training.step import Teacher


@dataclass(frozen=True)
class Phase:
    """One phase of an experiment: the training of the teacher or of the student.

    Attributes:
      name: "teacher" or "student".
      learner: the network, with its projection if features are aligned.
      teacher: frozen, or None.
      objective: the loss.
      optimizer: updates the learner's parameters.
      ema_decay: share that each step keeps of the averages of parameters and batch statistics,
        which are validated and saved as the best; 0 averages nothing.
      schedule: the learning rate as a function of the step, for the log.
      num_epochs: the maximum number of epochs.
      patience: see :class:`fakd_jax.training.early_stopping.EarlyStopping`.
      monitor: likewise.
      batch_size: of training; a multiple of the number of devices.
      eval_batch_size: of validation; likewise.
      preprocessing: of all images.
      augmentation: of the training images.
      recalibrate_batch_norm: training batches on which batch statistics are re-estimated before
        each validation; 0 keeps the running ones.
      masks: of the lesions in training images, if the objective or the augmentation needs them;
        validation is without, so that terms of the loss that need them are 0 there.
      seed: from which the order of the images, augmentation and dropout derive.
      checkpoint_minutes: between checkpoints within an epoch; 0 for one after every step.
      deterministic: whether a GPU must give the same bits each time.
      metadata: of the model checkpoints.
    """

    name: str
    learner: Learner
    teacher: Teacher | None
    objective: Objective
    optimizer: optax.GradientTransformation
    ema_decay: float
    schedule: Callable[[int], jax.Array]
    num_epochs: int
    patience: int
    monitor: str
    batch_size: int
    eval_batch_size: int
    preprocessing: Preprocessing
    augmentation: Augmentation
    recalibrate_batch_norm: int
    masks: MaskSource | None
    seed: int
    checkpoint_minutes: float
    deterministic: bool
    metadata: dict[str, Any]

    @property
    def refutes_labels(self) -> bool:
        """Whether augmentation takes lesions away, so that labels are no longer right."""
        return self.masks is not None and self.augmentation.lesion_infill > 0
