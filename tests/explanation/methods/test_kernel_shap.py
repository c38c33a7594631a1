"""KernelSHAP: Shapley values by their definition, their axioms, and the sampled regression."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import comb

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
@settings(max_examples=10)
@given(seed=seeds)
def test_all_coalitions_give_the_shapley_values_exactly(count: int, seed: int) -> None:
    game = random_game(count, seed)
    expected = shapley_by_permutations(game, count)
    np.testing.assert_allclose(explain(game, count).weights, expected, atol=1e-12)


@settings(max_examples=20)
@given(seed=seeds, count=st.integers(5, 40), half=st.integers(10, 40))
def test_weights_sum_to_the_difference_of_the_ends(seed: int, count: int, half: int) -> None:
    game = smooth_game(count, seed)
    none, whole = game(np.array([[False] * count, [True] * count]))
    weights = explain(game, count, 2 * half, seed).weights
    assert weights.sum() == pytest.approx(whole - none, abs=1e-12)


def test_more_samples_come_closer_at_the_rate_of_their_root() -> None:
    """At least so fast: of few coalitions, that none is drawn twice helps more and more."""
    game, count = smooth_game(14, 3), 14
    exact = explain(game, count, 2**count).weights

    def error(num_samples: int) -> float:
        runs = [explain(game, count, num_samples, seed).weights for seed in range(12)]
        return float(np.sqrt(np.mean((np.array(runs) - exact) ** 2)))

    few, more, many = error(160), error(640), error(2560)
    assert 1.4 < few / more < 3
    assert 1.4 < more / many < 3


@settings(max_examples=20)
@given(seed=seeds)
def test_additive_games_are_recovered_exactly_from_few_samples(seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=20)
    explanation = explain(additive_game(weights), 20, 100, seed)
    np.testing.assert_allclose(explanation.weights, weights, atol=1e-9)
    assert explanation.fit is not None
    assert explanation.fit.r2 == pytest.approx(1)


def test_single_superpixels_are_enough_for_an_additive_game() -> None:
    weights = np.random.default_rng(0).normal(size=20)
    explanation = explain(additive_game(weights), 20, 40)
    np.testing.assert_allclose(explanation.weights, weights, atol=1e-9)
    assert explanation.sampling is None  # every seed has the same coalitions


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


@settings(max_examples=20)
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


def test_all_coalitions_by_hand_and_all_pairs_but_one() -> None:
    coalitions = choose_coalitions(4, 14, 0)
    assert coalitions.num_drawn == 0
    assert len(np.unique(coalitions.visible, axis=0)) == 14
    by_size = {1: 3 / (4 * 1 * 3), 2: 3 / (6 * 2 * 2), 3: 3 / (4 * 3 * 1)}
    expected = [by_size[size] for size in coalitions.visible.sum(axis=1).tolist()]
    np.testing.assert_allclose(coalitions.kernel, expected)
    fewer = choose_coalitions(4, 12, 0)
    np.testing.assert_array_equal(fewer.visible[::2], ~fewer.visible[1::2])
    assert len(np.unique(fewer.visible, axis=0)) == 12
    assert fewer.num_drawn == 12  # with the four pairs of size 1 complete, only two would be


@pytest.mark.parametrize(
    ("count", "num_samples", "complete"),
    [
        (45, 1000, 1),
        (45, 90, 1),
        (45, 88, 0),
        (48, 98, 0),
        (48, 114, 0),
        (48, 116, 1),
        (12, 1000, 2),
        (11, 2044, 4),
        (2000, 20, 0),
    ],
)
def test_small_sizes_are_complete_and_the_budget_is_spent_on_distinct_coalitions(
    count: int, num_samples: int, complete: int
) -> None:
    """12 superpixels: 488 pairs are left for 66 of size 2, then 422 for 220 of size 3, of which
    the kernel would draw only 141."""
    coalitions = choose_coalitions(count, num_samples, 3)
    visible = coalitions.visible
    assert len(visible) == len(np.unique(visible, axis=0)) == num_samples
    sizes = np.minimum(visible.sum(axis=1), count - visible.sum(axis=1))
    for size in range(1, complete + 1):
        assert (sizes == size).sum() == 2 * comb(count, size)
    assert coalitions.num_drawn == (sizes > complete).sum()
    assert (coalitions.kernel > 0).all()
    assert np.isfinite(coalitions.kernel).all()


def test_chances_and_kernels_are_those_of_many_draws() -> None:
    """4 of the 25 pairs of sizes 2 (1/8 each by size) and 3 (1/9, half of them): on average, a
    coalition's kernel over its chance is its kernel, and it is drawn as often as its chance says.
    """
    weights, times, expected = np.zeros(64), np.zeros(64), np.zeros(64)
    runs = 1500
    for seed in range(runs):
        visible, kernel, chance = draw_coalitions(6, 2, 4, seed)
        numbers = visible @ 2 ** np.arange(6)
        assert len(set(numbers.tolist())) == 4
        weights[numbers] += kernel / runs
        times[numbers] += 1
        expected[numbers] += chance
    members = np.flatnonzero(times)
    assert len(members) == 15 + 10
    sizes = np.array([bin(number).count("1") for number in members])
    exact = np.array([5 / (comb(6, k) * k * (6 - k)) for k in sizes.tolist()])
    for size in (2, 3):
        mean = weights[members][sizes == size].mean()
        assert mean == pytest.approx(exact[sizes == size][0], rel=0.06)
    spread = times[members][sizes == 2]
    assert spread.std() < 2.5 * np.sqrt(spread.mean())  # members are equally likely


def test_the_bootstrap_leaves_complete_sizes_alone() -> None:
    coalitions = choose_coalitions(45, 1000, 0)
    times = np.zeros((1, coalitions.num_drawn // 2))
    resampled = coalitions.resampled(times)[0]
    np.testing.assert_array_equal(resampled[:90], coalitions.kernel[:90])
    factor = resampled[90:] / coalitions.kernel[90:]
    np.testing.assert_allclose(factor, 1 - np.sqrt(1 - coalitions.chance[90:]), atol=1e-12)
    np.testing.assert_allclose(coalitions.resampled(times + 1)[0], coalitions.kernel)


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


def test_a_few_pairs_beyond_the_single_superpixels_are_not_called_stable() -> None:
    """A single pair drawn would be every resample's, and its weights look certain."""
    game = smooth_game(48, 1)
    runs = [explain(game, 48, 98, seed) for seed in range(3)]
    check = [run.sampling for run in runs]
    assert all(sampling is not None and not sampling.stable for sampling in check)
    assert all(sampling is not None and (sampling.high > sampling.low).all() for sampling in check)
    tops = {tuple(np.argsort(-np.abs(run.weights))[:3].tolist()) for run in runs}
    assert len(tops) > 1


def test_weights_without_a_fit() -> None:
    """No coalition queried has any value, yet the weights must sum to what the whole adds."""
    explanation = explain(lambda visible: np.where(visible.all(axis=1), 0.99, 1e-8), 48)
    assert explanation.fit is not None
    assert explanation.fit.r2 is None
    assert np.abs(explanation.weights).max() > 0.05
    assert explanation.sampling is not None
    assert not explanation.sampling.stable
