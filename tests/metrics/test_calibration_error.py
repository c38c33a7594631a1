"""The ECE: by hand, what chance makes of it, and the coverage of its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from fakd_jax.metrics.calibration_error import (
    calibration_error,
    expected_calibration_error,
    reliability_bins,
)
from fakd_jax.metrics.resampling import wilson_interval
from tests.evaluation.predictions import random_predictions


def test_calibration_error_by_hand() -> None:
    # Bins of width 1/15: .95 and .97 share the last, .70 is on its own and .60 too.
    probabilities = np.array([[0.95, 0.05], [0.97, 0.03], [0.3, 0.7], [0.6, 0.4]])
    labels = np.array([0, 1, 1, 1])
    expected = (abs(1 - 0.95 + 0 - 0.97) + abs(1 - 0.7) + abs(0 - 0.6)) / 4
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)
    # An edge belongs to the bin below: of 2 bins, .5 and .4 lie in (0, .5], both right.
    probabilities = np.array([[0.5, 0.25, 0.25], [0.3, 0.3, 0.4], [0.9, 0.1, 0.0]])
    error = expected_calibration_error(probabilities, np.array([0, 2, 1]), bins=2)
    assert error == pytest.approx((0.5 + 0.6 + 0.9) / 3)


def test_the_bins_are_those_of_the_calibration_error() -> None:
    random = random_predictions(0)
    probabilities, labels = random.probabilities, random.labels
    bins = reliability_bins(probabilities, labels)
    assert len(bins) == 15
    assert (bins[0]["low"], bins[-1]["high"]) == (0, 1)
    assert sum(row["n"] for row in bins) == 200
    filled = [row for row in bins if row["n"]]
    gap = sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in filled) / 200
    assert gap == pytest.approx(expected_calibration_error(probabilities, labels))
    for row in filled:
        assert row["low"] < row["confidence"] <= row["high"]
        right = round(row["accuracy"] * row["n"])
        assert row["accuracy_ci95"] == list(wilson_interval(right, row["n"]))
    # The first bin is empty: of four classes one has at least 1/4.
    assert list(bins[0].values())[2:] == [0, None, None, None]


def two_classes(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two classes, the first predicted everywhere, and labels."""
    return np.stack([confidence, 1 - confidence], axis=1), np.where(right, 0, 1)


def test_what_is_expected_of_a_calibrated_network_by_hand() -> None:
    # One image in its bin is right with probability p: E|[right] - p| = 2p(1 - p).
    confidence = np.array([0.6, 0.75, 0.9])
    probabilities, labels = two_classes(confidence, np.array([True, True, False]))
    expected = np.mean(2 * confidence * (1 - confidence))
    error = calibration_error(probabilities, labels, np.arange(3))
    assert error.if_calibrated == pytest.approx(expected, rel=0.05)
    # E|B - 90| / 100 of a binomial count of 100 images, by its distribution.
    probabilities, labels = two_classes(np.full(100, 0.9), np.arange(100) < 80)
    error = calibration_error(probabilities, labels, np.arange(100))
    assert error.value == pytest.approx(0.1)
    assert error.if_calibrated == pytest.approx(0.02374, rel=0.05)
    # As 20 groups of five copies: E|B - 18| / 20.
    grouped = calibration_error(probabilities, labels, np.arange(100) // 5)
    assert grouped.if_calibrated == pytest.approx(0.05133, rel=0.05)


def test_the_interval_of_one_bin_is_that_of_its_accuracy() -> None:
    probabilities, labels = two_classes(np.full(400, 0.9), np.arange(400) < 300)
    low, high = calibration_error(probabilities, labels, np.arange(400)).ci95
    error = np.sqrt(0.75 * 0.25 / 400)
    assert (low, high) == pytest.approx((0.15 - 1.96 * error, 0.15 + 1.96 * error), abs=0.004)
    # In groups of four that are right together, twice as wide.
    low, high = calibration_error(probabilities, labels, np.arange(400) // 4).ci95
    assert high - low == pytest.approx(4 * 1.96 * error, rel=0.1)


def test_an_error_that_chance_explains_reaches_down_to_0() -> None:
    probabilities, labels = two_classes(np.full(100, 0.9), np.arange(100) < 87)
    error = calibration_error(probabilities, labels, np.arange(100))
    assert error.ci95[0] == 0 < error.value <= error.ci95[1]
    assert calibration_error(probabilities, labels * 0, np.arange(100)).ci95 is None
    assert calibration_error(probabilities, labels, np.zeros(100, int)).ci95 is None


def test_an_error_that_is_small_by_luck_has_no_small_upper_end() -> None:
    """60 of 80 right with a confidence of 3/4: the accuracy's standard error is 4.8 points."""
    for confidence in (0.75, 0.7500001):
        probabilities, labels = two_classes(np.full(80, confidence), np.arange(80) < 60)
        error = calibration_error(probabilities, labels, np.arange(80))
        assert error.value < 1e-6
        assert error.ci95[0] == 0
        assert 0.09 < error.ci95[1] < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 4])
@pytest.mark.parametrize(
    ("sharpness", "temperature"), [(3, 1.0), (15, 1.0), (3, 0.5), (8, 0.5), (3, 1.4)]
)
def test_the_interval_covers_the_error(sharpness: float, temperature: float, copies: int) -> None:
    """Labels drawn from probabilities, which are then sharpened or flattened by a temperature."""
    random = np.random.default_rng(1)

    def draw(n: int, copies: int = 1) -> tuple[np.ndarray, np.ndarray]:
        logits = sharpness * random.standard_normal((n // copies, 4))
        chances = np.cumsum(softmax(logits, axis=1), axis=1)
        labels = np.argmax(random.random((len(logits), 1)) < chances, axis=1)
        probabilities = softmax(logits / temperature, axis=1)
        return np.repeat(probabilities, copies, axis=0), np.repeat(labels, copies)

    truth = 0.0 if temperature == 1 else expected_calibration_error(*draw(1_000_000))
    found = []
    for _ in range(100):
        probabilities, labels = draw(1200, copies)
        found.append(calibration_error(probabilities, labels, np.arange(len(labels)) // copies))
    covered = [error.ci95[0] <= truth <= error.ci95[1] for error in found]
    assert 0.87 <= np.mean(covered) <= 1
    if not truth:  # the bias is just what is expected
        bias = np.mean([error.value - error.if_calibrated for error in found])
        assert abs(bias) < 0.06 * np.mean([error.value for error in found])
