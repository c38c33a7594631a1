"""Which training images a phase learns from, under a budget of labels."""

from __future__ import annotations

import pytest

from fakd_jax.data.splits import make_split
from fakd_jax.distillation.objective import Objective
from fakd_jax.distillation.terms import TermWeights
from fakd_jax.errors import UserError
from fakd_jax.training.batches import learnt_part, training_rows, trains_unlabelled
from tests.data.listed import dataset_of

DATASET = dataset_of({"train": [20, 20], "test": [5, 5]})
WHOLE, QUARTER = (make_split(DATASET, seed=0, labelled_share=share) for share in (1.0, 0.25))


@pytest.mark.parametrize(
    ("objective", "unlabelled"),
    [
        (Objective(), False),
        (Objective(alpha=0.5), True),
        (Objective(beta=1.0), True),
        (Objective(terms=TermWeights(nckd=1.0)), True),
    ],
)
def test_a_phase_learns_from_unlabelled_images_if_it_has_a_teacher(objective, unlabelled):
    assert trains_unlabelled(objective) == unlabelled
    rows = training_rows(objective, QUARTER, batch_size=12)
    assert rows.epoch_steps == 2  # of 32 images, whatever is learnt from
    assert rows.ids == (QUARTER.train if unlabelled else QUARTER.labelled)
    assert rows.labelled == (QUARTER.labelled if unlabelled else None)
    assert rows.several_passes != unlabelled
    assert ("labelled" in rows.further_sums) == unlabelled
    assert learnt_part(objective, QUARTER).train == rows.ids


@pytest.mark.parametrize("objective", [Objective(), Objective(alpha=0.5)])
def test_with_all_labels_a_phase_learns_from_all_images_as_ever(objective):
    rows = training_rows(objective, WHOLE, batch_size=12)
    assert (rows.ids, rows.labelled, rows.several_passes) == (WHOLE.train, None, False)
    assert rows.further_sums == ()
    assert training_rows(objective, WHOLE, batch_size=12, refuted=True).further_sums == (
        "labelled",
    )
    with pytest.raises(UserError, match="do not fill one batch"):
        training_rows(objective, QUARTER, batch_size=33)
