"""Intervals from influence functions: by hand, and how often they cover the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import t as student

from fakd_jax.metrics.calibration import calibration_scores, log_losses, squared_errors
from fakd_jax.metrics.linearised import log_interval, logit_interval, standard_error
from fakd_jax.metrics.selective import area_under_risk_coverage, aurc_interval, risk_coverage
from tests.evaluation.predictions import predictions_of


def test_the_standard_error_of_a_mean_by_hand() -> None:
    values = np.array([1.0, 2.0, 6.0])
    influence = (values - 3) / 3
    assert standard_error(influence, np.arange(3)) == pytest.approx(
        values.std(ddof=1) / math.sqrt(3)
    )
    # The first two as one unit: influences -1 and 1.
    assert standard_error(influence, np.array([0, 0, 1])) == pytest.approx(2.0)
    assert standard_error(influence, np.zeros(3, int)) == 0


def test_intervals_by_hand() -> None:
    t = student.ppf(0.975, 9)
    assert log_interval(0.5, 0.1, 10) == pytest.approx(
        [0.5 / math.exp(t / 5), 0.5 * math.exp(t / 5)]
    )
    odds, reach = 4.0, math.exp(t * 0.05 / (0.8 * 0.2))
    ends = [odds / reach / (1 + odds / reach), odds * reach / (1 + odds * reach)]
    assert logit_interval(0.8, 0.05, 10) == pytest.approx(ends)
    assert log_interval(0.5, 0.1, 10, most=0.6) == pytest.approx([0.5 / math.exp(t / 5), 0.6])


def test_equal_images_give_no_interval_whatever_their_rounding() -> None:
    probabilities = np.tile([0.7, 0.3], (1000, 1))
    scores = calibration_scores(probabilities, np.zeros(1000, int), np.arange(1000))
    assert scores["nll_ci95"] is scores["brier_ci95"] is None


def test_few_images_have_scores_within_their_range() -> None:
    probabilities = np.array([[0.95, 0.05], [0.9, 0.1], [0.05, 0.95]])
    scores = calibration_scores(probabilities, np.array([0, 0, 0]), np.arange(3))
    assert scores["brier_ci95"][1] == 2.0
    confidence, wrong = probabilities.max(axis=1), np.array([False, False, True])
    curve = risk_coverage(confidence, wrong)
    assert aurc_interval(curve, confidence, wrong, np.arange(3))[1] <= 1.0


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 100))
def test_an_interval_contains_its_value_and_stays_in_range(
    value: float, error: float, units: int
) -> None:
    low, high = log_interval(value, error, units) or (value, value)
    assert 0 <= low <= value <= high
    low, high = logit_interval(value, error, units) or (value, value)
    assert 0 <= low <= value * (1 + 1e-12)
    assert value * (1 - 1e-12) <= high <= 1


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize(("n", "margin"), [(150, 2.5), (1311, 4.0)])
def test_intervals_cover_the_metrics_of_probabilities(n: int, margin: float, copies: int) -> None:
    """Overconfident networks of 91 and 99 % accuracy."""
    random, repeats = np.random.default_rng(0), 300

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 4, n)
        return 1.5 * (random.standard_normal((n, 4)) + margin * np.eye(4)[labels]), labels

    def measured(logits: np.ndarray, labels: np.ndarray, units: np.ndarray) -> list[tuple]:
        probabilities, found = softmax(logits, axis=1), []
        for values in (log_losses(probabilities, labels), squared_errors(probabilities, labels)):
            mean = float(values.mean())
            error = standard_error((values - mean) / len(labels), units)
            found.append((mean, log_interval(mean, error, int(units[-1]) + 1)))
        predictions = predictions_of(logits, labels)
        curve = risk_coverage(predictions.confidence, predictions.wrong)
        interval = aurc_interval(curve, predictions.confidence, predictions.wrong, units)
        return [*found, (area_under_risk_coverage(curve), interval)]

    truths = [value for value, _ in measured(*draw(500_000), np.arange(500_000))]
    covered: list[list[bool]] = [[], [], []]
    units = np.arange(n) // copies
    for _ in range(repeats):
        logits, labels = draw(units[-1] + 1)
        for which, (_, interval) in enumerate(measured(logits[units], labels[units], units)):
            if interval:  # no AURC without errors
                covered[which].append(interval[0] <= truths[which] <= interval[1])
    assert [len(values) > 0.9 * repeats for values in covered] == [True] * 3
    assert min(np.mean(values) for values in covered) > 0.88
