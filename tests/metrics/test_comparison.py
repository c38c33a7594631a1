"""Two models on the same images: against statsmodels, by hand, and type-I error."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar

from fakd_jax.metrics.comparison import (
    BETTER,
    UNSETTLED,
    WORSE,
    compare_predictions,
    mcnemar_exact,
    sign_flip_test,
    verdict,
)


@given(st.integers(0, 1500), st.integers(0, 1500))
def test_mcnemar_agrees_with_statsmodels(first: int, second: int) -> None:
    ours = mcnemar_exact(first, second)
    assert ours == pytest.approx(mcnemar([[9, first], [second, 9]], exact=True).pvalue, rel=1e-6)
    assert ours == mcnemar_exact(second, first)


def test_mcnemar_by_hand() -> None:
    assert mcnemar_exact(0, 0) == 1
    assert mcnemar_exact(5, 5) == 1
    assert mcnemar_exact(0, 6) == pytest.approx(2 / 64)
    assert mcnemar_exact(1, 6) == pytest.approx(2 * 8 / 128)
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 3)


@pytest.mark.parametrize("discordant", [1, 5, 6, 20, 51, 200])
def test_equally_good_models_seldom_seem_to_differ(discordant: int) -> None:
    counts = np.arange(discordant + 1)
    rejects = [mcnemar_exact(int(k), discordant - int(k)) <= 0.05 for k in counts]
    assert binom.pmf(counts, discordant, 0.5) @ rejects <= 0.05


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=11))
def test_sign_flips_by_trying_all(gains: list[int]) -> None:
    signs = np.array(list(itertools.product((-1, 1), repeat=len(gains))))
    expected = np.mean(np.abs(signs @ gains) >= abs(sum(gains)))
    p = sign_flip_test(np.array(gains))
    assert p == pytest.approx(expected, abs=1e-12)
    assert p == sign_flip_test(-np.array(gains[::-1]))


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize(("first", "second"), [(0, 1), (14, 28), (260, 340), (5100, 4900)])
def test_groups_of_equal_gains_are_mcnemars_images(size: int, first: int, second: int) -> None:
    gains = np.repeat([size, -size, 0], [first, second, 50])
    assert sign_flip_test(gains) == pytest.approx(mcnemar_exact(first, second), abs=1e-10)


def test_gains_of_many_sizes_against_drawn_signs() -> None:
    random = np.random.default_rng(0)
    gains = random.integers(-40, 44, 400)
    signs = 2 * random.integers(0, 2, (20_000, 400)) - 1
    share = np.mean(np.abs(signs @ gains) >= abs(gains.sum()))
    assert sign_flip_test(gains) == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize(
    ("p", "interval", "expected"),
    [
        (0.04, [0.01, 0.03], BETTER),
        (0.04, [-0.03, -0.01], WORSE),
        (0.04, [-0.01, 0.03], UNSETTLED),  # test and interval disagree
        (0.06, [0.01, 0.03], UNSETTLED),
        (0.04, [0.0, 0.03], UNSETTLED),
        (0.6, [-0.01, 0.03], UNSETTLED),
        (0.04, None, UNSETTLED),
    ],
)
def test_a_verdict_needs_the_test_and_the_interval(
    p: float, interval: list[float] | None, expected: str
) -> None:
    assert verdict(p, interval) == expected


def test_copies_are_not_evidence() -> None:
    """14 images against 28: p = 0.044 if they were independent, but they lie in few groups."""
    this, other = np.ones(1311, bool), np.ones(1311, bool)
    other[:14], this[100:128] = False, False
    # Groups of the images in question: 14 in eight, 28 in ten.
    groups = np.arange(1311)
    groups[:14] = np.repeat(np.arange(8), [3, 3, 2, 2, 1, 1, 1, 1])
    groups[100:128] = np.repeat(np.arange(100, 110), [6, 5, 4, 4, 3, 2, 1, 1, 1, 1])
    units = np.unique(groups, return_inverse=True)[1]
    compared = compare_predictions(this, other, units)
    assert compared["mcnemar_p"] == pytest.approx(0.0436, abs=1e-4)
    low, high = compared["difference_ci95"]
    assert low < compared["difference"] < 0 < high
    # All 2 ** 18 signs, the sum of the other images being fixed.
    sizes = [3, 3, 2, 2, 1, 1, 1, 1, 6, 5, 4, 4, 3, 2, 1, 1, 1, 1]
    signs = np.array(list(itertools.product((-1, 1), repeat=18)), np.int8)
    assert compared["sign_flip_p"] == pytest.approx(np.mean(np.abs(signs @ sizes) >= 14))
    assert compared["sign_flip_p"] > 0.1
    assert compared["verdict"] == UNSETTLED


@pytest.mark.slow
def test_equally_good_models_seldom_seem_to_differ_on_copied_images() -> None:
    random, settled, naive = np.random.default_rng(0), 0, 0
    for _ in range(400):
        units = np.repeat(np.arange(150), random.integers(1, 8, 150))
        this, other = (random.random((2, 150)) < 0.8)[:, units]
        compared = compare_predictions(this, other, units)
        settled += compared["verdict"] != UNSETTLED
        naive += compared["mcnemar_p"] < 0.05
    assert settled / 400 < 0.08
    assert naive / 400 > 0.2


def test_the_comparison_by_hand() -> None:
    counts = (70, 12, 3, 15)
    this, other = np.repeat([[1, 1, 0, 0], [1, 0, 1, 0]], counts, axis=1).astype(bool)
    compared = compare_predictions(this, other, np.arange(100))
    low, high = compared.pop("difference_ci95")
    assert compared == {
        "n": 100,
        "both_right": 70,
        "only_this_right": 12,
        "only_other_right": 3,
        "both_wrong": 15,
        "mcnemar_p": mcnemar_exact(12, 3),
        "difference": 0.09,
        "sign_flip_p": mcnemar_exact(12, 3),
        "verdict": BETTER,
    }
    # The standard error of a paired difference: sqrt((b + c) - (b - c)²/n) / n.
    error = np.sqrt(15 - 81 / 100) / 100
    assert (low, high) == pytest.approx((0.09 - 1.96 * error, 0.09 + 1.96 * error), abs=0.012)


def test_models_that_agree_everywhere() -> None:
    same = np.arange(10) < 9
    compared = compare_predictions(same, same, np.arange(10))
    assert (compared["difference"], compared["mcnemar_p"]) == (0, 1)
    assert compared["difference_ci95"] is None
