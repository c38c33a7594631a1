"""KernelSHAP: Shapley values by their definition, their axioms, and the sampled regression."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakd_jax.explanation.methods.kernel_shap import (
    KernelShapExplainer,
    choose_coalitions,
    draw_coalitions,
    shapley_regression,
)
from fakd_jax.explanation.result import Explanation
from tests.explanation.methods.scenes import check_sampling, players, playing

Game = Callable[[np.ndarray], np.ndarray]
seeds = st.integers(0, 2**31 - 1)


def random_game(count: int, seed: int) -> Game:
    """Every coalition has a value of its own: interactions of all orders."""
    table = np.random.default_rng(seed).random(2**count)
    return lambda visible: table[visible @ 2 ** np.arange(count)]


def smooth_game(count: int, seed: int) -> Game:
    """A logistic of single players, pairs and triples, as a network's probability is."""
    random = np.random.default_rng(seed)
    single, pairs = random.normal(size=count), 0.3 * random.normal(size=(count, count))

    def value(visible: np.ndarray) -> np.ndarray:
        triple = visible[:, 0] & visible[:, 1] & visible[:, 2]
        logit = visible @ single + ((visible @ pairs) * visible).sum(axis=1) + triple
        return 1 / (1 + np.exp(-logit))

    return value


def additive_game(weights: np.ndarray) -> Game:
    return lambda visible: 0.1 + visible @ weights


def shapley_by_permutations(game: Game, count: int) -> np.ndarray:
    """The definition: what each player adds on arrival, averaged over all orders of arrival."""
    values, orders = np.zeros(count), list(permutations(range(count)))
    for order in orders:
        arrived = np.argsort(order) < np.arange(count + 1)[:, None]
        values[list(order)] += np.diff(game(arrived))
    return values / len(orders)


def explain(game: Game, count: int, num_samples: int = 1000, seed: int = 0) -> Explanation:
    return KernelShapExplainer(num_samples).explain(players(count), playing(game), 1, seed)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_all_coalitions_give_the_shapley_values_exactly(count: int, seed: int) -> None:
    game = random_game(count, seed)
    expected = shapley_by_permutations(game, count)
    np.testing.assert_allclose(explain(game, count).weights, expected, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, count=st.integers(5, 40), half=st.integers(10, 40))
def test_weights_sum_to_the_difference_of_the_ends(seed: int, count: int, half: int) -> None:
    game = smooth_game(count, seed)
    none, whole = game(np.array([[False] * count, [True] * count]))
    weights = explain(game, count, 2 * half, seed).weights
    assert weights.sum() == pytest.approx(whole - none, abs=1e-12)


def test_more_samples_come_closer_at_the_rate_of_their_root() -> None:
    game, count = smooth_game(12, 3), 12
    exact = explain(game, count, 2**count).weights

    def error(num_samples: int) -> float:
        runs = [explain(game, count, num_samples, seed).weights for seed in range(20)]
        return float(np.sqrt(np.mean((np.array(runs) - exact) ** 2)))

    few, more, many = error(160), error(640), error(2560)
    assert 1.4 < few / more < 3
    assert 1.4 < more / many < 3


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_additive_games_are_recovered_exactly_from_few_samples(seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=20)
    explanation = explain(additive_game(weights), 20, 100, seed)
    np.testing.assert_allclose(explanation.weights, weights, atol=1e-9)
    assert explanation.fit is not None
    assert explanation.fit.r2 == pytest.approx(1)


def test_barely_enough_pairs_recover_an_additive_game() -> None:
    weights = np.random.default_rng(0).normal(size=20)
    pairs = choose_coalitions(20, 44, 2).visible[::2]
    assert np.linalg.matrix_rank(pairs - pairs.mean(axis=1, keepdims=True)) == 19
    found = explain(additive_game(weights), 20, 44, 2).weights
    np.testing.assert_allclose(found, weights, atol=1e-9)


def test_with_too_few_pairs_it_is_the_best_fit_nearest_to_equal_shares() -> None:
    count, truth = 30, np.random.default_rng(0).normal(size=30)
    visible = choose_coalitions(count, 20, 0).visible
    values = visible @ truth
    weights = shapley_regression(visible, values, 0.0, truth.sum(), np.ones((1, 20)))[0]
    np.testing.assert_allclose(visible @ weights, values, atol=1e-10)
    # The nearest differs from equal shares only within the span of the equations' rows.
    difference = weights - truth.mean()
    rows = np.concatenate([visible, np.ones((1, count))]).astype(float)
    np.testing.assert_allclose(np.linalg.pinv(rows) @ rows @ difference, difference, atol=1e-10)
    assert np.linalg.norm(difference) < np.linalg.norm(truth - truth.mean())


def test_equal_players_weigh_the_same_and_useless_ones_nothing() -> None:
    def game(visible: np.ndarray) -> np.ndarray:  # 0 and 1 alike, 2 needs 3, 4 adds nothing
        return 0.1 + 0.2 * (visible[:, 0] | visible[:, 1]) + 0.4 * (visible[:, 2] & visible[:, 3])

    np.testing.assert_allclose(explain(game, 5).weights, [0.1, 0.1, 0.2, 0.2, 0], atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, count=st.integers(2, 8))
