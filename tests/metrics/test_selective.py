"""Risk by coverage and the reject option: by hand, by definition, by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from fakd_jax.metrics.predictions import Predictions
from fakd_jax.metrics.resampling import proportion, wilson_interval
from fakd_jax.metrics.selective import (
    area_under_risk_coverage,
    aurc_interval,
    choose_threshold,
    curve_rows,
    reject_option,
    risk_coverage,
)
from tests.evaluation.predictions import random_predictions

CONFIDENCE = np.array([0.9, 0.6, 0.8, 0.6, 0.7])
WRONG = np.array([False, True, False, False, True])


def area(confidence: np.ndarray, wrong: np.ndarray) -> float:
    return area_under_risk_coverage(risk_coverage(confidence, wrong))


def test_the_curve_by_hand() -> None:
    rows = curve_rows(risk_coverage(CONFIDENCE, WRONG))
    points = [(row["threshold"], row["n"], row["coverage"], row["risk"]) for row in rows]
    assert points == [
        (0.9, 1, 0.2, 0.0),
        (0.8, 2, 0.4, 0.0),
        (0.7, 3, 0.6, 1 / 3),
        (0.6, 5, 1.0, 2 / 5),  # the tie is kept together
    ]
    assert rows[2]["risk_ci95"] == list(wilson_interval(1, 3))
    assert area(CONFIDENCE, WRONG) == pytest.approx((0 + 0 + 1 / 3 + 2 * 2 / 5) / 5)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40), st.data())
def test_the_area_is_a_mean_of_risks(rows: list[tuple[int, bool]], data: st.DataObject) -> None:
    confidence = np.array([level / 6 for level, _ in rows])
    wrong = np.array([is_wrong for _, is_wrong in rows])
    expected = np.mean([wrong[confidence >= own].mean() for own in confidence])
    assert area(confidence, wrong) == pytest.approx(expected)
    assert 0 <= area(confidence, wrong) <= 1
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    assert area(confidence[order], wrong[order]) == area(confidence, wrong)


def test_the_areas_interval_is_that_of_its_jackknife() -> None:
    predictions = random_predictions(0, 300)
    confidence, wrong = np.round(predictions.confidence, 2), predictions.wrong  # with ties
    units = np.arange(300) // 2
    whole = area(confidence, wrong)
    left_out = [area(confidence[units != unit], wrong[units != unit]) for unit in range(150)]
    error = np.sqrt(149 / 150 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    low, high = aurc_interval(risk_coverage(confidence, wrong), confidence, wrong, units)
    assert np.sqrt(low * high) == pytest.approx(whole)
    assert np.log(high / low) / 2 / student.ppf(0.975, 149) * whole == pytest.approx(
        error, rel=0.05
    )


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    random = np.random.default_rng(0)
    confidence, wrong = random.random(5000), random.random(5000) < 0.1
    rows = curve_rows(risk_coverage(confidence, wrong))
    assert 95 <= len(rows) <= 100
    assert (rows[0]["n"], rows[-1]["n"]) == (1, 5000)
    assert max(np.diff([row["coverage"] for row in rows])) < 0.011
    for row in [*rows[::10], rows[-1]]:
        kept = confidence >= row["threshold"]
        assert (row["n"], row["risk"]) == (kept.sum(), pytest.approx(wrong[kept].mean()))


@pytest.mark.parametrize(("confidences", "predictions"), [(0, 0), (2, 3)])
def test_inconsistent_inputs_are_refused(confidences: int, predictions: int) -> None:
    with pytest.raises(ValueError, match="confidences for"):
        risk_coverage(np.zeros(confidences), np.zeros(predictions, bool))


def test_the_threshold_is_the_lowest_that_halves_the_error() -> None:
    # 4 of 10 are wrong, so the target is .2; from 3 up 2 of 7 are wrong, from 4 up 1 of 6.
    confidence = np.arange(10) / 10
    wrong = np.zeros(10, bool)
    wrong[[0, 2, 3, 8]] = True
    chosen = choose_threshold(confidence, wrong)
    assert chosen.threshold == 0.4
    assert "at most 0.5 times that of all (4 of 10 wrong)" in chosen.rule


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=30))
def test_the_threshold_by_trying_all(rows: list[tuple[int, bool]]) -> None:
    confidence = np.array([level / 8 for level, _ in rows])
    wrong = np.array([is_wrong for _, is_wrong in rows])
    fits = [level for level in confidence if 2 * wrong[confidence >= level].mean() <= wrong.mean()]
    chosen = choose_threshold(confidence, wrong)
    assert (chosen and chosen.threshold) == (min(fits) if wrong.any() and fits else None)


def predicted(labels: np.ndarray, classes: np.ndarray, confidence: np.ndarray) -> Predictions:
    """Predictions of three classes with the given confidence."""
    chosen = np.eye(3)[classes] == 1
    probabilities = np.where(chosen, confidence[:, None], (1 - confidence[:, None]) / 2)
    return Predictions(("",) * len(labels), np.log(probabilities), probabilities, labels)


def test_what_the_reject_option_costs_by_hand() -> None:
    labels = np.array([0, 1, 1, 2, 0, 2])
    classes = np.array([0, 0, 1, 0, 1, 2])
    confidence = np.array([0.9, 0.8, 0.5, 0.45, 0.4, 0.8])
    assert reject_option(0.8, predicted(labels, classes, confidence), negative=0) == {
        "coverage": 0.5,
        "n_kept": 3,
        "n_rejected": 3,
        "risk": 1 / 3,
        "risk_ci95": list(wilson_interval(1, 3)),
        "missed_tumour": proportion(1, 2),
        "rejected_right": 1,
        "rejected_wrong": 2,
    }


def test_a_threshold_that_keeps_nothing() -> None:
    labels = np.array([0, 1])
    cost = reject_option(0.95, predicted(labels, labels, np.array([0.9, 0.8])), None)
    assert (cost["n_kept"], cost["risk"], cost["risk_ci95"]) == (0, None, None)
    assert cost["missed_tumour"] is None
    assert cost["rejected_right"] == 2
