"""Images with and without a duplicate in training: who belongs where, and that figures follow."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.metrics.resampling import counted_share, wilson_interval
from fakd_jax.metrics.subsets import subset_rows

NAMES = ("glioma", "notumor")


def test_rows_by_hand() -> None:
    ids = ["t0", "t1", "t2", "t3", "t4", "t5"]
    labels = np.array([0, 0, 1, 0, 1, 0])
    predictions = np.array([0, 1, 1, 0, 0, 1])
    # t0 and t1 are one slice, a training image's too; t2 is a validation image's; t3 and t4 are
    # copies of each other alone; t5 is in no group.
    groups = {"t0": 1, "t1": 1, "x": 1, "t2": 2, "v": 2, "t3": 3, "t4": 3, "y": 4}
    every, duplicate, no_duplicate = subset_rows(
        ids, labels, predictions, NAMES, "notumor", groups, ["x", "y", "v"]
    )
    assert [row["name"] for row in (every, duplicate, no_duplicate)] == [
        "all",
        "duplicate in training",
        "no duplicate",
    ]
    assert [row["n"] for row in (every, duplicate, no_duplicate)] == [6, 3, 3]
    assert [row["groups"] for row in (every, duplicate, no_duplicate)] == [4, 2, 2]
    assert [row["accuracy"] for row in (every, duplicate, no_duplicate)] == [0.5, 2 / 3, 1 / 3]
    assert duplicate["accuracy_ci95"] == list(wilson_interval(2, 3))
    assert duplicate["balanced_accuracy"] == 0.75
    assert duplicate["missed_tumour"] == counted_share(1, 2)
    assert no_duplicate["missed_tumour"] == counted_share(1, 2)
    assert every["missed_tumour"] == counted_share(2, 4)


def test_copies_of_one_slice_are_drawn_together() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(random.integers(0, 2, 100), 4)
    predictions = np.repeat(random.random(100) < 0.2, 4) ^ labels
    ids = [str(index) for index in range(400)]
    groups = {id: int(id) // 4 for id in ids}
    every, _, no_duplicate = subset_rows(ids, labels, predictions, NAMES, None, groups, ["far"])
    low, high = every["accuracy_ci95_grouped"]
    plain_low, plain_high = every["accuracy_ci95"]
    assert (high - low) / (plain_high - plain_low) == pytest.approx(2, rel=0.1)
    assert every["missed_tumour"] is None
    assert no_duplicate | {"name": "all"} == every


def test_an_empty_subset_has_no_figures() -> None:
    labels = np.array([0, 1])
    _, duplicate, no_duplicate = subset_rows(
        ["a", "b"], labels, labels, NAMES, "notumor", {}, ["c"]
    )
    assert duplicate == {
        "name": "duplicate in training",
        "n": 0,
        "groups": 0,
        "accuracy": None,
        "accuracy_ci95": None,
        "accuracy_ci95_grouped": None,
        "balanced_accuracy": None,
        "missed_tumour": None,
    }
    assert no_duplicate["n"] == 2


def test_an_image_is_no_duplicate_of_itself() -> None:
    # Evaluated on the validation images: those are among what training saw.
    labels = np.array([0, 1])
    groups = {"a": 0, "b": 1, "copy of b": 1}
    _, duplicate, no_duplicate = subset_rows(
        ["a", "b"], labels, labels, NAMES, None, groups, ["a", "b", "copy of b"]
    )
    assert (duplicate["n"], no_duplicate["n"]) == (1, 1)
