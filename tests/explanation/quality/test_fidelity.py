"""Local fidelity: against regression, of networks whose truth is known, and where undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.stats import pearsonr

from fakd_jax.explanation.quality.fidelity import (
    HeldOut,
    draw_held_out,
    local_fidelity,
    predict_held_out,
    r2,
)
from fakd_jax.explanation.result import from_attribution, from_weights
from tests.explanation.quality.small_scenes import AREAS, SUPERPIXELS, network_of, small_scene

TRUTH = np.array([0.1, 0.4, -0.2, 0.3])


def follows(held_out: HeldOut, weights: np.ndarray, class_index: int = 1) -> float | None:
    """Local fidelity of a method that weighs superpixels."""
    return local_fidelity(held_out, from_weights(small_scene(), class_index, weights))


values = st.lists(st.integers(-5, 5), min_size=3, max_size=12)


@given(values, st.integers(0, 2**32))
def test_agrees_with_least_squares_of_a_scale_that_is_not_negative(
    row: list[int], seed: int
) -> None:
    predicted = np.array(row, float)
    observed = np.random.default_rng(seed).random(len(row))
    # Free offset: a column of ones, and one of minus ones.
    ones = np.ones_like(predicted)
    _, residual = nnls(np.stack([predicted, ones, -ones], axis=1), observed)
    expected = 1 - residual**2 / np.sum((observed - observed.mean()) ** 2)
    assert r2(predicted, observed) == pytest.approx(expected, abs=1e-6)


@given(values, st.floats(1e-3, 1e3), st.floats(-3, 3), st.integers(0, 99))
def test_range_unit_and_offset(row: list[int], scale: float, offset: float, seed: int) -> None:
    predicted = np.array(row, float)
    observed = np.random.default_rng(seed).random(len(row))
    found = r2(predicted, observed)
    assert 0 <= found <= 1
    assert r2(scale * predicted + offset, 0.3 * observed + 0.1) == pytest.approx(found, abs=1e-8)
    assert r2(-predicted, observed) * found == 0  # never both a thing and its opposite


def test_by_hand() -> None:
    predicted, observed = np.array([0.0, 1, 2, 3]), np.array([0.1, 0.1, 0.5, 0.5])
    assert r2(predicted, observed) == pytest.approx(pearsonr(predicted, observed).statistic ** 2)
    assert r2(predicted, observed) == pytest.approx(0.8)
    assert r2(-predicted, observed) == 0


@pytest.mark.parametrize("level", [0.0, 0.3, -7.0])
def test_a_degenerate_explanation_explains_nothing(level: float) -> None:
    observed = np.random.default_rng(0).random(9)
    assert r2(np.full(9, level), observed) == 0
    rounding = np.full(9, level) * (1 + 1e-15 * np.arange(9))
    assert r2(rounding, observed) == 0


def test_a_constant_probability_has_no_fidelity() -> None:
    still = 0.7 + 1e-7 * np.random.default_rng(0).random(9)
    assert r2(np.arange(9.0), still) is None
    network = network_of(lambda shown: np.full(len(shown), 0.7))
    assert follows(predict_held_out(small_scene(), network, 0), TRUTH) is None


def test_of_an_additive_network_its_weights_are_all() -> None:
    held_out = predict_held_out(small_scene(), network_of(lambda shown: 0.2 + shown @ TRUTH), 3)
    assert held_out.visible.shape == (200, 4)
    assert follows(held_out, TRUTH) == pytest.approx(1)
    assert follows(held_out, 50 * TRUTH) == pytest.approx(1)
    assert follows(held_out, TRUTH, class_index=0) == 0  # of the other class it is the opposite
    assert follows(held_out, -TRUTH, class_index=0) == pytest.approx(1)


def test_of_several_weights_each_has_its_share_of_the_variance() -> None:
    held_out = HeldOut(
        np.array([[a, b, c, d] for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1)])
        == 1,
        np.zeros((16, 2)),
    )
    held_out.probabilities[:, 1] = held_out.visible @ TRUTH
    for s in range(4):
        alone = np.where(np.arange(4) == s, TRUTH, 0)
        share = 0 if TRUTH[s] == 0 else TRUTH[s] ** 2 / np.sum(TRUTH**2)
        assert follows(held_out, alone) == pytest.approx(share)


def test_the_better_reading_counts_for_every_method() -> None:
    held_out = predict_held_out(small_scene(), network_of(lambda shown: 0.2 + shown @ TRUTH), 0)
    for added in (TRUTH, TRUTH / AREAS):
        painted = from_weights(small_scene(), 1, added)
        again = from_attribution(small_scene(), 1, painted.attribution)
        assert local_fidelity(held_out, painted) == pytest.approx(1)
        assert local_fidelity(held_out, again) == pytest.approx(1)


def test_a_pixel_method_that_is_right_by_pixel_follows_an_additive_network() -> None:
    scene = small_scene()
    held_out = predict_held_out(scene, network_of(lambda shown: 0.2 + shown @ TRUTH), 0)
    noise = np.random.default_rng(0).normal(size=(6, 6))
    inside = np.append(TRUTH / AREAS, 0.0)[SUPERPIXELS]
    for s in range(4):  # uneven within superpixels, as gradients are, with the same sums
        of = s == SUPERPIXELS
        inside[of] += noise[of] - noise[of].mean()
    explanation = from_attribution(scene, 1, inside)
    assert local_fidelity(held_out, explanation) == pytest.approx(1)


def test_held_out_masks_are_fair_seeded_coins() -> None:
    shown = draw_held_out(2000, 30, 5)
    assert shown.dtype == bool
    assert shown.mean() == pytest.approx(0.5, abs=0.01)
    assert np.corrcoef(shown.T)[np.triu_indices(30, 1)] == pytest.approx(0, abs=0.1)
    np.testing.assert_array_equal(shown, draw_held_out(2000, 30, 5))
    assert (shown != draw_held_out(2000, 30, 6)).mean() == pytest.approx(0.5, abs=0.01)
    assert (shown != np.random.default_rng(5).integers(0, 2, (2000, 30))).any()


def test_by_chance_noise_explains_next_to_nothing() -> None:
    held_out = predict_held_out(small_scene(), network_of(lambda shown: shown.prod(axis=1)), 0)
    random = np.random.default_rng(0)
    found = [r2(random.normal(size=200), held_out.probabilities[:, 1]) for _ in range(500)]
    assert np.mean(found) == pytest.approx(1 / 400, abs=0.001)


@pytest.mark.parametrize(
    ("predicted", "observed"),
    [
        (np.arange(4.0), np.arange(3.0)),
        (np.arange(2.0), np.arange(2.0)),
        (np.array([0, 1, np.inf]), np.arange(3.0)),
        (np.arange(3.0), np.array([0, 1, np.nan])),
    ],
)
def test_what_cannot_be_fitted_is_refused(predicted: np.ndarray, observed: np.ndarray) -> None:
    with pytest.raises((ValueError, TypeError)):
        r2(predicted, observed)


def test_two_points_are_too_few() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        draw_held_out(2, 5, 0)
