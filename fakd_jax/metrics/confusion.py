"""What a confusion matrix tells: rows are the truth, columns the prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.errors import UserError
from fakd_jax.metrics.resampling import Statistics, counted_share


def confusion_matrix(
    labels: Int[np.ndarray, " N"], predictions: Int[np.ndarray, " N"], num_classes: int
) -> Int[np.ndarray, "C C"]:
    """Counts by truth (row) and prediction (column), int64 `[num_classes, num_classes]`.

    Raises:
      ValueError: the lengths differ, or an index lies outside `[0, num_classes)`.
    """
    return np.bincount(_cells(labels, predictions, num_classes), minlength=num_classes**2).reshape(
        num_classes, num_classes
    )


def metrics_of_confusion(
    matrix: Int[np.ndarray, "C C"], class_names: Sequence[str], negative_class: str | None = None
) -> dict[str, Any]:
    """All of `metrics.json` that counts alone tell.

    A figure that is undefined (the recall of a class without examples) is None; a precision
    that would be 0/0 (a class never predicted) counts as 0, scikit-learn's `zero_division=0`, and
    is told in `notes`. Macro averages and balanced accuracy run over the classes that have
    examples. Intervals are Wilson's.

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
    accuracy = counted_share(int(correct.sum()), n)
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
        "missed_tumour": _missed_tumours(matrix, class_names, negative_class),
        "false_alarm": _false_alarms(matrix, class_names, negative_class),
        "notes": _notes(class_names, present, predicted > 0),
    }


def accuracy_statistics(
    labels: Int[np.ndarray, " N"], predictions: Int[np.ndarray, " N"], num_classes: int
) -> Statistics:
    """`accuracy` and `balanced_accuracy` of weighted images, for the bootstrap.

    Balanced accuracy runs over the classes that the images have; where all weights of one of
    them are 0 it is NaN, for the mean of the others is another figure.
    """
    cells = np.eye(num_classes**2)[_cells(labels, predictions, num_classes)]
    present = np.bincount(labels, minlength=num_classes) > 0

    def statistics(weights: Float[np.ndarray, "R N"]) -> Mapping[str, Float[np.ndarray, " R"]]:
        matrices = (weights @ cells).reshape(-1, num_classes, num_classes)
        correct, support = matrices.diagonal(axis1=1, axis2=2), matrices.sum(axis=2)
        recall = np.divide(correct, support, out=np.full_like(support, np.nan), where=support > 0)
        return {
            "accuracy": correct.sum(axis=1) / support.sum(axis=1),
            "balanced_accuracy": recall[:, present].mean(axis=1),
        }

    return statistics


def count_missed_tumours(
    labels: Int[np.ndarray, " N"], predictions: Int[np.ndarray, " N"], negative: int
) -> dict[str, Any]:
    """Tumours called healthy: `count`, of `n` tumours, `rate` and `ci95`."""
    tumour = labels != negative
    return counted_share(int(np.sum(predictions[tumour] == negative)), int(tumour.sum()))


def _cells(
    labels: Int[np.ndarray, " N"], predictions: Int[np.ndarray, " N"], num_classes: int
) -> Int[np.ndarray, " N"]:
    """The matrix's cell that each example falls into, counted row by row."""
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
    precision, recall = counted_share(correct, predicted), counted_share(correct, support)
    specificity = counted_share(n - support - predicted + correct, n - support)
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


def _missed_tumours(
    matrix: Int[np.ndarray, "C C"], class_names: Sequence[str], negative_class: str | None
) -> dict[str, Any] | None:
    """Tumours called healthy, the error that costs most, which an accuracy hides."""
    if negative_class is None:
        return None
    negative = list(class_names).index(negative_class)
    by_class = {name: int(matrix[i, negative]) for i, name in enumerate(class_names)}
    del by_class[negative_class]
    n = int(matrix.sum() - matrix[negative].sum())
    share = counted_share(sum(by_class.values()), n)
    return {"negative_class": negative_class, **share, "by_class": by_class}


def _false_alarms(
    matrix: Int[np.ndarray, "C C"], class_names: Sequence[str], negative_class: str | None
) -> dict[str, Any] | None:
    """Healthy images called a tumour, by the tumour that they were called."""
    if negative_class is None:
        return None
    healthy = matrix[list(class_names).index(negative_class)]
    by_class = {name: int(healthy[i]) for i, name in enumerate(class_names)}
    del by_class[negative_class]
    share = counted_share(sum(by_class.values()), int(healthy.sum()))
    return {"negative_class": negative_class, **share, "by_class": by_class}


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
