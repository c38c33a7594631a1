"""The bootstrap of drawn perturbations: its draws, by units, and its estimates."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.explanation.methods.resampling import resampled_sampling


def draws(num_samples: int, units: int | None = None, seed: int = 0) -> np.ndarray:
    """How often each unit counts in each of the draws that `refit` is given."""
    met: list[np.ndarray] = []

    def refit(times: np.ndarray) -> np.ndarray:
        met.append(times)
        return times[:, :1]

    resampled_sampling(refit, num_samples, units=units, top=1, seed=seed)
    return met[0]


def test_every_resample_has_the_samples_size() -> None:
    times = draws(50)
    assert times.shape == (100, 50)
    np.testing.assert_array_equal(times.sum(axis=1), 50)
    assert times.var() == pytest.approx(1, abs=0.1)  # nearly Poisson
    np.testing.assert_array_equal(times, draws(50))
    assert (times != draws(50, seed=1)).any()
    of_a_method = np.random.default_rng(0).multinomial(50, [1 / 50] * 50, size=100)
    assert np.corrcoef(times.ravel(), of_a_method.ravel())[0, 1] < 0.1


def test_units_are_resampled_as_one() -> None:
    times = draws(60, units=25)
    assert times.shape == (100, 25)
    np.testing.assert_array_equal(times.sum(axis=1), 25)


def test_intervals_and_jaccard_of_known_weights() -> None:
    """100 fits of which a quarter have another top: 75 · 74 + 25 · 24 of 100 · 99 pairs agree."""
    weights = np.tile([3.0, 2.0, 0.0], (100, 1))
    weights[::4, 1] = 4.0
    sampling = resampled_sampling(lambda times: weights, 7, top=1, target=0.7, seed=0)
    assert sampling.jaccard == pytest.approx((75 * 74 + 25 * 24) / (100 * 99))
    np.testing.assert_array_equal(sampling.low, [3, 2, 0])
    np.testing.assert_array_equal(sampling.high, [3, 4, 0])
    assert sampling.num_samples == 7
    assert not sampling.stable
