"""Figures of the images with and without a copy among those that the network learnt from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from fakd_jax.metrics.confusion import (
    accuracy_statistics,
    confusion_matrix,
    count_missed_tumours,
    metrics_of_confusion,
)
from fakd_jax.metrics.resampling import bootstrap, group_numbers

FROM_COUNTS = ("n", "accuracy", "accuracy_ci95", "balanced_accuracy")


def subset_rows(
    ids: Sequence[str],
    labels: Int[np.ndarray, " N"],
    predictions: Int[np.ndarray, " N"],
    class_names: Sequence[str],
    negative_class: str | None,
    groups: Mapping[str, int],
    training_ids: Collection[str],
) -> list[dict[str, Any]]:
    """The rows "all", "duplicate in training" and "no duplicate" of `subsets` in `metrics.json`.

    Args:
      ids: of the images evaluated.
      labels: indices into `class_names`.
      predictions: likewise.
      class_names: C names.
      negative_class: the class without a tumour; None if the data has none.
      groups: id to duplicate group; ids absent from it are groups of their own.
      training_ids: images that the network learnt from or was chosen by. Those evaluated do not
        count as duplicates of themselves.

    Returns:
      Three dicts: `name`, `n`, `groups` (their number), `accuracy`, `accuracy_ci95` (Wilson),
      `accuracy_ci95_grouped` (bootstrap of groups), `balanced_accuracy`, `missed_tumour`. All
      figures of an empty subset are None.
    """
    learnt = {groups[id] for id in set(training_ids).difference(ids) if id in groups}
    duplicate = np.array([groups.get(id) in learnt for id in ids], bool)
    units = group_numbers(ids, groups)

    def row(name: str, members: Bool[np.ndarray, " N"]) -> dict[str, Any]:
        figures = _figures(
            labels[members], predictions[members], class_names, negative_class, units[members]
        )
        return {"name": name, "groups": len(np.unique(units[members])), **figures}

    return [
        row("all", np.ones(len(ids), bool)),
        row("duplicate in training", duplicate),
        row("no duplicate", ~duplicate),
    ]


def _figures(
    labels: Int[np.ndarray, " N"],
    predictions: Int[np.ndarray, " N"],
    class_names: Sequence[str],
    negative_class: str | None,
    units: Int[np.ndarray, " N"],
) -> dict[str, Any]:
    if not len(labels):
        undefined = dict.fromkeys((*FROM_COUNTS, "accuracy_ci95_grouped", "missed_tumour"))
        return {**undefined, "n": 0}
    matrix = confusion_matrix(labels, predictions, len(class_names))
    counted = metrics_of_confusion(matrix, class_names)
    statistics = accuracy_statistics(labels, predictions, len(class_names))
    return {
        **{key: counted[key] for key in FROM_COUNTS},
        "accuracy_ci95_grouped": bootstrap(statistics, units)["accuracy"],
        "missed_tumour": None
        if negative_class is None
        else count_missed_tumours(labels, predictions, list(class_names).index(negative_class)),
    }
