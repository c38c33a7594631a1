"""Wilson's interval and the bootstrap: against statsmodels, and their coverage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from fakd_jax.metrics import resampling
from fakd_jax.metrics.confusion import accuracy_intervals
from fakd_jax.metrics.resampling import (
    bootstrap,
    group_numbers,
    number_units,
    percentile_interval,
    resampled_sums,
    sums_by_unit,
    wilson_interval,
)


@given(n=st.integers(1, 3000), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilsons_interval_agrees_with_statsmodels(n: int, share: float, confidence: float) -> None:
    successes = round(n * share)
    low, high = wilson_interval(successes, n, confidence)
    theirs = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    assert (low, high) == pytest.approx(theirs, abs=1e-9)
    assert 0 <= low <= successes / n <= high <= 1


@pytest.mark.parametrize("arguments", [(-1, 5), (6, 5), (0, 0), (1, 2, 1.0), (1, 2, 0.0)])
def test_arguments_out_of_range_are_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="no interval"):
        wilson_interval(*arguments)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_wilsons_interval_covers_as_often_as_it_says(p: float) -> None:
    """The exact probability that the interval of a binomial count contains p."""
    counts = np.arange(101)
    ends = np.array([wilson_interval(int(count), 100) for count in counts])
    covers = (ends[:, 0] <= p) & (p <= ends[:, 1])
    assert 0.92 < binom.pmf(counts, 100, p) @ covers < 0.97


def test_an_unknown_id_is_a_group_of_its_own() -> None:
    numbers = group_numbers(["a", "b", "c", "d"], {"a": 5, "c": 5, "elsewhere": 9})
    assert numbers[0] == numbers[2]
    assert len(set(numbers)) == 3
    assert set(numbers[[1, 3]]).isdisjoint({5, 9})
    assert len(set(group_numbers(["a", "b"], {}))) == 2


def accuracy_interval(right: np.ndarray, units: np.ndarray) -> list[float] | None:
    """Of two classes, the truth always the first."""
    return accuracy_intervals(np.zeros(len(right), int), (~right).astype(int), 2, units)["accuracy"]


def test_the_bootstraps_spread_is_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(1).exponential(size=400)

    def mean(weights: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"mean": weights @ values / weights.sum(axis=1)}

    low, high = bootstrap(mean, np.arange(400), resamples=20_000)["mean"]
    assert (high - low) / (2 * 1.96) == pytest.approx(values.std() / 20, rel=0.03)


def test_the_ends_are_percentiles_of_the_resamples() -> None:
    def ranks(weights: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"rank": np.arange(len(weights)) / 1000}

    units = np.arange(5)
    assert bootstrap(ranks, units, resamples=1001)["rank"] == pytest.approx([0.025, 0.975])
    drawn = bootstrap(ranks, units, resamples=1001, confidence=0.8)["rank"]
    assert drawn == pytest.approx([0.1, 0.9])


def test_every_image_of_a_unit_is_drawn_with_it() -> None:
    units = np.array([7, -3, 7, 5, 5, 5])
    seen = []

    def record(weights: np.ndarray) -> Mapping[str, np.ndarray]:
        seen.append(weights)
        return {"images": weights.sum(axis=1)}

    bootstrap(record, units, resamples=500)
    weights = np.concatenate(seen)
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 3:] == weights[:, [3]]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()  # as many units as there are


def test_sums_are_resampled_as_images_are() -> None:
    units, values = np.arange(50) // 3, np.random.default_rng(0).exponential(size=50)

    def mean(weights: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"mean": weights @ values / weights.sum(axis=1)}

    sums = np.hstack([sums_by_unit(units, units * 0, 1, values), sums_by_unit(units, units * 0, 1)])
    drawn = resampled_sums(sums)
    interval = percentile_interval(drawn[:, 0] / drawn[:, 1])
    assert interval == pytest.approx(bootstrap(mean, units)["mean"])


def test_sums_by_hand() -> None:
    units, columns = np.array([0, 1, 0, 2]), np.array([1, 0, 1, 2])
    expected = [[0, 2, 0], [1, 0, 0], [0, 0, 1]]
    assert sums_by_unit(units, columns, 3).tolist() == expected
    values = np.array([0.5, 2.0, 1.0, -4.0])
    assert sums_by_unit(units, columns, 3, values).tolist() == [[0, 1.5, 0], [2, 0, 0], [0, 0, -4]]


def test_many_units_are_joined_whole_and_leave_the_interval_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    units = np.repeat(np.arange(6000), 2)
    values = random.exponential(size=6000)[units]
    each = sums_by_unit(units, units * 0, 1, values)
    monkeypatch.setattr(resampling, "MOST_UNITS", 500)
    joined = sums_by_unit(units, units * 0, 1, values)
    assert sums_by_unit(units, units * 0, 1)[:, 0].tolist() == [24] * 500  # copies stay together
    assert joined.sum() == pytest.approx(each.sum())
    assert resampled_sums(joined).std() == pytest.approx(resampled_sums(each).std(), rel=0.1)


def test_the_bits_depend_on_the_seed_and_not_on_the_memory_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sums = sums_by_unit(np.arange(50) // 2, (np.arange(50) < 41).astype(int), 2)
    first = resampled_sums(sums, seed=1)
    assert (resampled_sums(sums, seed=2) != first).any()
    monkeypatch.setattr(resampling, "WEIGHTS_AT_ONCE", 333)
    np.testing.assert_array_equal(resampled_sums(sums, seed=1), first)


@pytest.mark.slow
def test_intervals_cover_the_accuracy_only_if_the_copies_of_a_slice_are_drawn_together() -> None:
    random, draws, copies = np.random.default_rng(0), 200, 6
    groups, covered = np.repeat(np.arange(80), copies), np.zeros(2)
    for _ in range(draws):
        right = np.repeat(random.random(80) < 0.9, copies)
        for which, units in enumerate((groups, np.arange(len(groups)))):
            low, high = accuracy_interval(right, units)
            covered[which] += low <= 0.9 <= high
    grouped, plain = covered / draws
    assert grouped > 0.89
    assert plain < 0.65


def test_no_interval_where_a_class_is_often_absent() -> None:
    # A class of one image is absent from (1 - 1/n)^n = 36.6 % of the resamples, one of four from
    # 1.5 %.
    labels = np.array([0] * 20 + [1] * 4)
    predictions = np.array([0] * 15 + [1] * 8 + [0])
    often = accuracy_intervals(labels[:21], predictions[:21], 2, np.arange(21))
    assert often["balanced_accuracy"] is None
    assert often["accuracy"] is not None
    rarely = accuracy_intervals(labels, predictions, 2, np.arange(24))
    low, high = rarely["balanced_accuracy"]
    assert 0 < low < 0.75 < high <= 1


def test_no_interval_where_all_resamples_agree() -> None:
    assert accuracy_interval(np.ones(30, bool), np.arange(30)) is None
    assert accuracy_interval(np.arange(30) < 9, np.zeros(30, int)) is None
    with pytest.raises(ValueError, match="no images"):
        bootstrap(lambda weights: {}, np.arange(0))


def test_units_are_numbered_from_0_on() -> None:
    assert number_units(np.array([7, -3, 7, 5])).tolist() == [2, 0, 2, 1]
