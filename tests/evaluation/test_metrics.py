"""Metrics against scikit-learn, SciPy, the paper's Table 2, and by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sklearn_metrics

from fakd_jax.errors import UserError
from fakd_jax.evaluation.metrics import (
    accuracy,
    classification_metrics,
    confusion_matrix,
    expected_calibration_error,
    metrics_of_confusion,
    negative_log_likelihood,
    wilson_interval,
)

NAMES = ("glioma", "meningioma", "notumor", "pituitary")
# The only confusion matrix that fits the paper's Table 2.
PAPER = np.array([[297, 3, 0, 0], [0, 303, 2, 1], [0, 0, 405, 0], [0, 1, 0, 299]])


def random_predictions(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that favour the label somewhat, and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, n)
    logits = random.standard_normal((n, 4)) + 1.2 * np.eye(4)[labels]
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32), labels


def test_the_papers_table_2() -> None:
    figures = metrics_of_confusion(PAPER, NAMES, "notumor")
    assert figures["n"] == 1311
    assert figures["accuracy"] == 1304 / 1311
    assert f"{100 * figures['accuracy']:.2f}" == "99.47"
    recalls = [figures["per_class"][name]["recall"] for name in NAMES]
    assert recalls == [297 / 300, 303 / 306, 1.0, 299 / 300]
    assert figures["per_class"]["meningioma"]["precision"] == 303 / 307
    assert figures["missed_tumour"] == {
        "negative_class": "notumor",
        "count": 2,
        "n": 906,
        "rate": 2 / 906,
        "ci95": list(wilson_interval(2, 906)),
        "by_class": {"glioma": 0, "meningioma": 2, "pituitary": 0},
    }
    assert figures["notes"] == []


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_agrees_with_scikit_learn(seed: int) -> None:
    probabilities, labels = random_predictions(seed)
    predictions = probabilities.argmax(axis=1)
    figures = classification_metrics(probabilities, labels, NAMES, "notumor")
    assert figures["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, predictions))
    assert figures["balanced_accuracy"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(labels, predictions)
    )
    assert figures["nll"] == pytest.approx(sklearn_metrics.log_loss(labels, probabilities))
    np.testing.assert_array_equal(
        figures["confusion_matrix"], sklearn_metrics.confusion_matrix(labels, predictions)
    )
    for average in ("macro", "weighted"):
        expected = sklearn_metrics.precision_recall_fscore_support(
            labels, predictions, average=average
        )
        assert list(figures[average].values()) == pytest.approx(expected[:3])
    report = sklearn_metrics.classification_report(
        labels, predictions, target_names=NAMES, output_dict=True
    )
    for name in NAMES:
        ours = figures["per_class"][name]
        theirs = report[name]
        assert (ours["precision"], ours["recall"], ours["f1"], ours["support"]) == pytest.approx(
            (theirs["precision"], theirs["recall"], theirs["f1-score"], theirs["support"])
        )


@given(n=st.integers(1, 3000), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilsons_interval_agrees_with_scipy(n: int, share: float, confidence: float) -> None:
    successes = round(n * share)
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    low, high = wilson_interval(successes, n, confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= successes / n <= high <= 1


@pytest.mark.parametrize("arguments", [(-1, 5), (6, 5), (0, 0), (1, 2, 1.0), (1, 2, 0.0)])
def test_an_interval_of_nothing_is_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="no interval"):
        wilson_interval(*arguments)


def test_calibration_error_by_hand() -> None:
    # Bins of width 1/15: .95 and .97 share the last, .70 is on its own and .60 too.
    probabilities = np.array([[0.95, 0.05], [0.97, 0.03], [0.3, 0.7], [0.6, 0.4]])
    labels = np.array([0, 1, 1, 1])
    expected = (abs(1 - 0.95 + 0 - 0.97) + abs(1 - 0.7) + abs(0 - 0.6)) / 4
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_an_edge_belongs_to_the_bin_below() -> None:
    # With 2 bins, .5 and .4 lie in (0, .5]: both right, so that bin's gap is .5 + .6.
    probabilities = np.array([[0.5, 0.25, 0.25], [0.3, 0.3, 0.4], [0.9, 0.1, 0.0]])
    labels = np.array([0, 2, 1])
    expected = (1.1 + 0.9) / 3
    assert expected_calibration_error(probabilities, labels, bins=2) == pytest.approx(expected)


def test_certainty_that_is_right_is_calibrated() -> None:
    certain = np.eye(4)[[0, 1, 2, 3]]
    assert expected_calibration_error(certain, np.arange(4)) == 0
    assert negative_log_likelihood(certain, np.arange(4)) == 0


def test_certainty_that_is_wrong_costs_a_finite_amount() -> None:
    certain = np.eye(2, dtype=np.float32)
    cost = negative_log_likelihood(certain, np.array([1, 1]))
    assert cost == pytest.approx(-math.log(np.finfo(np.float32).tiny) / 2)


def test_a_class_without_examples() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.1, 0.8, 0.1]])
    figures = classification_metrics(probabilities, np.array([0, 0, 1]), ("a", "b", "c"), "c")
    absent = figures["per_class"]["c"]
    assert absent == {
        "precision": 0.0,
        "recall": None,
        "recall_ci95": None,
        "f1": None,
        "support": 0,
    }
    assert figures["macro"]["recall"] == figures["balanced_accuracy"] == 0.75
    assert figures["missed_tumour"]["count"] == 1
    assert figures["notes"] == [
        "c has no examples: its recall is undefined, and the macro averages and the balanced "
        "accuracy leave it out"
    ]


def test_a_class_never_predicted_has_precision_zero_and_a_note() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2]])
    figures = classification_metrics(probabilities, np.array([0, 1]), ("a", "b"))
    assert figures["per_class"]["b"]["precision"] == 0
    assert figures["per_class"]["b"]["f1"] == 0
    assert figures["macro"]["precision"] == 0.25
    assert "b was never predicted" in figures["notes"][0]


def test_no_negative_class_and_no_tumours() -> None:
    probabilities = np.array([[0.9, 0.1]])
    assert classification_metrics(probabilities, np.array([0]), ("a", "b"))["missed_tumour"] is None
    healthy = classification_metrics(probabilities, np.array([0]), ("a", "b"), "a")
    assert healthy["missed_tumour"]["n"] == 0
    assert healthy["missed_tumour"]["rate"] is None
    assert healthy["missed_tumour"]["ci95"] is None


def test_json_can_hold_every_figure() -> None:
    figures = classification_metrics(*random_predictions(0), NAMES, "notumor")
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_no_examples_is_the_users_to_mend() -> None:
    with pytest.raises(UserError, match="no examples"):
        classification_metrics(np.zeros((0, 4)), np.zeros(0, np.int64), NAMES)


def test_output_that_is_not_finite_is_the_users_to_mend() -> None:
    probabilities = np.array([[0.5, 0.5], [np.nan, np.nan]])
    with pytest.raises(UserError, match="not finite for 1 of 2"):
        classification_metrics(probabilities, np.array([0, 1]), ("a", "b"))


@pytest.mark.parametrize(
    ("probabilities", "labels", "names", "negative"),
    [
        (np.full((2, 2), 0.5), [0], ("a", "b"), None),
        (np.full((1, 2), 0.5), [0], ("a", "b", "c"), None),
        (np.full((1, 2), 0.7), [0], ("a", "b"), None),
        (np.full((1, 2), 0.5), [2], ("a", "b"), None),
        (np.full((1, 2), 0.5), [-1], ("a", "b"), None),
        (np.full((1, 2), 0.5), [0], ("a", "b"), "c"),
    ],
)
def test_what_would_mean_nothing_is_refused(
    probabilities: np.ndarray, labels: list, names: tuple, negative: str | None
) -> None:
    with pytest.raises((ValueError, TypeError)):  # TypeError where annotations are checked
        classification_metrics(probabilities, np.array(labels), names, negative)


def test_accuracy_and_confusion_alone() -> None:
    predictions, labels = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
    assert accuracy(predictions, labels) == 0.75
    expected = [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    np.testing.assert_array_equal(confusion_matrix(labels, predictions, 3), expected)


@pytest.mark.parametrize("predictions", [[], [0, 1]])
def test_accuracy_of_unequal_or_no_examples_is_refused(predictions: list) -> None:
    with pytest.raises((ValueError, TypeError)):
        accuracy(np.array(predictions, int), np.array(predictions[:1], int))
