"""Tumour against none: scikit-learn's curve, values by hand, Bayes' theorem, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.metrics import roc_curve as sklearn_roc_curve

from fakd_jax.metrics.detection import (
    CURVE_POINTS,
    MOST_PROBABLE,
    ON_THESE,
    ON_VALIDATION,
    detection_metrics,
    predictive_values,
    roc_curve,
    threshold_at,
    tumour_log_odds,
)
from fakd_jax.metrics.resampling import proportion, wilson_interval
from tests.evaluation.predictions import predictions_of, random_predictions

SCORES = np.array([3.0, 2.0, 2.0, 1.0, 0.0, -1.0])
POSITIVE = np.array([True, True, False, True, False, False])


def test_log_odds_rank_where_probabilities_round_to_one() -> None:
    logits = np.array([[30.0, 0.0, 1.0], [60.0, 0.0, 1.0], [0.0, 5.0, 1.0]], np.float32)
    odds = tumour_log_odds(logits, 1)
    assert odds == pytest.approx(logsumexp(logits[:, [0, 2]], axis=1) - logits[:, 1])
    assert odds[1] > odds[0] > 0 > odds[2]


def test_the_curve_is_the_definition() -> None:
    thresholds, sensitivity, specificity = roc_curve(SCORES, POSITIVE)
    assert thresholds.tolist() == [np.inf, 3.0, 2.0, 1.0, 0.0, -1.0]
    for threshold, found, spared in zip(thresholds, sensitivity, specificity, strict=True):
        decided = threshold <= SCORES
        assert found == decided[POSITIVE].mean()
        assert spared == pytest.approx((~decided[~POSITIVE]).mean())
    assert threshold_at(SCORES, POSITIVE, 2 / 3) == 1.0
    assert threshold_at(SCORES, POSITIVE, 0.99) == 3.0


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60).filter(
        lambda rows: len({positive for _, positive in rows}) == 2
    )
)
def test_the_curve_is_that_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, positive = (np.array(column) for column in zip(*rows, strict=True))
    _, sensitivity, specificity = roc_curve(scores.astype(float), positive)
    falls, found, _ = sklearn_roc_curve(positive, scores, drop_intermediate=False)
    assert sensitivity == pytest.approx(found)
    assert 1 - specificity == pytest.approx(falls)


def test_predictive_values_by_hand() -> None:
    # Of 10,000 people 100 have a tumour: 90 are found, and 495 others raise an alarm.
    values = predictive_values(proportion(90, 100), proportion(190, 200), 0.01)
    assert values["ppv"] == pytest.approx(90 / (90 + 495))
    assert values["npv"] == pytest.approx(9405 / 9415)
    assert values["ppv_ci95"][0] < values["ppv"] < values["ppv_ci95"][1]
    # The ends of log(sensitivity) and log(1 - specificity), squared and added.
    (found, _), (_, alarms) = wilson_interval(90, 100), wilson_interval(10, 200)
    reach = np.hypot(np.log(0.9 / found), np.log(alarms / 0.05))
    low = 0.01 / 0.99 * 0.9 / 0.05 * np.exp(-reach)
    assert values["ppv_ci95"][0] == pytest.approx(low / (1 + low))


def test_predictive_values_at_the_limits() -> None:
    perfect = predictive_values(proportion(50, 50), proportion(80, 80), 0.2)
    assert perfect["ppv"] == perfect["npv"] == 1.0
    assert perfect["ppv_ci95"][1] == perfect["npv_ci95"][1] == 1.0
    assert 0 < perfect["ppv_ci95"][0] < 1
    never = predictive_values(proportion(0, 50), proportion(80, 80), 0.2)
    assert never["ppv"] is never["ppv_ci95"] is None  # no answer is positive
    assert never["npv"] == pytest.approx(0.8)
    nobody = predictive_values(proportion(0, 0), proportion(80, 80), 0.2)
    assert nobody["ppv"] is nobody["npv"] is None


def test_points_are_chosen_on_validation_and_on_these_images() -> None:
    test, validation = random_predictions(0), random_predictions(1)
    metrics = detection_metrics(test, 1, validation, specificities=(0.8,), prevalences=(0.1,))
    assert metrics is not None
    positive = test.labels != 1
    assert metrics["prevalence"]["rate"] == positive.mean()
    by_class, before, here = metrics["points"]
    assert [point["chosen"] for point in metrics["points"]] == [
        MOST_PROBABLE,
        ON_VALIDATION,
        ON_THESE,
    ]
    assert by_class["sensitivity"]["count"] == np.sum(test.classes[positive] != 1)
    assert by_class["specificity"]["count"] == np.sum(test.classes[~positive] == 1)
    scores = tumour_log_odds(test.logits, 1)
    chosen_on = tumour_log_odds(validation.logits, 1)
    assert np.mean(chosen_on[validation.labels == 1] < before["threshold"]) >= 0.8
    for point in (before, here):
        decided = scores >= point["threshold"]
        assert point["sensitivity"]["count"] == decided[positive].sum()
        assert point["specificity"]["count"] == (~decided[~positive]).sum()
        assert [row["prevalence"] for row in point["predictive_values"]] == [positive.mean(), 0.1]
    assert here["specificity"]["rate"] >= 0.8
    # At the images' own prevalence, Bayes' theorem gives the share of right answers.
    own = by_class["predictive_values"][0]
    assert own["ppv"] == pytest.approx(positive[test.classes != 1].mean())
    assert own["npv"] == pytest.approx((~positive)[test.classes == 1].mean())


def test_images_of_one_side_allow_no_test() -> None:
    only = predictions_of(np.eye(2)[[0, 1]], np.array([1, 1]))
    assert detection_metrics(only, 1, None) is detection_metrics(only, 0, None) is None
    both = predictions_of(np.eye(2)[[0, 1]], np.array([0, 1]))
    metrics = detection_metrics(both, 1, only)
    assert metrics is not None  # without tumours, validation images still choose a threshold
    assert [point["chosen"] for point in metrics["points"]][1] == ON_VALIDATION


@pytest.mark.parametrize("n", [50, 20_000])
def test_the_curve_in_the_file_keeps_the_area(n: int) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, n)
    logits = random.normal(size=(n, 2)) + np.eye(2)[labels]
    metrics = detection_metrics(predictions_of(logits, labels), 1, None)
    assert metrics is not None
    assert len(metrics["roc"]) <= CURVE_POINTS
    falls, found, _ = sklearn_roc_curve(labels == 0, logits[:, 0] - logits[:, 1])
    area = np.trapezoid(found, falls)
    rows = [(1 - row["specificity"], row["sensitivity"]) for row in metrics["roc"]]
    assert rows[0] == (0.0, 0.0)
    assert rows[-1] == (1.0, 1.0)
    assert np.trapezoid(*np.array(rows).T[::-1]) == pytest.approx(area, abs=1e-4)
    curve = metrics["precision_recall"]
    assert len(curve) <= CURVE_POINTS
    recall, precision = (np.array([row[key] for row in curve]) for key in ("recall", "precision"))
    assert recall[-1] == 1
    steps = np.diff(recall, prepend=0) @ precision
    assert steps == pytest.approx(metrics["average_precision"], abs=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.9, 0.95), (0.98, 0.99)])
@pytest.mark.parametrize("prevalence", [0.01, 0.3])
def test_intervals_cover(sensitivity: float, specificity: float, prevalence: float) -> None:
    random, n, covered = np.random.default_rng(0), (150, 250), {"ppv": 0, "npv": 0}
    truth = predictive_values(
        proportion(round(1e6 * sensitivity), 1_000_000),
        proportion(round(1e6 * specificity), 1_000_000),
        prevalence,
    )
    for _ in range(2000):
        values = predictive_values(
            proportion(int(random.binomial(n[0], sensitivity)), n[0]),
            proportion(int(random.binomial(n[1], specificity)), n[1]),
            prevalence,
        )
        for name in covered:
            low, high = values[f"{name}_ci95"]
            covered[name] += low <= truth[name] <= high
    for name, times in covered.items():
        assert 0.925 <= times / 2000 <= 0.98, name


def test_wilson_is_what_a_rate_comes_with() -> None:
    point = detection_metrics(random_predictions(0), 1, None)
    assert point is not None
    found = point["points"][0]["sensitivity"]
    assert found["ci95"] == list(wilson_interval(found["count"], found["n"]))
