"""Which training images a phase learns from, and whose labels: all, or a share of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fakd_jax.data.pipeline import Batch, ImageSource, steps_per_epoch, train_iterator
from fakd_jax.data.splits import Split
from fakd_jax.distillation.objective import Objective
from fakd_jax.training.phase import Phase
from fakd_jax.training.sharding import Placement
from fakd_jax.training.state import LABELLED

if TYPE_CHECKING:
    import grain


@dataclass(frozen=True)
class TrainingRows:
    """The images of a phase's training batches.

    Attributes:
      ids: of the images.
      epoch_steps: batches in an epoch: those that all training images fill. A phase that learns
        from a part of them takes as many steps, in several passes.
      labelled: the ids whose labels may be used; None for all `ids`.
      refuted: whether augmentation refutes the labels of some.
      several_passes: whether an epoch is several passes over the images, each of which goes on in
        the batch in which the one before ended.
    """

    ids: tuple[str, ...]
    epoch_steps: int
    labelled: tuple[str, ...] | None
    refuted: bool
    several_passes: bool

    @property
    def further_sums(self) -> tuple[str, ...]:
        """What a training step sums over an epoch beside what it always does."""
        return () if self.labelled is None and not self.refuted else (LABELLED,)

    def batches(
        self, phase: Phase, dataset: ImageSource, placement: Placement, *, seed: int
    ) -> grain.DatasetIterator[Batch]:
        """This process's rows of endless batches in random order, see :func:`train_iterator`."""
        return train_iterator(
            dataset,
            self.ids,
            batch_size=phase.batch_size,
            image_size=phase.preprocessing.image_size,
            seed=seed,
            masks=phase.masks,
            rows=placement.rows(phase.batch_size),
            labelled=self.labelled,
            carry_remainder=self.several_passes,
        )


def trains_unlabelled(objective: Objective) -> bool:
    """Whether an objective learns from images without labels too: from a teacher's outputs."""
    return objective.needs_teacher


def learnt_part(objective: Objective, split: Split) -> Split:
    """The split with those of its training images that a phase with this objective learns from."""
    return split if trains_unlabelled(objective) else split.only_labelled()


def training_rows(
    objective: Objective, split: Split, batch_size: int, *, refuted: bool = False
) -> TrainingRows:
    """The training images of a phase; `refuted` as of :class:`TrainingRows`.

    Raises:
      UserError: all training images together do not fill one batch.
    """
    part = learnt_part(objective, split)
    return TrainingRows(
        ids=part.train,
        epoch_steps=steps_per_epoch(len(split.train), batch_size),
        labelled=part.labelled,
        refuted=refuted,
        several_passes=len(part.train) < len(split.train),
    )
