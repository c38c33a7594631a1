"""Confusion matrices: the paper's Table 2, scikit-learn, conventions."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import sklearn.metrics

from fakd_jax.metrics.confusion import (
    accuracy_intervals,
    confusion_matrix,
    confusion_metrics,
    missed_tumours,
)
from fakd_jax.metrics.resampling import bootstrap, proportion, resampled_sums, wilson_interval
from tests.evaluation.predictions import NAMES, PAPER, random_predictions


def test_the_papers_table_2() -> None:
    metrics = confusion_metrics(PAPER, NAMES, "notumor")
    assert metrics["n"] == 1311
    assert metrics["accuracy"] == 1304 / 1311
    assert metrics["accuracy_ci95"] == list(wilson_interval(1304, 1311))
    assert f"{100 * metrics['accuracy']:.2f}" == "99.47"
    recalls = [metrics["per_class"][name]["recall"] for name in NAMES]
    assert recalls == [297 / 300, 303 / 306, 1.0, 299 / 300]
    assert metrics["per_class"]["meningioma"] == {
        "precision": 303 / 307,
        "precision_ci95": list(wilson_interval(303, 307)),
        "recall": 303 / 306,
        "recall_ci95": list(wilson_interval(303, 306)),
        "specificity": 1001 / 1005,
        "specificity_ci95": list(wilson_interval(1001, 1005)),
        "f1": 2 * 303 / (306 + 307),
        "support": 306,
    }
    assert metrics["missed_tumour"] == {
        "negative_class": "notumor",
        **proportion(2, 906),
        "by_class": {"glioma": 0, "meningioma": 2, "pituitary": 0},
    }
    assert metrics["notes"] == []


def test_errors_are_counted_by_the_tumour() -> None:
    metrics = confusion_metrics(np.array([[5, 1, 0], [2, 7, 3], [0, 0, 4]]), ("a", "b", "c"), "b")
    false_alarms = {"by_class": {"a": 2, "c": 3}, **proportion(5, 12)}
    assert metrics["false_alarm"] == {"negative_class": "b"} | false_alarms
    missed = {"by_class": {"a": 1, "c": 0}, **proportion(1, 10)}
    assert metrics["missed_tumour"] == {"negative_class": "b"} | missed


@pytest.mark.parametrize("seed", range(3))
def test_all_metrics_agree_with_scikit_learn(seed: int) -> None:
    random = random_predictions(seed)
    labels, predictions = random.labels, random.classes
    matrix = confusion_matrix(labels, predictions, 4)
    np.testing.assert_array_equal(matrix, sklearn.metrics.confusion_matrix(labels, predictions))
    metrics = confusion_metrics(matrix, NAMES, "notumor")
    assert metrics["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predictions))
    assert metrics["balanced_accuracy"] == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(labels, predictions)
    )
    for average in ("macro", "weighted"):
        expected = sklearn.metrics.precision_recall_fscore_support(
            labels, predictions, average=average
        )
        assert list(metrics[average].values()) == pytest.approx(expected[:3])
    report = sklearn.metrics.classification_report(
        labels, predictions, target_names=NAMES, output_dict=True
    )
    for index, name in enumerate(NAMES):
        ours = metrics["per_class"][name]
        theirs = report[name]
        assert (ours["precision"], ours["recall"], ours["f1"], ours["support"]) == pytest.approx(
            (theirs["precision"], theirs["recall"], theirs["f1-score"], theirs["support"])
        )
        # Specificity is the recall of all that is not the class.
        specificity = sklearn.metrics.recall_score(labels != index, predictions != index)
        assert ours["specificity"] == pytest.approx(specificity)


def test_a_class_without_examples() -> None:
    metrics = confusion_metrics(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]]), ("a", "b", "c"), "c")
    assert metrics["per_class"]["c"] == {
        "precision": 0.0,
        "precision_ci95": list(wilson_interval(0, 1)),
        "recall": None,
        "recall_ci95": None,
        "specificity": 2 / 3,
        "specificity_ci95": list(wilson_interval(2, 3)),
        "f1": None,
        "support": 0,
    }
    assert metrics["macro"]["recall"] == metrics["balanced_accuracy"] == 0.75
    assert metrics["missed_tumour"]["count"] == 1
    assert (metrics["false_alarm"]["n"], metrics["false_alarm"]["rate"]) == (0, None)
    assert metrics["notes"][0].startswith("c has no examples")


def test_a_class_never_predicted_has_precision_zero_and_a_note() -> None:
    metrics = confusion_metrics(np.array([[1, 0], [1, 0]]), ("a", "b"))
    b = metrics["per_class"]["b"]
    assert (b["precision"], b["precision_ci95"], b["f1"]) == (0, None, 0)
    assert metrics["macro"]["precision"] == 0.25
    assert "b was never predicted" in metrics["notes"][0]


def test_a_class_neither_there_nor_predicted_is_undefined() -> None:
    matrix = np.array([[3, 0], [0, 0]])
    unnamed = confusion_metrics(matrix, ("a", "b"))
    absent = unnamed["per_class"]["b"]
    keys = ("precision", "recall", "f1", "specificity")
    assert [absent[key] for key in keys] == [None, None, None, 1]
    assert unnamed["missed_tumour"] is unnamed["false_alarm"] is None
    healthy = confusion_metrics(matrix, ("a", "b"), "a")["missed_tumour"]
    assert (healthy["n"], healthy["rate"], healthy["ci95"]) == (0, None, None)


def test_labels_and_predictions_that_do_not_fit_are_refused() -> None:
    predictions, labels = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
    with pytest.raises(ValueError, match="labels outside"):
        confusion_matrix(labels, predictions, 2)
    with pytest.raises(ValueError, match="4 predictions for 3 labels"):
        confusion_matrix(labels[1:], predictions, 3)


def test_intervals_are_those_of_the_metrics_of_resampled_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random, units = random_predictions(0, 60), np.arange(60) // 2
    labels, predictions = random.labels, random.classes

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        found = [
            confusion_metrics(
                confusion_matrix(np.repeat(labels, times), np.repeat(predictions, times), 4), NAMES
            )
            for times in weights.astype(int)
        ]
        keys = ("accuracy", "balanced_accuracy")
        return {key: np.array([metrics[key] for metrics in found]) for key in keys}

    expected = bootstrap(statistics, units, resamples=50)
    few = partial(resampled_sums, resamples=50)
    monkeypatch.setattr("fakd_jax.metrics.confusion.resampled_sums", few)
    found = accuracy_intervals(labels, predictions, 4, units)
    for key, interval in expected.items():
        assert found[key] == pytest.approx(interval)


@pytest.mark.parametrize(
    ("negative", "expected"), [(0, proportion(2, 4)), (1, proportion(1, 2)), (None, None)]
)
def test_missed_tumours_by_hand(negative: int | None, expected: dict | None) -> None:
    labels, predictions = np.array([0, 1, 1, 2, 1]), np.array([1, 0, 1, 2, 0])
    assert missed_tumours(labels, predictions, negative) == expected
