"""What counts alone tell: the paper's Table 2, scikit-learn, conventions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from fakd_jax.errors import UserError
from fakd_jax.metrics.confusion import (
    accuracy_statistics,
    confusion_matrix,
    count_missed_tumours,
    metrics_of_confusion,
)
from fakd_jax.metrics.resampling import counted_share, point_estimates, wilson_interval
from tests.evaluation.answers import NAMES, PAPER, random_probabilities


def test_the_papers_table_2() -> None:
    figures = metrics_of_confusion(PAPER, NAMES, "notumor")
    assert figures["n"] == 1311
    assert figures["accuracy"] == 1304 / 1311
    assert figures["accuracy_ci95"] == list(wilson_interval(1304, 1311))
    assert f"{100 * figures['accuracy']:.2f}" == "99.47"
    recalls = [figures["per_class"][name]["recall"] for name in NAMES]
    assert recalls == [297 / 300, 303 / 306, 1.0, 299 / 300]
    assert figures["per_class"]["meningioma"] == {
        "precision": 303 / 307,
        "precision_ci95": list(wilson_interval(303, 307)),
        "recall": 303 / 306,
        "recall_ci95": list(wilson_interval(303, 306)),
        "specificity": 1001 / 1005,
        "specificity_ci95": list(wilson_interval(1001, 1005)),
        "f1": 2 * 303 / (306 + 307),
        "support": 306,
    }
    assert figures["missed_tumour"] == {
        "negative_class": "notumor",
        **counted_share(2, 906),
        "by_class": {"glioma": 0, "meningioma": 2, "pituitary": 0},
    }
    assert figures["false_alarm"] == {
        "negative_class": "notumor",
        **counted_share(0, 405),
        "by_class": {"glioma": 0, "meningioma": 0, "pituitary": 0},
    }
    assert figures["notes"] == []


def test_false_alarms_are_counted_by_the_tumour_they_were_called() -> None:
    figures = metrics_of_confusion(
        np.array([[5, 1, 0], [2, 7, 3], [0, 0, 4]]), ("a", "b", "c"), "b"
    )
    assert figures["false_alarm"]["by_class"] == {"a": 2, "c": 3}
    assert (figures["false_alarm"]["count"], figures["false_alarm"]["n"]) == (5, 12)
    assert figures["missed_tumour"]["by_class"] == {"a": 1, "c": 0}
    assert (figures["missed_tumour"]["count"], figures["missed_tumour"]["n"]) == (1, 10)


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_agrees_with_scikit_learn(seed: int) -> None:
    probabilities, labels = random_probabilities(seed)
    predictions = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predictions, 4)
    np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(labels, predictions))
    figures = metrics_of_confusion(matrix, NAMES, "notumor")
    assert figures["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, predictions))
    assert figures["balanced_accuracy"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(labels, predictions)
    )
    for average in ("macro", "weighted"):
        expected = sklearn_metrics.precision_recall_fscore_support(
            labels, predictions, average=average
        )
        assert list(figures[average].values()) == pytest.approx(expected[:3])
    report = sklearn_metrics.classification_report(
        labels, predictions, target_names=NAMES, output_dict=True
    )
    for index, name in enumerate(NAMES):
        ours = figures["per_class"][name]
        theirs = report[name]
        assert (ours["precision"], ours["recall"], ours["f1"], ours["support"]) == pytest.approx(
            (theirs["precision"], theirs["recall"], theirs["f1-score"], theirs["support"])
        )
        # Specificity is the recall of all that is not the class.
        specificity = sklearn_metrics.recall_score(labels != index, predictions != index)
        assert ours["specificity"] == pytest.approx(specificity)


def test_a_class_without_examples() -> None:
    figures = metrics_of_confusion(
        np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]]), ("a", "b", "c"), "c"
    )
    assert figures["per_class"]["c"] == {
        "precision": 0.0,
        "precision_ci95": list(wilson_interval(0, 1)),
        "recall": None,
        "recall_ci95": None,
        "specificity": 2 / 3,
        "specificity_ci95": list(wilson_interval(2, 3)),
        "f1": None,
        "support": 0,
    }
    assert figures["macro"]["recall"] == figures["balanced_accuracy"] == 0.75
    assert figures["missed_tumour"]["count"] == 1
    assert figures["false_alarm"]["n"] == 0
    assert figures["false_alarm"]["rate"] is None
    assert figures["notes"] == [
        "c has no examples: its recall is undefined, and the macro averages and the balanced "
        "accuracy leave it out"
    ]


def test_a_class_never_predicted_has_precision_zero_and_a_note() -> None:
    figures = metrics_of_confusion(np.array([[1, 0], [1, 0]]), ("a", "b"))
    assert figures["per_class"]["b"]["precision"] == 0
    assert figures["per_class"]["b"]["precision_ci95"] is None
    assert figures["per_class"]["b"]["f1"] == 0
    assert figures["macro"]["precision"] == 0.25
    assert "b was never predicted" in figures["notes"][0]


def test_a_class_neither_there_nor_predicted_is_undefined() -> None:
    absent = metrics_of_confusion(np.array([[3, 0], [0, 0]]), ("a", "b"))["per_class"]["b"]
    assert (absent["precision"], absent["recall"], absent["f1"]) == (None, None, None)
    assert absent["specificity"] == 1


def test_no_negative_class_and_no_tumours() -> None:
    matrix = np.array([[1, 0], [0, 0]])
    unnamed = metrics_of_confusion(matrix, ("a", "b"))
    assert unnamed["missed_tumour"] is unnamed["false_alarm"] is None
    healthy = metrics_of_confusion(matrix, ("a", "b"), "a")["missed_tumour"]
    assert (healthy["n"], healthy["rate"], healthy["ci95"]) == (0, None, None)


def test_an_empty_matrix_is_the_users_to_mend() -> None:
    with pytest.raises(UserError, match="no examples"):
        metrics_of_confusion(np.zeros((2, 2), int), ("a", "b"))


def test_a_matrix_by_hand_and_what_does_not_fit() -> None:
    predictions, labels = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
    expected = [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    np.testing.assert_array_equal(confusion_matrix(labels, predictions, 3), expected)
    with pytest.raises(ValueError, match="labels outside"):
        confusion_matrix(labels, predictions, 2)
    with pytest.raises((ValueError, TypeError)):
        confusion_matrix(labels[1:], predictions, 3)


def test_weighted_shares_are_those_of_the_copies() -> None:
    probabilities, labels = random_probabilities(0)
    predictions = probabilities.argmax(axis=1)
    statistics = accuracy_statistics(labels, predictions, 4)
    plain = metrics_of_confusion(confusion_matrix(labels, predictions, 4), NAMES)
    for key, value in point_estimates(statistics, 200).items():
        assert value == pytest.approx(plain[key])
    times = np.random.default_rng(5).integers(0, 3, 200)
    copied = metrics_of_confusion(
        confusion_matrix(np.repeat(labels, times), np.repeat(predictions, times), 4), NAMES
    )
    for key, value in statistics(times[None].astype(float)).items():
        assert value == pytest.approx([copied[key]])


def test_balanced_accuracy_without_one_of_its_classes_is_undefined() -> None:
    labels = np.array([0, 0, 1])
    statistics = accuracy_statistics(labels, labels, 3)
    drawn = statistics(np.array([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0]]))
    assert drawn["balanced_accuracy"][0] == 1  # class 2 was never there
    assert np.isnan(drawn["balanced_accuracy"][1])


def test_missed_tumours_counted_from_answers() -> None:
    labels, predictions = np.array([0, 1, 1, 2, 1]), np.array([1, 0, 1, 2, 0])
    assert count_missed_tumours(labels, predictions, 0) == counted_share(2, 4)
    assert count_missed_tumours(labels, predictions, 1) == counted_share(1, 2)
