"""Images with and without a duplicate in training: membership, and metrics by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fakd_jax.metrics.predictions import Predictions
from fakd_jax.metrics.resampling import proportion, wilson_interval
from fakd_jax.metrics.subsets import subset_rows
from tests.evaluation.predictions import predictions_of

NAMES = ("glioma", "notumor")


def predicted(ids: Sequence[str], labels: Sequence[int], classes: Sequence[int]) -> Predictions:
    return predictions_of(9.0 * np.eye(2)[list(classes)], np.array(labels), tuple(ids))


def test_rows_by_hand() -> None:
    # t0 and t1 are one slice, a training image's too; t2 is a validation image's; t3 and t4 are
    # duplicates of each other alone; t5 is in no group.
    groups = {"t0": 1, "t1": 1, "x": 1, "t2": 2, "v": 2, "t3": 3, "t4": 3, "y": 4}
    ids = ["t0", "t1", "t2", "t3", "t4", "t5"]
    predictions = predicted(ids, [0, 0, 1, 0, 1, 0], [0, 1, 1, 0, 0, 1])
    rows = subset_rows(predictions, NAMES, "notumor", groups, ["x", "y", "v"])
    assert [row["name"] for row in rows] == ["all", "duplicate in training", "no duplicate"]
    assert [row["n"] for row in rows] == [6, 3, 3]
    assert [row["groups"] for row in rows] == [4, 2, 2]
    assert [row["accuracy"] for row in rows] == [0.5, 2 / 3, 1 / 3]
    missed = [proportion(2, 4), proportion(1, 2), proportion(1, 2)]
    assert [row["missed_tumour"] for row in rows] == missed
    assert rows[1]["accuracy_ci95"] == list(wilson_interval(2, 3))
    assert rows[1]["balanced_accuracy"] == 0.75


def test_an_empty_subset_has_no_metrics() -> None:
    _, duplicate, no_duplicate = subset_rows(
        predicted("ab", [0, 1], [0, 1]), NAMES, "notumor", {}, ["c"]
    )
    sizes = {"name": "duplicate in training", "n": 0, "groups": 0}
    assert duplicate == dict.fromkeys(no_duplicate) | sizes
    assert no_duplicate["n"] == 2


def test_an_image_is_not_a_duplicate_of_itself() -> None:
    # Evaluated on the validation images: training used them too.
    groups = {"a": 0, "b": 1, "duplicate of b": 1}
    _, duplicate, no_duplicate = subset_rows(
        predicted("ab", [0, 1], [0, 1]), NAMES, None, groups, list(groups)
    )
    assert (duplicate["n"], no_duplicate["n"]) == (1, 1)
