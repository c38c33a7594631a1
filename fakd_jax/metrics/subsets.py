"""Metrics of the images with and without a duplicate among the training images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from fakd_jax.metrics.confusion import (
    accuracy_intervals,
    confusion_matrix,
    confusion_metrics,
    missed_tumours,
)
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.metrics.resampling import group_numbers, number_units

FROM_COUNTS = ("n", "accuracy", "accuracy_ci95", "balanced_accuracy")


def subset_rows(
    predictions: Predictions,
    class_names: Sequence[str],
    negative_class: str | None,
    groups: Mapping[str, int],
    training_ids: Collection[str],
) -> list[dict[str, Any]]:
    """The rows "all", "duplicate in training" and "no duplicate" of `subsets` in `metrics.json`.

    Args:
      predictions: for the images evaluated.
      class_names: C names.
      negative_class: the class without a tumour, if there is one.
      groups: the duplicate group by id; an id absent from it is a group of its own.
      training_ids: images that the network was trained on or selected by; an image evaluated is
        not a duplicate of itself.

    Returns:
      Dicts of `name`, `n`, `groups` (their number), `accuracy`, `accuracy_ci95` (Wilson),
      `accuracy_ci95_grouped` (bootstrap of groups), `balanced_accuracy` and `missed_tumour`; the
      metrics of an empty subset are None.
    """
    ids, labels, classes = predictions.ids, predictions.labels, predictions.classes
    in_training = {groups[id] for id in set(training_ids).difference(ids) if id in groups}
    duplicate = np.array([groups.get(id) in in_training for id in ids], bool)
    all_units = group_numbers(ids, groups)
    negative = None if negative_class is None else list(class_names).index(negative_class)

    def row(name: str, members: Bool[np.ndarray, " N"]) -> dict[str, Any]:
        true, predicted, units = labels[members], classes[members], all_units[members]
        sizes = {"name": name, "n": len(true), "groups": len(np.unique(units))}
        if not len(true):
            undefined = (*FROM_COUNTS, "accuracy_ci95_grouped", "missed_tumour")
            return dict.fromkeys(undefined) | sizes
        matrix = confusion_matrix(true, predicted, len(class_names))
        counted = confusion_metrics(matrix, class_names)
        intervals = accuracy_intervals(true, predicted, len(class_names), number_units(units))
        return {
            **sizes,
            **{key: counted[key] for key in FROM_COUNTS},
            "accuracy_ci95_grouped": intervals["accuracy"],
            "missed_tumour": missed_tumours(true, predicted, negative),
        }

    return [
        row("all", np.ones(len(ids), bool)),
        row("duplicate in training", duplicate),
        row("no duplicate", ~duplicate),
    ]
