"""Validation: the means of the loss, its terms and the accuracies over the validation images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from fakd_jax.data.pipeline import ImageSource, eval_batches
from fakd_jax.distillation.objective import Objective, TeacherOutputs
from fakd_jax.runtime.async_dispatch import wait_for_room, wait_until_done
from fakd_jax.runtime.distributed import process_count
from fakd_jax.training.phase import Phase
from fakd_jax.training.progress import progress_bar
from fakd_jax.training.sharding import Placement
from fakd_jax.training.state import LABELLED, TrainState
from fakd_jax.training.step import Batch, Steps

# A frozen teacher has the same outputs at every epoch: each process keeps its rows on the host up
# to this size (layer3 of 1,142 images at 224 pixels takes 0.9 GB).
MAX_CACHE_BYTES = 2 << 30


@dataclass(frozen=True)
class Validation:
    """Evaluates a phase's state on the validation images, epoch after epoch.

    Attributes:
      ids: of the validation images.
      teacher_variables: the frozen teacher's, placed; None if there is no teacher.
    """

    phase: Phase
    dataset: ImageSource
    ids: Sequence[str]
    placement: Placement
    steps: Steps
    teacher_variables: Any
    _cached_outputs: list[Any] = field(default_factory=list)

    def run(self, state: TrainState) -> dict[str, float]:
        """Returns the means over all validation images, see :func:`epoch_means`."""
        sums: list[dict[str, jax.Array]] = []
        for number, batch in enumerate(self._batches()):
            wait_for_room(sums)
            outputs = self._teacher_outputs(number, batch)
            sums.append(self.steps.validate(state, outputs, batch))
        total = {
            name: sum(np.asarray(batch[name], np.float64) for batch in sums) for name in sums[0]
        }
        return epoch_means(total, self.phase.objective)

    def _batches(self) -> Iterator[Batch]:
        batches = eval_batches(
            self.dataset,
            self.ids,
            batch_size=self.phase.eval_batch_size,
            image_size=self.phase.preprocessing.image_size,
            rows=self.placement.rows(self.phase.eval_batch_size),
        )
        description = f"{self.phase.name} validation"
        with progress_bar(total=len(self.ids), description=description) as bar:
            for batch in batches:
                yield self.placement.batch({k: batch[k] for k in ("image", "label", "mask")})
                bar.update(int(batch["mask"].sum()))

    def _teacher_outputs(self, number: int, batch: Batch) -> TeacherOutputs | None:
        """The teacher's outputs on a batch, computed once if those of all batches fit."""
        if self.teacher_variables is None:
            return None
        if number < len(self._cached_outputs):
            return self.placement.batch(self._cached_outputs[number])
        outputs = self.steps.teach(self.teacher_variables, batch)
        num_batches = math.ceil(len(self.ids) / self.phase.eval_batch_size)
        num_bytes = num_batches * sum(leaf.nbytes for leaf in jax.tree.leaves(outputs))
        if num_bytes // process_count() <= MAX_CACHE_BYTES:
            wait_until_done(outputs)
            self._cached_outputs.append(self.placement.local_rows(outputs))
        return outputs


def epoch_means(sums: Mapping[str, Any], objective: Objective) -> dict[str, float]:
    """Turns sums over images, as of the steps, into means.

    Returns:
      "loss", the terms that have a weight, "accuracy" and, from sums by class,
      "balanced_accuracy": the mean recall of the classes that occur. Where not all images are
      labelled, "ce" and "accuracy" are means over those that are, 0 if none is.
    """
    count = float(sums["count"])
    means = {name: float(sums[name]) / count for name in ("loss", *objective.weights)}
    if "ce_weight" in sums:
        cross_entropy = float(sums["weighted_ce"]) / float(sums["ce_weight"])
        means["loss"] += objective.weights["ce"] * (cross_entropy - means["ce"])
        means["ce"] = cross_entropy
    correct, labelled = float(sums["correct"]), float(sums.get(LABELLED, count))
    if LABELLED in sums and "ce" in means:
        means["ce"] = float(sums["ce"]) / max(labelled, 1)
    means["accuracy"] = correct / max(labelled, 1)
    if "class_count" in sums:
        support = np.asarray(sums["class_count"])
        recall = np.asarray(sums["class_correct"])[support > 0] / support[support > 0]
        means["balanced_accuracy"] = float(np.mean(recall))
    return means
