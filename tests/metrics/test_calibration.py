"""Calibration: against scikit-learn, by hand, properties, and temperatures that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from fakd_jax.metrics.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    brier_score,
    calibration_scores,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability_bins,
    scale_logits,
)
from fakd_jax.metrics.resampling import wilson_interval
from tests.evaluation.predictions import random_logits, random_predictions


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


def test_certainty_is_calibrated_if_right_and_costs_a_finite_amount_if_wrong() -> None:
    assert calibration_scores(np.eye(4), np.arange(4)) == {"ece": 0, "nll": 0, "brier": 0}
    certain = np.eye(2, dtype=np.float32)
    cost = negative_log_likelihood(certain, np.array([1, 1]))
    assert cost == pytest.approx(-math.log(np.finfo(np.float32).tiny) / 2)
    assert brier_score(certain, np.array([1, 0])) == 2


@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_scikit_learn(seed: int) -> None:
    random = random_predictions(seed)
    probabilities, labels = random.probabilities, random.labels
    scores = calibration_scores(probabilities, labels)
    assert scores["nll"] == pytest.approx(log_loss(labels, probabilities))
    assert scores["brier"] == pytest.approx(
        brier_score_loss(labels, probabilities, scale_by_half=False)
    )


@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(0.01, 30))
def test_scores_have_bounds_and_no_order(seed: int, n: int, sharpness: float) -> None:
    logits, labels = random_logits(seed, n)
    probabilities = scale_logits(logits, 1 / sharpness)
    scores = calibration_scores(probabilities, labels)
    assert 0 <= scores["ece"] <= 1
    assert 0 <= scores["brier"] <= 2
    assert scores["nll"] >= 0
    order = np.random.default_rng(seed).permutation(n)
    assert calibration_scores(probabilities[order], labels[order]) == pytest.approx(scores)


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


@pytest.mark.parametrize("known", [0.3, 1.0, 2.5])
def test_a_known_temperature_is_found(known: float) -> None:
    random = np.random.default_rng(0)
    logits = 2 * random.standard_normal((20_000, 4))
    # Labels drawn by the very probabilities: the logits are calibrated, T = 1.
    chances = np.cumsum(scale_logits(logits, 1.0), axis=1)
    labels = np.argmax(random.random((20_000, 1)) < chances, axis=1)
    fitted = fit_temperature((known * logits).astype(np.float32), labels)
    assert fitted.value == pytest.approx(known, rel=0.03)
    assert fitted.note is None
    one = fit_temperature(logits, labels).value
    assert fitted.value == pytest.approx(known * one, rel=1e-5)  # up to float32


def test_no_other_temperature_is_better() -> None:
    logits, labels = random_logits(0)
    best = fit_temperature(logits, labels).value

    def nll(temperature: float) -> float:
        return negative_log_likelihood(scale_logits(logits, temperature), labels)

    tried = [nll(temperature) for temperature in np.geomspace(0.1, 10, 200)]
    assert nll(best) <= min(tried)
    assert nll(best) < min(nll(best * 1.001), nll(best / 1.001))


@pytest.mark.parametrize(
    ("logits", "bound"),
    [
        (5 * np.eye(3), LOWEST_TEMPERATURE),  # no errors
        (-5 * np.eye(3), HIGHEST_TEMPERATURE),  # nothing but errors
        (np.ones((3, 3)), HIGHEST_TEMPERATURE),
    ],
)
def test_a_temperature_at_its_bound_comes_with_a_note(logits: np.ndarray, bound: float) -> None:
    fitted = fit_temperature(logits, np.arange(3))
    assert fitted.value == bound
    assert f"bound, {bound:g}" in fitted.note


def test_scaling_changes_no_prediction() -> None:
    logits, _ = random_logits(0)
    for temperature in (0.1, 1.0, 10.0):
        scaled = scale_logits(logits, temperature)
        np.testing.assert_allclose(scaled.sum(axis=1), 1)
        np.testing.assert_array_equal(scaled.argmax(axis=1), logits.argmax(axis=1))
    assert np.isfinite(scale_logits(np.array([[1e4, -1e4]], np.float32), 0.1)).all()
