"""Agreement of methods against SciPy; cells grouped by image, the least trustworthy first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from fakd_jax.explanation.benchmark.cases import (
    Case,
    agreements,
    cases_of,
    is_degenerate,
    mean_agreement,
    worst_first,
)
from tests.explanation.report.example_gallery import CONTROLS, DOWN, METHODS, UP, cell, image

MIDDLING = [0.2, 0.1, 0.4, 0.3]  # its rank correlation with UP is 0.6
NONE = [0.0] * 4
WRONG: dict[str, Any] = {"prediction": "notumor"}
UNKNOWN: dict[str, Any] = {"true_class": None}


def test_agreement_is_spearmans_correlation_with_ties() -> None:
    random = np.random.default_rng(0)
    weights = {name: random.integers(-3, 4, 20).astype(float).tolist() for name in "abc"}
    pairs = agreements(weights)
    assert list(pairs) == [("a", "b"), ("a", "c"), ("b", "c")]
    for (one, other), value in pairs.items():
        assert value == pytest.approx(spearmanr(weights[one], weights[other]).statistic)


def test_degenerate_and_constant_weights_cannot_be_compared() -> None:
    weights = {"a": [0.1, 0.2, 0.3], "degenerate": [0.0, 1e-9, -1e-9], "flat": [0.5, 0.5, 0.5]}
    pairs = agreements({**weights, "b": [0.3, 0.2, 0.4]})
    assert {pair for pair, value in pairs.items() if value is not None} == {("a", "b")}
    assert agreements({"a": [0.3], "b": [0.1]}) == {("a", "b"): None}
    assert is_degenerate([0.0, 9.9e-7, -9.9e-7])
    assert not is_degenerate([0.0, -1e-6])


def test_means_leave_out_undefined_pairs() -> None:
    pairs = {("a", "b"): 0.5, ("a", "c"): None, ("b", "c"): -0.25}
    assert mean_agreement(pairs) == 0.125
    assert mean_agreement(pairs, "a") == 0.5
    assert mean_agreement({("a", "c"): None}) is None
    assert mean_agreement(pairs, "d") is None


def test_cells_are_grouped_by_image_and_methods_sorted() -> None:
    cells = [cell("b", "centre"), cell("a", "grad-cam"), cell("b", "lime"), cell("a", "other")]
    cases = cases_of([*cells, cell("c", "other")], METHODS, CONTROLS)
    assert [list(case.cells) for case in cases] == [["lime", "centre"], ["grad-cam"]]
    assert [case.facts["id"] for case in cases] == ["b", "a"]


def test_pairs_exclude_controls() -> None:
    (case,) = cases_of(image("a", MIDDLING), METHODS, CONTROLS)
    assert case.pairs == {("lime", "grad-cam"): pytest.approx(0.6)}
    assert case.compared == [(("lime", "grad-cam"), pytest.approx(0.6))]


@pytest.mark.parametrize(
    ("truth", "expected"), [("glioma", True), ("notumor", False), (None, None)]
)
def test_correct_wrong_or_unknown(truth: str | None, expected: bool | None) -> None:
    assert Case({"lime": cell("a", "lime", true_class=truth)}, CONTROLS).correct is expected


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([image("a", DOWN), image("b", MIDDLING, **UNKNOWN), image("c", UP, **WRONG)], "cba"),
        ([image("a", UP), image("b", DOWN), image("c", MIDDLING)], "bca"),
        (
            [image("c", DOWN), image("b", DOWN), image("z", [0.0] * 4), image("y", [0.0] * 4)],
            "yzbc",
        ),
    ],
    ids=["wrong, unknown, correct", "least agreement", "incomparable first, ties by id"],
)
def test_order_of_cases(images: list[list[dict[str, Any]]], expected: str) -> None:
    cases = worst_first(cases_of([one for cells in images for one in cells], METHODS, CONTROLS))
    assert "".join(case.facts["id"] for case in cases) == expected
