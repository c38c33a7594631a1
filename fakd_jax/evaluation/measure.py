"""The second step of an evaluation: metrics from predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakd_jax.evaluation.baseline import compare_with_baseline
from fakd_jax.evaluation.collect import Collected
from fakd_jax.metrics.classification import add_validation, classification_metrics
from fakd_jax.metrics.resampling import group_numbers, number_units
from fakd_jax.metrics.subsets import subset_rows


def measure(collected: Collected) -> dict[str, Any]:
    """The content of `metrics.json`, except latency and provenance.

    It is that of :func:`fakd_jax.metrics.classification.classification_metrics`, with `subsets`
    and `comparison`, which are None where unknown.
    """
    predictions, names = collected.predictions, collected.class_names
    negative, duplicates = collected.negative_class, collected.duplicates
    groups = None if duplicates is None else group_numbers(predictions.ids, duplicates.groups)
    metrics = classification_metrics(predictions, names, negative, groups=groups)
    if collected.validation is not None:
        metrics = add_validation(
            metrics, predictions, collected.validation, negative, groups=groups
        )
    subsets = comparison = None
    if duplicates is not None:
        rows = None
        if duplicates.training_ids is not None:
            apart = duplicates.set_apart
            tested = predictions.joined_with(apart) if apart else predictions
            rows = subset_rows(tested, names, negative, duplicates.groups, duplicates.training_ids)
        subsets = {"audit": duplicates.audit, "rows": rows}
    if collected.baseline is not None:
        units = np.arange(len(predictions.ids)) if groups is None else number_units(groups)
        comparison = compare_with_baseline(
            collected.baseline, predictions.ids, ~predictions.wrong, units
        )
    return {
        **metrics,
        "subsets": subsets,
        "comparison": comparison,
        "notes": [*metrics["notes"], *collected.notes],
    }
