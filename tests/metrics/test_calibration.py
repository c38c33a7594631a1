"""Calibration: against scikit-learn, by hand, properties, and temperatures that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss

from fakd_jax.metrics.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    calibration_scores,
    fit_temperature,
    log_losses,
    scale_logits,
    squared_errors,
)
from tests.evaluation.predictions import random_logits, random_predictions


def test_certainty_is_calibrated_if_right_and_costs_a_finite_amount_if_wrong() -> None:
    scores = calibration_scores(np.eye(4), np.arange(4), np.arange(4))
    numbers = dict.fromkeys(("ece", "ece_if_calibrated", "nll", "brier"), 0)
    assert scores == numbers | dict.fromkeys(("ece_ci95", "nll_ci95", "brier_ci95"))
    certain = np.eye(2, dtype=np.float32)
    costs = log_losses(certain, np.array([1, 1]))
    assert costs == pytest.approx([-math.log(np.finfo(np.float32).tiny), 0])
    assert squared_errors(certain, np.array([1, 0])).tolist() == [2, 2]
    assert certain.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_scikit_learn(seed: int) -> None:
    random = random_predictions(seed)
    probabilities, labels = random.probabilities, random.labels
    scores = calibration_scores(probabilities, labels, np.arange(200))
    assert scores["nll"] == pytest.approx(log_loss(labels, probabilities))
    assert scores["brier"] == pytest.approx(
        brier_score_loss(labels, probabilities, scale_by_half=False)
    )


@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(0.01, 30))
def test_scores_have_bounds_and_no_order(seed: int, n: int, sharpness: float) -> None:
    logits, labels = random_logits(seed, n)
    probabilities = scale_logits(logits, 1 / sharpness)
    scores = calibration_scores(probabilities, labels, np.arange(n))
    assert 0 <= scores["ece"] <= 1
    assert 0 <= scores["brier"] <= 2
    assert scores["nll"] >= 0
    for name in ("ece", "nll", "brier"):
        low, high = scores[f"{name}_ci95"] or (scores[name], scores[name])
        assert 0 <= low <= scores[name] <= high
    order = np.random.default_rng(seed).permutation(n)
    reordered = calibration_scores(probabilities[order], labels[order], np.arange(n))
    for name in ("ece", "nll", "brier", "nll_ci95", "brier_ci95"):
        assert reordered[name] == pytest.approx(scores[name])


def test_copies_count_once_in_groups_and_again_as_images() -> None:
    once = random_predictions(0)
    labels, probabilities = (np.repeat(x, 4, axis=0) for x in (once.labels, once.probabilities))
    of_one = calibration_scores(once.probabilities, once.labels, np.arange(200))
    grouped = calibration_scores(probabilities, labels, np.arange(800) // 4)
    naive = calibration_scores(probabilities, labels, np.arange(800))
    for name in ("nll", "brier"):
        assert grouped[f"{name}_ci95"] == pytest.approx(of_one[f"{name}_ci95"])
        half = np.ptp(of_one[f"{name}_ci95"]) / 2
        assert np.ptp(naive[f"{name}_ci95"]) == pytest.approx(half, rel=0.05)
    expected = of_one["ece_if_calibrated"]
    assert grouped["ece_if_calibrated"] == pytest.approx(expected, rel=0.05)
    assert naive["ece_if_calibrated"] == pytest.approx(expected / 2, rel=0.05)


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
        return float(log_losses(scale_logits(logits, temperature), labels).mean())

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


def test_few_units_of_which_many_samples_are_the_same_have_an_interval() -> None:
    logits = [[0.06, -0.06, -0.12, 0.18], [-0.18, 0.0, 0.18, -0.12], [0.06, 0.12, 0.06, -0.06]]
    scores = calibration_scores(
        softmax(np.array(logits, np.float32), axis=-1), np.array([2, 2, 1]), np.arange(3)
    )
    low, high = scores["ece_ci95"]
    assert 0 <= low <= scores["ece"] <= high <= 1
