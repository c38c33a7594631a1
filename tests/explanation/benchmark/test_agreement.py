"""Agreement of methods: against SciPy, and where there is nothing to compare."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from fakd_jax.explanation.benchmark.agreement import agreements, mean_agreement, says_nothing


def test_pairs_have_spearmans_correlation_ties_included() -> None:
    random = np.random.default_rng(0)
    weights = {name: random.integers(-3, 4, 20).astype(float).tolist() for name in "abc"}
    pairs = agreements(weights)
    assert list(pairs) == [("a", "b"), ("a", "c"), ("b", "c")]
    for (one, other), value in pairs.items():
        assert value == pytest.approx(spearmanr(weights[one], weights[other]).statistic)


def test_only_the_order_counts() -> None:
    pairs = agreements({"a": [1, 2, 3], "b": [-9, 0, 0.5], "c": [3, 2, 1]})
    assert list(pairs.values()) == pytest.approx([1, -1, -1])


def test_who_says_nothing_or_the_same_of_all_cannot_be_compared() -> None:
    weights = {"a": [0.1, 0.2, 0.3], "silent": [0.0, 1e-9, -1e-9], "flat": [0.5, 0.5, 0.5]}
    pairs = agreements({**weights, "b": [0.3, 0.2, 0.4]})
    assert {pair for pair, value in pairs.items() if value is not None} == {("a", "b")}


def test_a_single_superpixel_has_no_order() -> None:
    assert agreements({"a": [0.3], "b": [0.1]}) == {("a", "b"): None}


def test_means_leave_out_what_is_undefined() -> None:
    pairs = {("a", "b"): 0.5, ("a", "c"): None, ("b", "c"): -0.25}
    assert mean_agreement(pairs) == 0.125
    assert mean_agreement(pairs, "a") == 0.5
    assert mean_agreement(pairs, "b") == 0.125
    assert mean_agreement({("a", "c"): None}) is None
    assert mean_agreement(pairs, "d") is None


def test_from_where_weights_say_something() -> None:
    assert says_nothing([0.0, 9.9e-7, -9.9e-7])
    assert not says_nothing([0.0, -1e-6])
