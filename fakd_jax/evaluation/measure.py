"""From answers to the figures of `metrics.json`: all of them but latency and provenance."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from fakd_jax.evaluation.baseline import Baseline, compare_with_baseline
from fakd_jax.metrics.classification import Answers, add_validation, classification_metrics
from fakd_jax.metrics.resampling import group_numbers
from fakd_jax.metrics.subsets import subset_rows


class Duplicates(NamedTuple):
    """What an audit of the data found.

    Attributes:
      groups: id to duplicate group, over the whole data; ids absent from it have no copy.
      audit: the audit's fingerprint.
      training_ids: the images that the run trained on and chose its epoch by; None where they
        are not known.
      set_apart: test images that the figures leave out for their copies in training, with the
        answers to them: the subsets count them too. None where there are none.
    """

    groups: Mapping[str, int]
    audit: str
    training_ids: Collection[str] | None
    set_apart: tuple[Sequence[str], Answers] | None = None


def measure(
    ids: Sequence[str],
    answers: Answers,
    class_names: Sequence[str],
    negative_class: str | None = None,
    *,
    validation: Answers | None = None,
    duplicates: Duplicates | None = None,
    baseline: Baseline | None = None,
) -> dict[str, Any]:
    """All figures that follow from answers.

    Args:
      ids: of the images evaluated.
      answers: to them.
      class_names: C names.
      negative_class: the class without a tumour; None if the data has none.
      validation: answers to the run's validation images; None where those are not known.
      duplicates: copies among the images; None where nobody has looked for them.
      baseline: whom to compare with; None for nobody.

    Returns:
      As :func:`fakd_jax.metrics.classification.classification_metrics`, with `subsets` and
      `comparison`; None for what was not given. `subsets` quotes the audit, and its `rows` are
      None where the audit is known and the images trained on are not.
    """
    predictions, labels = answers.probabilities.argmax(axis=1), answers.labels
    groups = None if duplicates is None else group_numbers(ids, duplicates.groups)
    metrics = classification_metrics(
        answers.probabilities, labels, class_names, negative_class, groups=groups
    )
    if validation is not None:
        metrics = add_validation(metrics, answers, validation, negative_class)
    subsets = comparison = None
    if duplicates is not None:
        rows = _subset_rows(ids, answers, class_names, negative_class, duplicates)
        subsets = {"audit": duplicates.audit, "rows": rows}
    if baseline is not None:
        units = np.arange(len(ids)) if groups is None else groups
        comparison = compare_with_baseline(baseline, ids, predictions == labels, units)
    return {**metrics, "subsets": subsets, "comparison": comparison}


def _subset_rows(
    ids: Sequence[str],
    answers: Answers,
    class_names: Sequence[str],
    negative_class: str | None,
    duplicates: Duplicates,
) -> list[dict[str, Any]] | None:
    """The images evaluated and those set apart, by duplicate; None where duplicates are not known."""
    if duplicates.training_ids is None:
        return None
    tested, labels, predictions = _with_those_apart(ids, answers, duplicates)
    return subset_rows(
        tested,
        labels,
        predictions,
        class_names,
        negative_class,
        duplicates.groups,
        duplicates.training_ids,
    )


def _with_those_apart(
    ids: Sequence[str], answers: Answers, duplicates: Duplicates
) -> tuple[list[str], Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Ids, labels and predictions of the images evaluated and of those set apart."""
    parts = [(ids, answers), *([duplicates.set_apart] if duplicates.set_apart else [])]
    return (
        [id for part, _ in parts for id in part],
        np.concatenate([part.labels for _, part in parts]),
        np.concatenate([part.probabilities.argmax(axis=1) for _, part in parts]),
    )
