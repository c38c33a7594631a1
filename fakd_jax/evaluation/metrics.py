"""Figures of merit of a classifier, in NumPy alone, each with its interval where one is due.

Conventions, the same everywhere: rows of a confusion matrix are the truth, columns the
prediction; a figure that is undefined (the recall of a class without examples) is None, `null`
in JSON; a precision that would be 0/0 (a class never predicted) counts as 0, scikit-learn's
`zero_division=0`, and is told in `notes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.errors import UserError

CALIBRATION_BINS = 15


def accuracy(predictions: Int[np.ndarray, " N"], labels: Int[np.ndarray, " N"]) -> float:
    """The share of `predictions` that equal `labels`.

    Raises:
      ValueError: the lengths differ or are 0.
    """
    if predictions.shape != labels.shape or not len(labels):
        raise ValueError(f"{len(predictions)} predictions for {len(labels)} labels")
    return float(np.mean(predictions == labels))


def confusion_matrix(
    labels: Int[np.ndarray, " N"], predictions: Int[np.ndarray, " N"], num_classes: int
) -> Int[np.ndarray, "C C"]:
    """Counts by truth (row) and prediction (column), int64 `[num_classes, num_classes]`.

    Raises:
      ValueError: the lengths differ, or an index lies outside `[0, num_classes)`.
    """
    if predictions.shape != labels.shape:
        raise ValueError(f"{len(predictions)} predictions for {len(labels)} labels")
    for name, indices in (("labels", labels), ("predictions", predictions)):
        if len(indices) and not (indices.min() >= 0 and indices.max() < num_classes):
            raise ValueError(f"{name} outside [0, {num_classes})")
    cells = labels.astype(np.int64) * num_classes + predictions
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion, without continuity correction.

    Holds its level near 0 and 1, where the usual p ± z·√(p(1-p)/n) collapses to nothing
    (Wilson 1927; Brown, Cai & DasGupta 2001).

    Args:
      successes: in `[0, n]`.
      n: above 0.
      confidence: in (0, 1).

    Returns:
      The lower and the upper end, within [0, 1].

    Raises:
      ValueError: an argument out of range.

    >>> [round(end, 4) for end in wilson_interval(1304, 1311)]
    [0.989, 0.9974]
    """
    if not (0 <= successes <= n and n > 0 and 0 < confidence < 1):
        raise ValueError(f"no interval of {successes} successes in {n} at {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    # At the ends the closed form is exactly 0 or 1, but for rounding.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return low, high


def expected_calibration_error(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    bins: int = CALIBRATION_BINS,
) -> float:
    """Top-label ECE over equal-width bins (lower, upper] of confidence (Guo et al. 2017, eq. 3).

    Args:
      probabilities: rows that sum to 1, N > 0.
      labels: class indices.
      bins: their number.

    Returns:
      The mean over examples of |accuracy - mean confidence| of their bin, in [0, 1].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    # `right=True`: a value on an inner edge belongs to the bin below it.
    bin_of = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    gap = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def negative_log_likelihood(
    probabilities: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"]
) -> float:
    """Mean of -log p(true class), in nats; a probability below float32's tiniest counts as that.

    So one example costs at most 87.3 nats, and the mean stays a number.
    """
    picked = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(picked, np.finfo(np.float32).tiny)).mean())


def classification_metrics(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    class_names: Sequence[str],
    negative_class: str | None = None,
) -> dict[str, Any]:
    """All figures of `metrics.json` but latency and provenance.

    Args:
      probabilities: `[N, C]`, each row sums to 1; the prediction is the first largest.
      labels: `[N]`, indices into `class_names`.
      class_names: C names.
      negative_class: the class without a tumour; None if the data has none.

    Returns:
      A dict that JSON can hold: `n`, `class_names`, `accuracy`, `accuracy_ci95`,
      `balanced_accuracy`, `macro`, `weighted`, `per_class`, `confusion_matrix`,
      `missed_tumour` (None without a negative class), `ece`, `nll`, `notes`.

    Raises:
      UserError: no examples, or probabilities that are not finite.
      ValueError: shapes, labels or names that do not fit; rows that do not sum to 1.
    """
    _check_inputs(probabilities, labels, class_names, negative_class)
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(class_names))
    return {
        **metrics_of_confusion(matrix, class_names, negative_class),
        "ece": expected_calibration_error(probabilities, labels),
        "nll": negative_log_likelihood(probabilities, labels),
    }


def metrics_of_confusion(
    matrix: Int[np.ndarray, "C C"], class_names: Sequence[str], negative_class: str | None = None
) -> dict[str, Any]:
    """What a confusion matrix alone tells: all of :func:`classification_metrics` but ECE and NLL.

    Macro averages and balanced accuracy run over the classes that have examples.

    Raises:
      UserError: the matrix is empty.
    """
    n = int(matrix.sum())
    if not n:
        raise UserError("no examples to evaluate: the split is empty; choose another --split")
    correct, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    present = support > 0
    precision = correct / np.maximum(predicted, 1)
    recall = correct / np.maximum(support, 1)
    f1 = 2 * correct / np.maximum(support + predicted, 1)
    figures = {"precision": precision, "recall": recall, "f1": f1}
    hits = int(correct.sum())
    return {
        "n": n,
        "class_names": list(class_names),
        "accuracy": hits / n,
        "accuracy_ci95": list(wilson_interval(hits, n)),
        "balanced_accuracy": float(recall[present].mean()),
        "macro": {name: float(values[present].mean()) for name, values in figures.items()},
        "weighted": {name: float(values @ support / n) for name, values in figures.items()},
        "per_class": {
            name: {
                "precision": float(precision[i]) if present[i] or predicted[i] else None,
                "recall": float(recall[i]) if present[i] else None,
                "recall_ci95": list(wilson_interval(int(correct[i]), int(support[i])))
                if present[i]
                else None,
                "f1": float(f1[i]) if present[i] else None,
                "support": int(support[i]),
            }
            for i, name in enumerate(class_names)
        },
        "confusion_matrix": matrix.tolist(),
        "missed_tumour": _missed_tumours(matrix, class_names, negative_class),
        "notes": _notes(class_names, present, predicted > 0),
    }


def _missed_tumours(
    matrix: Int[np.ndarray, "C C"], class_names: Sequence[str], negative_class: str | None
) -> dict[str, Any] | None:
    """Tumours called healthy, the error that costs most, which an accuracy hides."""
    if negative_class is None:
        return None
    negative = list(class_names).index(negative_class)
    tumours = [i for i in range(len(class_names)) if i != negative]
    n, count = int(matrix[tumours].sum()), int(matrix[tumours, negative].sum())
    return {
        "negative_class": negative_class,
        "count": count,
        "n": n,
        "rate": count / n if n else None,
        "ci95": list(wilson_interval(count, n)) if n else None,
        "by_class": {class_names[i]: int(matrix[i, negative]) for i in tumours},
    }


def _notes(
    class_names: Sequence[str], present: Bool[np.ndarray, " C"], predicted: Bool[np.ndarray, " C"]
) -> list[str]:
    """Says which figures rest on a convention rather than on examples."""
    notes = []
    for name, has_examples, was_predicted in zip(class_names, present, predicted, strict=True):
        if not has_examples:
            notes.append(
                f"{name} has no examples: its recall is undefined, and the macro averages and "
                "the balanced accuracy leave it out"
            )
        elif not was_predicted:
            notes.append(f"{name} was never predicted: its precision is 0/0 and counts as 0")
    return notes


def _check_inputs(
    probabilities: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    class_names: Sequence[str],
    negative_class: str | None,
) -> None:
    """Refuses what would give a figure that means nothing."""
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
