import numpy as np
import pytest

from fakd_jax.distillation.objective import Objective
from fakd_jax.training.validation import epoch_means

# Two batches of one and three images: cross-entropies 1 and 3, KD 2 and 4, classes 0 and 0, 1, 1.
SUMS = {"loss": 0.0, "ce": 1.0 + 9.0, "kd": 2.0 + 12.0, "correct": 2.0, "count": 4.0}
BY_CLASS = {"class_correct": np.array([2.0, 0.0, 0.0]), "class_count": np.array([2.0, 2.0, 0.0])}


def test_the_balanced_accuracy_is_the_mean_recall_of_the_classes_that_occur():
    means = epoch_means(SUMS | BY_CLASS, Objective())
    assert (means["accuracy"], means["balanced_accuracy"]) == (0.5, 0.5)
    recalls = {"class_correct": np.array([1.0, 2.0, 0.0])}
    assert epoch_means(SUMS | BY_CLASS | recalls, Objective())["balanced_accuracy"] == 0.75


def test_weighted_cross_entropies_of_batches_are_averaged_by_their_weights():
    """With weights of 3 and 1 the batches weigh 3 and 5; KD counts every image alike."""
    objective = Objective(alpha=0.25, class_weights=(3.0, 1.0, 1.0))
    total = 0.75 * SUMS["ce"] + 0.25 * SUMS["kd"]
    weighted = {"loss": total, "weighted_ce": 3 * 1.0 + 5 * 3.0, "ce_weight": 8.0}
    means = epoch_means(SUMS | BY_CLASS | weighted, objective)
    assert means["ce"] == 18 / 8
    assert means["loss"] == pytest.approx(0.75 * 18 / 8 + 0.25 * 14 / 4)


def test_where_some_images_are_labelled_only_these_count_for_labels():
    """Two of four images are, one of them right, with cross-entropies 1 and 3; KD counts all."""
    sums = SUMS | {"loss": 8.0, "ce": 1.0 + 3.0, "correct": 1.0, "labelled": 2.0}
    means = epoch_means(sums, Objective(alpha=0.25))
    assert (means["ce"], means["kd"]) == (2.0, 14 / 4)
    assert (means["accuracy"], means["loss"]) == (0.5, 2.0)
    none = epoch_means(sums | {"ce": 0.0, "correct": 0.0, "labelled": 0.0}, Objective(alpha=0.25))
    assert (none["ce"], none["accuracy"]) == (0.0, 0.0)
