"""All metrics together: consistency, what they are chosen on, and what is refused."""

from __future__ import annotations

import json
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fakd_jax.errors import UserError
from fakd_jax.metrics.calibration import calibration_scores, fit_temperature, scale_logits
from fakd_jax.metrics.classification import NO_THRESHOLD, add_validation, classification_metrics
from fakd_jax.metrics.confusion import confusion_matrix, confusion_metrics
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.metrics.selective import choose_threshold
from tests.evaluation.predictions import NAMES, predictions_of, random_predictions


def test_the_metrics_are_consistent() -> None:
    predictions = random_predictions(0)
    probabilities, labels = predictions.probabilities, predictions.labels
    metrics = classification_metrics(predictions, NAMES, "notumor")
    matrix = confusion_matrix(labels, predictions.classes, 4)
    counted = confusion_metrics(matrix, NAMES, "notumor")
    per_class = counted.pop("per_class")
    assert counted.items() <= metrics.items()
    for index, name in enumerate(NAMES):
        ours = metrics["per_class"][name]
        assert per_class[name].items() <= ours.items()
        expected = roc_auc_score(labels == index, probabilities[:, index])
        assert ours["auroc"] == pytest.approx(expected)
        assert ours["auroc_ci95"][0] < expected < ours["auroc_ci95"][1]
    for values, key in (
        (metrics, "balanced_accuracy"),
        (metrics["auroc"], "macro"),
        (metrics["auroc"], "tumour"),
        (metrics, "nll"),
        (metrics, "brier"),
        (metrics["selective"], "aurc"),
    ):
        low, high = values[f"{key}_ci95"]
        assert low < values[key] < high
    assert calibration_scores(probabilities, labels, np.arange(200)).items() <= metrics.items()
    everything = metrics["selective"]["curve"][-1]
    assert everything["risk"] == pytest.approx(1 - metrics["accuracy"])
    assert metrics["selective"]["aurc"] < 1 - metrics["accuracy"]


def test_what_needs_other_images_is_none() -> None:
    metrics = classification_metrics(random_predictions(0), NAMES)
    assert metrics["calibration"]["temperature"] is metrics["selective"]["reject"] is None
    assert metrics["accuracy_ci95_grouped"] is None
    assert metrics["auroc"]["tumour"] is metrics["auroc"]["tumour_ci95"] is None
    assert metrics["bootstrap"] == {"resamples": 2000, "seed": 0, "unit": "image", "units": 200}


