"""The second step of an evaluation: metrics from predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakd_jax.evaluation.baseline import compare_with_baseline
from fakd_jax.evaluation.collect import Collected
from fakd_jax.metrics.classification import add_validation, classification_metrics
from fakd_jax.metrics.detection import PREVALENCES, SPECIFICITIES, detection_metrics
from fakd_jax.metrics.resampling import group_numbers, independent_units
from fakd_jax.metrics.subsets import subset_rows


def measure(
    collected: Collected,
    *,
    specificities: Sequence[float] = SPECIFICITIES,
    prevalences: Sequence[float] = PREVALENCES,
) -> dict[str, Any]:
    """The content of `metrics.json` that follows from what was collected.

    It is that of :func:`fakd_jax.metrics.classification.classification_metrics`, with `tumour` (see
    :func:`fakd_jax.metrics.detection.detection_metrics`, also for the arguments), `subsets` and
    `comparison`, which are None where unknown.
    """
    predictions, names = collected.predictions, collected.class_names
    negative, duplicates = collected.negative_class, collected.duplicates
    known = collected.groups
    groups = None if known is None else group_numbers(predictions.ids, known)
    unit = "group" if collected.given_groups else "duplicate group"
    metrics = classification_metrics(predictions, names, negative, groups=groups, unit=unit)
    if collected.validation is not None:
        metrics = add_validation(
            metrics, predictions, collected.validation, negative, groups=groups
        )
    units = independent_units(groups, len(predictions.ids))
    tumour = subsets = comparison = None
    if negative is not None:
        tumour = detection_metrics(
            predictions,
            list(names).index(negative),
            collected.validation,
            units=units,
            specificities=specificities,
            prevalences=prevalences,
        )
    if duplicates is not None:
        rows = None
        if duplicates.training_ids is not None and known is not None:
            apart = duplicates.set_apart
            tested = predictions.joined_with(apart) if apart else predictions
            rows = subset_rows(tested, names, negative, known, duplicates.training_ids)
        subsets = {"audit": duplicates.audit, "rows": rows}
    if collected.baseline is not None:
        comparison = compare_with_baseline(
            collected.baseline, predictions.ids, ~predictions.wrong, units
        )
    return {
        **metrics,
        "tumour": tumour,
        "subsets": subsets,
        "comparison": comparison,
        "notes": [*metrics["notes"], *collected.notes],
    }
