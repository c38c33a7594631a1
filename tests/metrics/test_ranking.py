"""AUROCs: scikit-learn, the definition, the formulas of DeLong and Obuchowski, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from fakd_jax.metrics.ranking import Auroc, aurocs
from fakd_jax.metrics.ranking import auroc as auroc_of_units
from tests.evaluation.predictions import random_predictions


def auroc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    return auroc_of_units(scores, positive, np.arange(len(scores))).value


def pairs_in_order(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """One row per positive and one column per negative: 1 in order, a tie one half, else 0."""
    gap = scores[positive][:, None] - scores[~positive]
    return (gap > 0) + 0.5 * (gap == 0)


def standard_error(area: Auroc, units: int) -> float:
    """The standard error that an interval on the logit scale was made from."""
    low, high = logit(area.ci95)
    reach = (high - low) / 2 / student.ppf(0.975, units - 1)
    return float(reach * area.value * (1 - area.value))


def test_pairs_counted_by_hand() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.8])
    positive = np.array([False, True, False, True])
    # Of 4 pairs 3 are in order, and one is a tie.
    assert auroc(scores, positive) == 3.5 / 4
    assert auroc(-scores, positive) == 0.5 / 4
    assert auroc(np.zeros(4), positive) == 0.5
    assert auroc(scores, np.ones(4, bool)) is auroc(scores, np.zeros(4, bool)) is None


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({positive for _, positive in rows}) == 2
    )
)
def test_it_is_the_chance_of_a_pair_in_order(rows: list[tuple[int, bool]]) -> None:
    scores, positive = (np.array(column) for column in zip(*rows, strict=True))
    scores = scores.astype(float)
    expected = np.mean(pairs_in_order(scores, positive))
    assert auroc(scores, positive) == pytest.approx(expected)
    assert auroc(scores[::-1], positive[::-1]) == pytest.approx(expected)
    assert auroc(np.exp(scores), positive) == pytest.approx(expected)
    assert auroc(-scores, positive) == pytest.approx(1 - expected)


@pytest.mark.parametrize("levels", [4, 1000])
def test_the_standard_error_is_delongs(levels: int) -> None:
    random = np.random.default_rng(0)
    scores, positive = random.integers(0, levels, 60).astype(float), random.random(60) < 0.4
    pairs = pairs_in_order(scores, positive)
    m, n = pairs.shape
    variance = pairs.mean(axis=1).var(ddof=1) / m + pairs.mean(axis=0).var(ddof=1) / n
    area = auroc_of_units(scores, positive, np.arange(60))
    assert standard_error(area, min(m, n)) == pytest.approx(np.sqrt(variance))
    assert 0 < area.ci95[0] < area.value < area.ci95[1] < 1


def test_the_standard_error_of_groups_is_obuchowskis() -> None:
    random = np.random.default_rng(1)
    units = np.repeat(np.arange(60), random.integers(1, 6, 60))
    positive = random.random(len(units)) < 0.4
    scores = positive + 2 * random.standard_normal(60)[units]
    pairs = pairs_in_order(scores, positive)
    (m, n), area = pairs.shape, pairs.mean()
    of_positives = np.bincount(units[positive], pairs.mean(axis=1) - area, 60)
    of_negatives = np.bincount(units[~positive], pairs.mean(axis=0) - area, 60)
    i10, i01 = len(np.unique(units[positive])), len(np.unique(units[~positive]))
    variance = (
        i10 / (i10 - 1) * of_positives @ of_positives / m**2
        + i01 / (i01 - 1) * of_negatives @ of_negatives / n**2
        + 2 * 60 / 59 * of_positives @ of_negatives / (m * n)
    )
    ours = standard_error(auroc_of_units(scores, positive, units), min(i10, i01))
    assert ours == pytest.approx(np.sqrt(variance), rel=0.01)
    # Copies of an image add nothing to what is known.
    once = auroc_of_units(scores, positive, np.arange(len(units)))
    copied = auroc_of_units(
        np.tile(scores, 3), np.tile(positive, 3), np.tile(np.arange(len(units)), 3)
    )
    assert copied.ci95 == pytest.approx(once.ci95)


@pytest.mark.parametrize("rounded", [False, True])
def test_all_areas_agree_with_scikit_learn(rounded: bool) -> None:
    random = random_predictions(0)
    probabilities, labels = random.probabilities, random.labels
    if rounded:  # many ties
        probabilities = np.round(probabilities, 1)
    areas = aurocs(probabilities, labels, 2, np.arange(200))
    of_class = [roc_auc_score(labels == c, probabilities[:, c]) for c in range(4)]
    assert [areas[f"class {c}"].value for c in range(4)] == pytest.approx(of_class)
    assert areas["macro"].value == pytest.approx(np.mean(of_class))
    assert areas["tumour"].value == pytest.approx(roc_auc_score(labels != 2, -probabilities[:, 2]))
    # The classes share their images: the mean is known better than each, not twice as well.
    widths = [np.ptp(areas[f"class {c}"].ci95) for c in range(4)]
    assert min(widths) / 2 < np.ptp(areas["macro"].ci95) < min(widths)


def test_tiny_probabilities_of_health_still_rank() -> None:
    # 1 - p would round these to 1, and the three tumours would tie.
    probabilities = np.array([[1, 1e-20], [1, 1e-19], [1, 1e-30], [1, 1e-21]])
    tumour = aurocs(probabilities, np.array([0, 1, 0, 0]), 1, np.arange(4))["tumour"]
    assert tumour == Auroc(1.0, None)  # of four images without an error no interval follows


def test_areas_without_positives_or_negatives_are_undefined() -> None:
    random = random_predictions(0)
    probabilities, labels, units = random.probabilities, random.labels, np.arange(200)
    absent = aurocs(probabilities, np.where(labels == 3, 0, labels), None, units)
    assert absent["class 3"] == absent["tumour"] == Auroc()
    expected = np.mean([absent[f"class {c}"].value for c in range(3)])
    assert absent["macro"].value == pytest.approx(expected)
    assert set(aurocs(probabilities, np.zeros_like(labels), 0, units).values()) == {Auroc()}


def test_one_unit_of_a_side_has_no_interval() -> None:
    positive = np.arange(20) < 2
    scores = np.random.default_rng(0).random(20)
    one_group = np.maximum(np.arange(20) - 1, 0)
    assert auroc_of_units(scores, positive, one_group).ci95 is None
    assert auroc_of_units(scores, positive, np.arange(20)).ci95 is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("positives", "negatives", "shift", "copies", "lowest", "highest"),
    [
        (5, 50, 1.0, 1, 0.95, 1.0),  # few positives: Student's t is on the safe side
        (40, 100, 2.0, 1, 0.93, 0.98),
        (40, 100, 2.0, 4, 0.93, 1.0),  # ten units with a positive
        (300, 1000, 3.0, 1, 0.93, 0.97),
        (300, 1000, 2.0, 5, 0.93, 0.97),
    ],
)
def test_the_interval_covers_the_area(
    positives: int, negatives: int, shift: float, copies: int, lowest: float, highest: float
) -> None:
    random, repeats = np.random.default_rng(0), 1000
    positive = np.arange(positives + negatives) < positives
    units, covered = np.arange(len(positive)) // copies, []
    truth = norm.cdf(shift / np.sqrt(2))
    for _ in range(repeats):
        scores = random.standard_normal(units[-1] + 1)[units] + shift * positive
        interval = auroc_of_units(scores, positive, units).ci95
        if interval:  # none where all pairs are in order
            covered.append(interval[0] <= truth <= interval[1])
    assert len(covered) > 0.95 * repeats
    assert lowest <= np.mean(covered) <= highest
