"""All figures of merit of a classifier in one place, each with its interval where one is due.

A figure that is undefined (the recall of a class without examples) is None, `null` in JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fakd_jax.errors import UserError
from fakd_jax.metrics.calibration import (
    calibration_scores,
    fit_temperature,
    reliability_bins,
    scale_logits,
)
from fakd_jax.metrics.confusion import (
    accuracy_statistics,
    confusion_matrix,
    metrics_of_confusion,
)
from fakd_jax.metrics.ranking import ranking_statistics
from fakd_jax.metrics.resampling import RESAMPLES, SEED, bootstrap, point_estimates
from fakd_jax.metrics.selective import (
    area_under_risk_coverage,
    choose_threshold,
    curve_rows,
    reject_option,
    risk_coverage,
)

NOT_ASKED_FOR = "no temperature and no reject threshold: not asked for"
WHY_NO_THRESHOLD = "the validation images have no error, or none is rarer among confident answers"
NO_THRESHOLD = f"no reject threshold: {WHY_NO_THRESHOLD}"
"""Notes of `metrics.json` on what is None; the page of the report tells why by the same words."""


def classification_metrics(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    class_names: Sequence[str],
    negative_class: str | None = None,
    *,
    groups: Int[np.ndarray, " N"] | None = None,
) -> dict[str, Any]:
    """All figures of `metrics.json` that the answers to one set of images tell.

    Args:
      probabilities: `[N, C]`, each row sums to 1; the prediction is the first largest.
      labels: `[N]`, indices into `class_names`.
      class_names: C names.
      negative_class: the class without a tumour; None if the data has none.
      groups: the duplicate group of each image, drawn whole by the bootstrap; None where nobody
        has looked for duplicates.

    Returns:
      A dict that JSON can hold: what :func:`fakd_jax.metrics.confusion.metrics_of_confusion`
      tells, and `balanced_accuracy_ci95`, `accuracy_ci95_grouped`, `auroc` (in `per_class` too),
      `ece`, `nll`, `brier`, `calibration`, `selective`, `bootstrap`. What needs other images is
      None: `calibration.temperature` and `selective.reject` (see :func:`add_validation`).

    Raises:
      UserError: no examples, or probabilities that are not finite.
      ValueError: shapes, labels or names that do not fit; rows that do not sum to 1.
    """
    _check_inputs(probabilities, labels, class_names, negative_class)
    predictions, negative = probabilities.argmax(axis=1), _index(class_names, negative_class)
    matrix = confusion_matrix(labels, predictions, len(class_names))
    counted = metrics_of_confusion(matrix, class_names, negative_class)
    units = np.arange(len(labels)) if groups is None else groups
    shares = bootstrap(accuracy_statistics(labels, predictions, len(class_names)), units)
    auroc_by_class, auroc = _auroc(probabilities, labels, negative, units)
    curve = risk_coverage(probabilities.max(axis=1), predictions != labels)
    return {
        **counted,
        "balanced_accuracy_ci95": shares["balanced_accuracy"],
        "accuracy_ci95_grouped": None if groups is None else shares["accuracy"],
        "per_class": {
            name: {**counted["per_class"][name], **areas}
            for name, areas in zip(class_names, auroc_by_class, strict=True)
        },
        "auroc": auroc,
        **calibration_scores(probabilities, labels),
        "calibration": {"bins": reliability_bins(probabilities, labels), "temperature": None},
        "selective": {
            "curve": curve_rows(curve),
            "aurc": area_under_risk_coverage(curve),
            "reject": None,
        },
        "bootstrap": {
            "resamples": RESAMPLES,
            "seed": SEED,
            "unit": "image" if groups is None else "duplicate group",
            "units": len(np.unique(units)),
        },
    }


class Answers(NamedTuple):
    """A network's answers to images whose class is known.

    Attributes:
      logits: `[N, C]`.
      probabilities: `[N, C]`, their softmax.
      labels: `[N]`, the truth.
    """

    logits: Float[np.ndarray, "N C"]
    probabilities: Float[np.ndarray, "N C"]
    labels: Int[np.ndarray, " N"]


def add_validation(
    metrics: Mapping[str, Any],
    test: Answers,
    validation: Answers,
    negative_class: str | None = None,
) -> dict[str, Any]:
    """Adds what is chosen on validation images and then measured on others.

    Args:
      metrics: as :func:`classification_metrics` gives for `test`.
      test: the answers that `metrics` describes.
      validation: answers to images that the weights were not fitted to, none of them in `test`.
      negative_class: as for `metrics`.

    Returns:
      `metrics` with `calibration.temperature` and `selective.reject`. The latter stays None, and
      `notes` says why, where the validation images allow no threshold.

    Raises:
      UserError, ValueError: as of :func:`classification_metrics`, of the validation images.
    """
    class_names = metrics["class_names"]
    _check_inputs(validation.probabilities, validation.labels, class_names, negative_class)
    temperature, temperature_notes = _temperature(metrics, test, validation)
    reject, reject_notes = _reject(test, validation, _index(class_names, negative_class))
    return {
        **metrics,
        "calibration": {**metrics["calibration"], "temperature": temperature},
        "selective": {**metrics["selective"], "reject": reject},
        "notes": [*metrics["notes"], *temperature_notes, *reject_notes],
    }


def _temperature(
    metrics: Mapping[str, Any], test: Answers, validation: Answers
) -> tuple[dict[str, Any], list[str]]:
    """`calibration.temperature`, and what must be known of it."""
    value, note = fit_temperature(validation.logits, validation.labels)
    scaled = scale_logits(test.logits, value)
    fitted = {
        "value": value,
        "fitted_on": {"split": "val", "n": len(validation.labels)},
        "before": {key: metrics[key] for key in ("ece", "nll", "brier")},
        "after": calibration_scores(scaled, test.labels),
        "bins_after": reliability_bins(scaled, test.labels),
    }
    return fitted, [note] if note else []


def _reject(
    test: Answers, validation: Answers, negative: int | None
) -> tuple[dict[str, Any] | None, list[str]]:
    """`selective.reject`; or None, and why."""
    predictions = validation.probabilities.argmax(axis=1)
    choice = choose_threshold(
        validation.probabilities.max(axis=1), predictions != validation.labels
    )
    if choice is None:
        return None, [NO_THRESHOLD]
    cost = reject_option(
        choice.threshold,
        test.probabilities.max(axis=1),
        test.labels,
        test.probabilities.argmax(axis=1),
        negative,
    )
    chosen_on = {"split": "val", "n": len(validation.labels)}
    return {**choice._asdict(), "chosen_on": chosen_on, **cost}, []


def _auroc(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    negative: int | None,
    units: Int[np.ndarray, " N"],
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The areas class by class, and the two over all classes, with their intervals."""
    statistics = ranking_statistics(probabilities, labels, negative)
    areas, intervals = point_estimates(statistics, len(labels)), bootstrap(statistics, units)
    by_class = [f"class {index}" for index in range(probabilities.shape[1])]
    return (
        [{"auroc": areas[key], "auroc_ci95": intervals[key]} for key in by_class],
        {
            "macro": areas["macro"],
            "macro_ci95": intervals["macro"],
            "tumour": areas["tumour"],
            "tumour_ci95": intervals["tumour"],
        },
    )


def _index(class_names: Sequence[str], negative_class: str | None) -> int | None:
    return None if negative_class is None else list(class_names).index(negative_class)


def _check_inputs(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    class_names: Sequence[str],
    negative_class: str | None,
) -> None:
    """Refuses what would give a figure that means nothing."""
    if not len(labels):
        raise UserError("no examples to evaluate: the split is empty; choose another --split")
    if probabilities.shape != (len(labels), len(class_names)):
        raise ValueError(
            f"probabilities of shape {list(probabilities.shape)} for {len(labels)} labels and "
            f"{len(class_names)} classes"
        )
    if negative_class is not None and negative_class not in class_names:
        raise ValueError(f"the negative class {negative_class!r} is not in {list(class_names)}")
    if not np.isfinite(probabilities).all():
        broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
        raise UserError(
            f"the network's output is not finite for {broken} of {len(labels)} images: the "
            "checkpoint is damaged or its training diverged; choose another"
        )
    if not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise ValueError("the rows of probabilities do not sum to 1")
