"""All metrics of a classifier, with their intervals, as `metrics.json` has them.

An undefined metric (the recall of a class without examples) is None, `null` in JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from fakd_jax.errors import UserError
from fakd_jax.metrics.agreement import cohens_kappa
from fakd_jax.metrics.calibration import (
    calibration_scores,
    fit_temperature,
    scale_logits,
)
from fakd_jax.metrics.calibration_error import reliability_bins
from fakd_jax.metrics.confusion import accuracy_intervals, confusion_matrix, confusion_metrics
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.metrics.ranking import aurocs
from fakd_jax.metrics.resampling import RESAMPLES, SEED, independent_units
from fakd_jax.metrics.selective import (
    area_under_risk_coverage,
    aurc_interval,
    choose_threshold,
    curve_rows,
    reject_option,
    risk_coverage,
)

# Notes of `metrics.json` on what is None; the report gives the reason in the same words.
NOT_ASKED_FOR = "no temperature and no reject threshold: not asked for"
WHY_NO_THRESHOLD = (
    "no validation image is misclassified, or errors are no rarer among confident predictions"
)
NO_THRESHOLD = f"no reject threshold: {WHY_NO_THRESHOLD}"


def classification_metrics(
    predictions: Predictions,
    class_names: Sequence[str],
    negative_class: str | None = None,
    *,
    groups: Int[np.ndarray, " N"] | None = None,
    unit: str = "duplicate group",
) -> dict[str, Any]:
    """The metrics of `metrics.json` that follow from predictions for one set of images.

    Args:
      predictions: for N > 0 images.
      class_names: C names.
      negative_class: the class without a tumour, if there is one.
      groups: of each image; the images of one, such as duplicates, are not independent. None if
        unknown.
      unit: what a group is, for `bootstrap`.

    Returns:
      JSON-able: the keys of :func:`fakd_jax.metrics.confusion.confusion_metrics`, and
      `balanced_accuracy_ci95`, `accuracy_ci95_grouped`, `cohen_kappa` with `cohen_kappa_ci95`,
      `auroc` (in `per_class` too), those of
      :func:`fakd_jax.metrics.calibration.calibration_scores`, `calibration`, `selective`,
      `bootstrap`. What needs other images is None:
      `calibration.temperature` and `selective.reject` (see :func:`add_validation`).

    Raises:
      UserError: no examples, or probabilities that are not finite.
      ValueError: shapes, labels or names that do not fit; rows that do not sum to 1.
    """
    check_predictions(predictions, class_names, negative_class)
    labels, probabilities, classes = predictions.labels, predictions.probabilities, len(class_names)
    counted = confusion_metrics(
        confusion_matrix(labels, predictions.classes, classes), class_names, negative_class
    )
    units = independent_units(groups, len(labels))
    accuracy = accuracy_intervals(labels, predictions.classes, classes, units)
    kappa = cohens_kappa(labels, predictions.classes, classes, units)
    areas = aurocs(probabilities, labels, _index(class_names, negative_class), units)
    auroc_by_class = {
        name: {"auroc": areas[f"class {c}"].value, "auroc_ci95": areas[f"class {c}"].ci95}
        for c, name in enumerate(class_names)
    }
    confidence, wrong = predictions.confidence, predictions.wrong
    curve = risk_coverage(confidence, wrong)
    return {
        **counted,
        "balanced_accuracy_ci95": accuracy["balanced_accuracy"],
        "accuracy_ci95_grouped": None if groups is None else accuracy["accuracy"],
        "cohen_kappa": kappa.value,
        "cohen_kappa_ci95": kappa.ci95,
        "per_class": {
            name: metrics | auroc_by_class[name] for name, metrics in counted["per_class"].items()
        },
        "auroc": {
            "macro": areas["macro"].value,
            "macro_ci95": areas["macro"].ci95,
            "tumour": areas["tumour"].value,
            "tumour_ci95": areas["tumour"].ci95,
        },
        **calibration_scores(probabilities, labels, units),
        "calibration": {"bins": reliability_bins(probabilities, labels), "temperature": None},
        "selective": {
            "curve": curve_rows(curve),
            "aurc": area_under_risk_coverage(curve),
            "aurc_ci95": aurc_interval(curve, confidence, wrong, units),
            "reject": None,
        },
        "bootstrap": {
            "resamples": RESAMPLES,
            "seed": SEED,
            "unit": "image" if groups is None else unit,
            "units": int(units.max()) + 1,
        },
    }


def add_validation(
    metrics: Mapping[str, Any],
    test: Predictions,
    validation: Predictions,
    negative_class: str | None = None,
    *,
    groups: Int[np.ndarray, " N"] | None = None,
) -> dict[str, Any]:
    """Adds what is chosen on validation images and then measured on others.

    Args:
      metrics: of `test`, by :func:`classification_metrics`.
      test: the predictions measured.
      validation: for images that are not in `test` and that the weights were not fitted to.
      negative_class: as for `metrics`.
      groups: as for `metrics`.

    Returns:
      `metrics` with `calibration.temperature` and `selective.reject`, which stays None, with a
      note, where the validation images allow no threshold.

    Raises:
      UserError, ValueError: as :func:`classification_metrics`, for the validation images.
    """
    class_names = metrics["class_names"]
    check_predictions(validation, class_names, negative_class)
    source = {"split": "val", "n": len(validation.labels)}

    value, note = fit_temperature(validation.logits, validation.labels)
    scaled = scale_logits(test.logits, value)
    after = calibration_scores(scaled, test.labels, independent_units(groups, len(test.labels)))
    temperature = {
        "value": value,
        "fitted_on": source,
        "before": {key: metrics[key] for key in after},
        "after": after,
        "bins_after": reliability_bins(scaled, test.labels),
    }
    notes = [note] if note else []

    choice = choose_threshold(validation.confidence, validation.wrong)
    reject = None
    if choice is None:
        notes.append(NO_THRESHOLD)
    else:
        cost = reject_option(choice.threshold, test, _index(class_names, negative_class))
        reject = {**choice._asdict(), "chosen_on": source, **cost}
    return {
        **metrics,
        "calibration": {**metrics["calibration"], "temperature": temperature},
        "selective": {**metrics["selective"], "reject": reject},
        "notes": [*metrics["notes"], *notes],
    }


def _index(class_names: Sequence[str], negative_class: str | None) -> int | None:
    return None if negative_class is None else list(class_names).index(negative_class)


def check_predictions(
    predictions: Predictions, class_names: Sequence[str], negative_class: str | None
) -> None:
    """Refuses predictions whose metrics would mean nothing.

    Raises:
      UserError: probabilities that are not finite.
      ValueError: shapes or names that do not fit; rows that do not sum to 1.
    """
    probabilities, n = predictions.probabilities, len(predictions.labels)
    if probabilities.shape != (n, len(class_names)):
        shape, classes = list(probabilities.shape), len(class_names)
        raise ValueError(f"probabilities of shape {shape} for {n} labels and {classes} classes")
    if negative_class is not None and negative_class not in class_names:
        raise ValueError(f"the negative class {negative_class!r} is not in {list(class_names)}")
    if broken := int((~np.isfinite(probabilities)).any(axis=1).sum()):
        raise UserError(
            f"the network's output is not finite for {broken} of {n} images: the checkpoint is "
            "damaged or its training diverged; choose another"
        )
    if not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise ValueError("the rows of probabilities do not sum to 1")