def test_the_regression_solves_the_constrained_normal_equations(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    coalitions = choose_coalitions(count, 256, seed)
    visible, n = coalitions.visible.astype(float), len(coalitions.visible)
    values, (none, whole) = random.random(n), random.random(2)
    sample_weights = random.uniform(0.1, 2, (3, n))
    fitted = shapley_regression(coalitions.visible, values, none, whole, sample_weights)
    for weights, m in zip(fitted, sample_weights, strict=True):
        system = np.ones((count + 1, count + 1))
        system[:count, :count], system[count, count] = (visible.T * m) @ visible, 0
        right = np.append((visible.T * m) @ (values - none), whole - none)
        np.testing.assert_allclose(weights, np.linalg.solve(system, right)[:count], atol=1e-8)


def test_a_sample_weight_counts_as_repetitions() -> None:
    visible = choose_coalitions(12, 60, 1).visible
    values = smooth_game(12, 0)(visible)
    times = np.random.default_rng(0).integers(0, 4, 60)
    weighted = shapley_regression(visible, values, 0.2, 0.9, times[None].astype(float))
    repeated, ones = visible.repeat(times, axis=0), np.ones((1, times.sum()))
    copied = shapley_regression(repeated, values.repeat(times), 0.2, 0.9, ones)
    np.testing.assert_allclose(weighted, copied, atol=1e-10)


def test_all_coalitions_by_hand_and_pairs_with_one_sample_less() -> None:
    coalitions = choose_coalitions(4, 14, 0)
    assert coalitions.pairs is None
    assert len(np.unique(coalitions.visible, axis=0)) == 14
    by_size = {1: 3 / (4 * 1 * 3), 2: 3 / (6 * 2 * 2), 3: 3 / (4 * 3 * 1)}
    expected = [by_size[size] for size in coalitions.visible.sum(axis=1).tolist()]
    np.testing.assert_allclose(coalitions.kernel, expected)
    drawn = choose_coalitions(4, 12, 0)
    np.testing.assert_array_equal(drawn.pairs, np.arange(12) // 2)
    np.testing.assert_array_equal(drawn.visible[::2], ~drawn.visible[1::2])
    np.testing.assert_array_equal(drawn.kernel, np.ones(12))


def test_sizes_are_drawn_by_the_kernel_and_members_are_equally_likely() -> None:
    from scipy.stats import chisquare

    visible = draw_coalitions(6, 20_000, 0)
    chances = np.array([1 / (k * (6 - k)) for k in range(1, 6)])
    met = np.bincount(visible.sum(axis=1), minlength=7)
    assert met[0] == met[6] == 0
    assert chisquare(met[1:6], 20_000 * chances / chances.sum()).pvalue > 1e-3
    pairs = visible[visible.sum(axis=1) == 2]
    _, times = np.unique(pairs, axis=0, return_counts=True)
    assert len(times) == 15
    assert chisquare(times).pvalue > 1e-3


def test_fit_by_hand() -> None:
    values = np.array([[0.1, 0.5], [0.3, 1.0]])
    explanation = explain(lambda visible: values[tuple(visible.T.astype(int))], 2)
    # Over both orders: (0.2 + 0.5) / 2 and (0.7 + 0.4) / 2.
    np.testing.assert_allclose(explanation.weights, [0.35, 0.55])
    assert explanation.fit is not None
    assert explanation.fit.intercept == pytest.approx(0.1)
    assert explanation.fit.prediction == pytest.approx(1.0)
    # Residuals 0.3 - 0.45 and 0.5 - 0.65 against a spread of ±0.1: worse than a constant.
    assert explanation.fit.r2 == pytest.approx(1 - (2 * 0.15**2) / (2 * 0.1**2))
    assert explanation.sampling is None  # exact values have no sampling error


@pytest.mark.parametrize(("count", "num_samples"), [(5, 30), (3, 100), (8, 100), (30, 100)])
def test_every_coalition_is_queried_once(count: int, num_samples: int) -> None:
    met: list[np.ndarray] = []

    def game(visible: np.ndarray) -> np.ndarray:
        met.append(visible)
        return visible.mean(axis=1)

    explain(game, count, num_samples)
    queried = np.concatenate(met)
    drawn = np.unique(choose_coalitions(count, num_samples, 0).visible, axis=0)
    assert len(queried) == len(np.unique(queried, axis=0)) == len(drawn) + 2
    assert len(queried) <= KernelShapExplainer(num_samples).num_predictions


def test_sampling_is_what_other_seeds_show() -> None:
    """Pairs drawn one by one would make intervals twice as wide and tops look less stable."""
    game, count = smooth_game(12, 0), 12
    exact = explain(game, count, 2**count).weights
    runs = [explain(game, count, 240, seed) for seed in range(24)]
    check_sampling(runs, 3, truth=exact, jaccard=0.08)


def test_weights_without_a_fit() -> None:
    """No coalition queried has any value, yet the weights must sum to what the whole adds."""
    explanation = explain(lambda visible: np.where(visible.all(axis=1), 0.99, 1e-8), 48)
    assert explanation.fit is not None
    assert explanation.fit.r2 is None
    assert np.abs(explanation.weights).max() > 0.05
    assert explanation.sampling is not None
    assert not explanation.sampling.stable