def test_groups_are_the_bootstraps_units() -> None:
    once = random_predictions(0)
    fourfold = predictions_of(*(np.repeat(part, 4, axis=0) for part in (once.logits, once.labels)))
    alone = classification_metrics(fourfold, NAMES, "notumor")
    grouped = classification_metrics(fourfold, NAMES, "notumor", groups=np.arange(800) // 4)
    assert (grouped["bootstrap"]["unit"], grouped["bootstrap"]["units"]) == ("duplicate group", 200)
    assert grouped["accuracy_ci95"] == alone["accuracy_ci95"]
    # Four copies of everything: the true intervals are twice as wide.
    for narrow, wide in (
        (alone["balanced_accuracy_ci95"], grouped["balanced_accuracy_ci95"]),
        (alone["auroc"]["macro_ci95"], grouped["auroc"]["macro_ci95"]),
        (alone["nll_ci95"], grouped["nll_ci95"]),
        (alone["selective"]["aurc_ci95"], grouped["selective"]["aurc_ci95"]),
        (alone["accuracy_ci95"], grouped["accuracy_ci95_grouped"]),
    ):
        assert np.ptp(wide) / np.ptp(narrow) == pytest.approx(2, rel=0.1)


def test_thresholds_chosen_on_validation_images_are_measured_on_the_others() -> None:
    test, validation = random_predictions(0, 300, 3.0), random_predictions(1, 500, 3.0)
    plain = classification_metrics(test, NAMES, "notumor")
    metrics = add_validation(plain, test, validation, "notumor")
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    source, temperature = {"split": "val", "n": 500}, metrics["calibration"]["temperature"]
    assert temperature["value"] == fit_temperature(validation.logits, validation.labels).value > 1
    assert temperature["fitted_on"] == source
    assert temperature["before"] == {key: plain[key] for key in temperature["after"]}
    scaled = scale_logits(test.logits, temperature["value"])
    assert temperature["after"] == calibration_scores(scaled, test.labels, np.arange(300))
    assert temperature["after"]["nll"] < temperature["before"]["nll"]
    assert temperature["after"]["ece"] < temperature["before"]["ece"]
    assert sum(row["n"] for row in temperature["bins_after"]) == 300

    reject = metrics["selective"]["reject"]
    threshold, rule = choose_threshold(validation.confidence, validation.wrong)
    assert (reject["threshold"], reject["rule"]) == (threshold, rule)
    assert reject["chosen_on"] == source
    assert reject["n_kept"] == np.sum(test.confidence >= threshold)
    assert reject["n_kept"] + reject["rejected_right"] + reject["rejected_wrong"] == 300
    assert reject["risk"] < 1 - plain["accuracy"]
    assert reject["missed_tumour"]["n"] < plain["missed_tumour"]["n"]
    # Nothing else changes.
    assert metrics["calibration"]["bins"] == plain["calibration"]["bins"]
    assert metrics["selective"]["curve"] == plain["selective"]["curve"]
    assert metrics["notes"] == plain["notes"]
    assert plain["calibration"]["temperature"] is None


def test_validation_images_without_an_error_leave_notes() -> None:
    test, labels = random_predictions(0), np.arange(40) % 4
    faultless = predictions_of(9.0 * np.eye(4)[labels], labels)
    metrics = add_validation(classification_metrics(test, NAMES), test, faultless)
    assert metrics["selective"]["reject"] is None
    assert metrics["calibration"]["temperature"]["value"] == 0.1
    assert "lower bound" in metrics["notes"][0]
    assert metrics["notes"][1] == NO_THRESHOLD


def test_what_a_user_can_repair_is_a_user_error() -> None:
    with pytest.raises(UserError, match="no examples"):
        classification_metrics(predictions_of(np.zeros((0, 4)), np.zeros(0, np.int64)), NAMES)
    fine = predictions_of(np.zeros((2, 2)), np.array([0, 1]))
    broken = replace(fine, probabilities=np.array([[0.5, 0.5], [np.nan, np.nan]]))
    with pytest.raises(UserError, match="not finite for 1 of 2"):
        classification_metrics(broken, ("a", "b"))
    with pytest.raises(UserError, match="not finite for 1 of 2"):
        add_validation(classification_metrics(fine, ("a", "b")), fine, broken)


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
def test_inconsistent_inputs_are_refused(
    probabilities: np.ndarray, labels: list, names: tuple, negative: str | None
) -> None:
    with pytest.raises((ValueError, TypeError)):  # TypeError where annotations are checked
        classification_metrics(
            Predictions(("0",), probabilities, probabilities, np.array(labels)), names, negative
        )


@pytest.mark.slow
def test_a_hundred_thousand_predictions_of_twenty_classes_take_seconds_and_little_memory() -> None:
    random, n, classes = np.random.default_rng(0), 100_000, 20
    labels = random.integers(classes, size=n)
    logits = (
        random.standard_normal((n, classes), np.float32)
        + 5 * np.eye(classes, dtype=np.float32)[labels]
    )
    predictions = predictions_of(logits, labels)
    tracemalloc.start()
    start = time.process_time()
    classification_metrics(
        predictions, tuple("abcdefghijklmnopqrst"), "a", groups=np.arange(n) // 3
    )
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 60
    assert peak < 12 * 8 * n * classes  # one-hot confusion cells alone were n * classes**2 floats
