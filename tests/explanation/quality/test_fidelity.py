"""Local fidelity: against regression, of networks whose truth is known, and where undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
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
additive = network_of(lambda shown: 0.2 + shown @ TRUTH)


def follows(held_out: HeldOut, weights: np.ndarray, class_index: int = 1) -> float | None:
    """The local fidelity of superpixel weights."""
    return local_fidelity(held_out, from_weights(small_scene(), class_index, weights))


values = arrays(float, st.integers(3, 12), elements=st.integers(-5, 5).map(float))


@given(values, st.integers(0, 2**32))
def test_r2_agrees_with_least_squares_of_a_non_negative_scale(
    predicted: np.ndarray, seed: int
) -> None:
    observed = np.random.default_rng(seed).random(len(predicted))
    # Free offset: a column of ones, and one of minus ones.
    ones = np.ones_like(predicted)
    _, residual = nnls(np.stack([predicted, ones, -ones], axis=1), observed)
    expected = 1 - residual**2 / np.sum((observed - observed.mean()) ** 2)
    assert r2(predicted, observed) == pytest.approx(expected, abs=1e-6)


@given(values, st.floats(1e-3, 1e3), st.floats(-3, 3), st.integers(0, 99))
def test_neither_scale_nor_offset_matters_but_the_sign_does(
    predicted: np.ndarray, scale: float, offset: float, seed: int
) -> None:
    observed = np.random.default_rng(seed).random(len(predicted))
    found = r2(predicted, observed)
    assert 0 <= found <= 1
    assert r2(scale * predicted + offset, 0.3 * observed + 0.1) == pytest.approx(found, abs=1e-8)
    assert r2(-predicted, observed) * found == 0  # never both a thing and its opposite


def test_r2_by_hand() -> None:
    predicted, observed = np.array([0.0, 1, 2, 3]), np.array([0.1, 0.1, 0.5, 0.5])
    assert r2(predicted, observed) == pytest.approx(pearsonr(predicted, observed).statistic ** 2)
    assert r2(predicted, observed) == pytest.approx(0.8)
    assert r2(-predicted, observed) == 0


def test_a_degenerate_explanation_has_no_fidelity() -> None:
    observed = np.random.default_rng(0).random(9)
    for level in (0.0, 0.3, -7.0):
        assert r2(np.full(9, level), observed) == 0
        assert r2(level * (1 + 1e-15 * np.arange(9)), observed) == 0  # equal but for rounding


def test_for_a_constant_probability_fidelity_is_undefined() -> None:
    assert r2(np.arange(9.0), 0.7 + 1e-7 * np.random.default_rng(0).random(9)) is None
    network = network_of(lambda shown: np.full(len(shown), 0.7))
    assert follows(predict_held_out(small_scene(), network, 0), TRUTH) is None


def test_an_additive_networks_own_weights_fit_perfectly() -> None:
    held_out = predict_held_out(small_scene(), additive, 3)
    assert held_out.visible.shape == (200, 4)
    assert follows(held_out, TRUTH) == pytest.approx(1)
    assert follows(held_out, 50 * TRUTH) == pytest.approx(1)
    assert follows(held_out, TRUTH, class_index=0) == 0  # the opposite of the other class
    assert follows(held_out, -TRUTH, class_index=0) == pytest.approx(1)


def test_each_of_several_weights_has_its_share_of_the_variance() -> None:
    visible = np.array([*np.ndindex(2, 2, 2, 2)]) == 1
    held_out = HeldOut(visible, np.stack([np.zeros(16), visible @ TRUTH], axis=1))
    for s in range(4):
        alone = np.where(np.arange(4) == s, TRUTH, 0)
        assert follows(held_out, alone) == pytest.approx(TRUTH[s] ** 2 / np.sum(TRUTH**2))


def test_weights_count_by_superpixel_or_by_pixel() -> None:
    """Whichever fits better, also if attribution varies within superpixels of the same sums."""
    scene = small_scene()
    held_out = predict_held_out(scene, additive, 0)
    noise = np.random.default_rng(0).normal(size=(6, 6))
    uneven = np.append(TRUTH / AREAS, 0.0)[SUPERPIXELS]
    for s in range(4):
        inside = s == SUPERPIXELS
        uneven[inside] += noise[inside] - noise[inside].mean()
    for weights in (TRUTH, TRUTH / AREAS):
        painted = from_weights(scene, 1, weights)
        again = from_attribution(scene, 1, painted.attribution)
        assert local_fidelity(held_out, painted) == pytest.approx(1)
        assert local_fidelity(held_out, again) == pytest.approx(1)
    assert local_fidelity(held_out, from_attribution(scene, 1, uneven)) == pytest.approx(1)


def test_held_out_masks_are_independent_fair_coins_by_seed() -> None:
    shown = draw_held_out(2000, 30, 5)
    assert shown.mean() == pytest.approx(0.5, abs=0.01)
    assert np.corrcoef(shown.T)[np.triu_indices(30, 1)] == pytest.approx(0, abs=0.1)
    np.testing.assert_array_equal(shown, draw_held_out(2000, 30, 5))
    assert (shown != draw_held_out(2000, 30, 6)).mean() == pytest.approx(0.5, abs=0.01)
    assert (shown != np.random.default_rng(5).integers(0, 2, (2000, 30))).any()
    with pytest.raises(ValueError, match="at least 3"):
        draw_held_out(2, 5, 0)


def test_noise_has_the_fidelity_of_chance() -> None:
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
def test_invalid_values_are_refused(predicted: np.ndarray, observed: np.ndarray) -> None:
    with pytest.raises(ValueError, match="values"):
        r2(predicted, observed)
