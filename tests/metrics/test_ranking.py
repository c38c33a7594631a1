"""AUROCs against scikit-learn, against the definition, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fakd_jax.metrics.ranking import ranking_statistics, weighted_auroc
from fakd_jax.metrics.resampling import point_estimates
from tests.evaluation.predictions import random_predictions


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    (area,) = weighted_auroc(scores, positive, np.ones((1, len(scores))))
    return float(area)


def test_pairs_counted_by_hand() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.8])
    positive = np.array([False, True, False, True])
    # Of 4 pairs 3 are in order, and one is a tie.
    assert auroc(scores, positive) == 3.5 / 4
    assert auroc(-scores, positive) == 0.5 / 4
    assert auroc(np.zeros(4), positive) == 0.5
    assert np.isnan(auroc(scores, np.ones(4, bool)))
    assert np.isnan(auroc(scores, np.zeros(4, bool)))


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({positive for _, positive in rows}) == 2
    )
)
def test_it_is_the_chance_of_a_pair_in_order(rows: list[tuple[int, bool]]) -> None:
    scores, positive = (np.array(column) for column in zip(*rows, strict=True))
    scores = scores.astype(float)
    gap = scores[positive][:, None] - scores[~positive]
    expected = np.mean((gap > 0) + 0.5 * (gap == 0))
    assert auroc(scores, positive) == pytest.approx(expected)
    assert auroc(scores[::-1], positive[::-1]) == pytest.approx(expected)
    assert auroc(np.exp(scores), positive) == pytest.approx(expected)
    assert auroc(-scores, positive) == pytest.approx(1 - expected)


def test_a_weight_is_a_number_of_copies() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.integers(0, 9, 60).astype(float), random.random(60) < 0.4
    weights = random.integers(0, 4, (5, 60))
    areas = weighted_auroc(scores, positive, weights.astype(float))
    for row, area in zip(weights, areas, strict=True):
        expected = roc_auc_score(np.repeat(positive, row), np.repeat(scores, row))
        assert area == pytest.approx(expected)


@pytest.mark.parametrize("rounded", [False, True])
def test_all_areas_agree_with_scikit_learn(rounded: bool) -> None:
    random = random_predictions(0)
    probabilities, labels = random.probabilities, random.labels
    if rounded:  # many ties
        probabilities = np.round(probabilities, 1)
    areas = point_estimates(ranking_statistics(probabilities, labels, 2), len(labels))
    of_class = [roc_auc_score(labels == c, probabilities[:, c]) for c in range(4)]
    assert [areas[f"class {c}"] for c in range(4)] == pytest.approx(of_class)
    assert areas["macro"] == pytest.approx(np.mean(of_class))
    assert areas["tumour"] == pytest.approx(roc_auc_score(labels != 2, -probabilities[:, 2]))


def test_tiny_probabilities_of_health_still_rank() -> None:
    # 1 - p would round these to 1, and the three tumours would tie.
    probabilities = np.array([[1, 1e-20], [1, 1e-19], [1, 1e-30], [1, 1e-21]])
    areas = point_estimates(ranking_statistics(probabilities, np.array([0, 1, 0, 0]), 1), 4)
    assert areas["tumour"] == 1


def test_areas_without_positives_or_negatives_are_undefined() -> None:
    random = random_predictions(0)
    probabilities, labels = random.probabilities, random.labels
    absent = ranking_statistics(probabilities, np.where(labels == 3, 0, labels), None)
    areas = point_estimates(absent, len(labels))
    assert areas["class 3"] is None
    assert areas["tumour"] is None
    assert areas["macro"] == pytest.approx(np.mean([areas[f"class {c}"] for c in range(3)]))
    alone = point_estimates(ranking_statistics(probabilities, np.zeros_like(labels), 0), 200)
    assert set(alone.values()) == {None}
