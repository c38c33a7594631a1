"""The state that is validated and exported: batch statistics re-estimated on training images."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

import numpy as np

from fakd_jax.data.pipeline import ImageSource
from fakd_jax.runtime.async_dispatch import steps_ahead, wait_for_room
from fakd_jax.training.batch_statistics import batch_norms
from fakd_jax.training.batches import TrainingRows
from fakd_jax.training.phase import Phase
from fakd_jax.training.seeds import derive_seed
from fakd_jax.training.sharding import Placement
from fakd_jax.training.state import TrainState
from fakd_jax.training.step import Steps


@dataclass(frozen=True)
class Recalibration:
    """Re-estimates a phase's batch statistics, see :mod:`fakd_jax.training.batch_statistics`.

    The images are augmented as in training, because the weights were fitted to the moments of
    augmented batches; mixup is left out, because only single images are classified later. Batches
    and augmentation depend on the run's seed alone: the same weights give the same statistics,
    whether or not the run was interrupted before.

    Attributes:
      rows: the training images of the phase.
    """

    phase: Phase
    dataset: ImageSource
    rows: TrainingRows
    placement: Placement
    steps: Steps

    def __post_init__(self) -> None:
        if self.phase.recalibrate_batch_norm:
            batch_norms(self.phase.learner.network)  # refused before training if there are none

    def run(self, state: TrainState) -> TrainState:
        """Returns the state with re-estimated statistics; the same state if that is off."""
        phase = self.phase
        if not phase.recalibrate_batch_norm:
            return state
        seed = derive_seed(phase.seed, phase.name, "batch statistics", "order")
        batches = self.rows.batches(phase, self.dataset, self.placement, seed=seed)
        key = self.placement.key(derive_seed(phase.seed, phase.name, "batch statistics"))
        estimates = deque([state.batch_stats], maxlen=steps_ahead() + 1)  # those in flight
        for number, batch in enumerate(islice(batches, phase.recalibrate_batch_norm)):
            shown = {k: batch[k] for k in batch if k in ("image", "lesion", "lesion_chance")}
            shown = self.placement.batch(shown)
            estimates.append(
                self.steps.re_estimate(state, estimates[-1], np.int32(number), shown, key)
            )
            wait_for_room(estimates)
        return state._replace(batch_stats=estimates[-1])

    def describe(self) -> dict[str, str]:
        """Returns in words where statistics and weights of the validated state come from."""
        phase = self.phase
        described = {"batch_statistics": "running averages of training"}
        if phase.recalibrate_batch_norm:
            described["batch_statistics"] = (
                f"re-estimated on {phase.recalibrate_batch_norm} batches of {phase.batch_size} "
                "augmented training images"
            )
        if phase.ema_decay:
            described["weights"] = f"exponential moving average, decay {phase.ema_decay:g}"
        return described
