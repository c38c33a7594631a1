"""Metrics of a confusion matrix: rows are true classes, columns predicted ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from fakd_jax.errors import UserError
from fakd_jax.metrics.resampling import (
    percentile_interval,
    proportion,
    resampled_sums,
    sums_by_unit,
)


def confusion_matrix(
    labels: Int[np.ndarray, " N"], predictions: Int[np.ndarray, " N"], num_classes: int
) -> Int[np.ndarray, "C C"]:
    """Counts by true class (row) and predicted class (column), int64.

    Raises:
      ValueError: the lengths differ, or an index lies outside `[0, num_classes)`.
    """
    cells = _cells(labels, predictions, num_classes)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def confusion_metrics(
    matrix: Int[np.ndarray, "C C"], class_names: Sequence[str], negative_class: str | None = None
) -> dict[str, Any]:
    """The part of `metrics.json` that follows from counts.

    An undefined metric (the recall of a class without examples) is None. The precision of a class
    that has examples but was never predicted counts as 0 (scikit-learn's `zero_division=0`), with
    a note. Macro averages and balanced accuracy are over the classes that have examples.
    Intervals are Wilson's.

    Raises:
      UserError: the matrix is empty.
    """
    n = int(matrix.sum())
    if not n:
        raise UserError("no examples to evaluate: the split is empty; choose another --split")
    correct, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    present = support > 0
    averaged = {
        "precision": correct / np.maximum(predicted, 1),
        "recall": correct / np.maximum(support, 1),
        "f1": 2 * correct / np.maximum(support + predicted, 1),
    }
    accuracy = proportion(int(correct.sum()), n)
    missed = false_alarm = None
    if negative_class is not None:
        negative = list(class_names).index(negative_class)
        healthy = int(support[negative])
        missed = _errors(matrix[:, negative], n - healthy, class_names, negative)
        false_alarm = _errors(matrix[negative], healthy, class_names, negative)
    return {
        "n": n,
        "class_names": list(class_names),
        "accuracy": accuracy["rate"],
        "accuracy_ci95": accuracy["ci95"],
        "balanced_accuracy": float(averaged["recall"][present].mean()),
        "macro": {name: float(values[present].mean()) for name, values in averaged.items()},
        "weighted": {name: float(values @ support / n) for name, values in averaged.items()},
        "per_class": {name: _one_class(matrix, i) for i, name in enumerate(class_names)},
        "confusion_matrix": matrix.tolist(),
        "missed_tumour": missed,
        "false_alarm": false_alarm,
        "notes": _notes(class_names, present, predicted > 0),
    }


def accuracy_intervals(
    labels: Int[np.ndarray, " N"],
    predictions: Int[np.ndarray, " N"],
    num_classes: int,
    units: Int[np.ndarray, " N"],
) -> dict[str, list[float] | None]:
    """Bootstrap intervals of `accuracy` and `balanced_accuracy`.

    Balanced accuracy is over the classes that have images, and undefined in a resample without one
    of them: the mean over fewer classes would be another metric.

    Args:
      labels: class indices.
      predictions: class indices.
      num_classes: C.
      units: of the bootstrap, from 0 on without gaps.
    """
    right = labels == predictions
    sums = resampled_sums(sums_by_unit(units, 2 * labels + right, 2 * num_classes))
    wrong, correct = sums[:, 0::2], sums[:, 1::2]
    support = wrong + correct
    recall = np.divide(correct, support, out=np.full_like(support, np.nan), where=support > 0)
    present = np.bincount(labels, minlength=num_classes) > 0
    return {
        "accuracy": percentile_interval(correct.sum(axis=1) / support.sum(axis=1)),
        "balanced_accuracy": percentile_interval(recall[:, present].mean(axis=1)),
    }


def missed_tumours(
    labels: Int[np.ndarray, " N"], predictions: Int[np.ndarray, " N"], negative: int | None
) -> dict[str, Any] | None:
    """Tumours predicted to be the negative class, as a proportion of all; None without one."""
    if negative is None:
        return None
    tumour = labels != negative
    return proportion(int(np.sum(predictions[tumour] == negative)), int(tumour.sum()))


def _cells(
    labels: Int[np.ndarray, " N"], predictions: Int[np.ndarray, " N"], num_classes: int
) -> Int[np.ndarray, " N"]:
    """The index of each example's cell in the matrix, row by row."""
    if predictions.shape != labels.shape:
        raise ValueError(f"{len(predictions)} predictions for {len(labels)} labels")
    for name, indices in (("labels", labels), ("predictions", predictions)):
        if len(indices) and not (indices.min() >= 0 and indices.max() < num_classes):
            raise ValueError(f"{name} outside [0, {num_classes})")
    return labels.astype(np.int64) * num_classes + predictions


def _one_class(matrix: Int[np.ndarray, "C C"], index: int) -> dict[str, Any]:
    """One class against all others."""
    n, correct = int(matrix.sum()), int(matrix[index, index])
    support, predicted = int(matrix[index].sum()), int(matrix[:, index].sum())
    precision, recall = proportion(correct, predicted), proportion(correct, support)
    specificity = proportion(n - support - predicted + correct, n - support)
    return {
        "precision": 0.0 if support and not predicted else precision["rate"],
        "precision_ci95": precision["ci95"],
        "recall": recall["rate"],
        "recall_ci95": recall["ci95"],
        "specificity": specificity["rate"],
        "specificity_ci95": specificity["ci95"],
        "f1": 2 * correct / (support + predicted) if support else None,
        "support": support,
    }


def _errors(
    counts: Int[np.ndarray, " C"], n: int, class_names: Sequence[str], negative: int
) -> dict[str, Any]:
    """Confusions of tumours with the negative class among n images, also by tumour class."""
    by_class = {name: int(counts[i]) for i, name in enumerate(class_names) if i != negative}
    errors = proportion(sum(by_class.values()), n)
    return {"negative_class": class_names[negative], **errors, "by_class": by_class}


def _notes(
    class_names: Sequence[str], present: Bool[np.ndarray, " C"], predicted: Bool[np.ndarray, " C"]
) -> list[str]:
    """Which metrics rest on a convention rather than on examples."""
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
