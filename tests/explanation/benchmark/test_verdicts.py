"""Verdicts by hand and in simulation; outcomes of the sanity check."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from fakd_jax.explanation.benchmark.estimates import Estimate
from fakd_jax.explanation.benchmark.metrics import METRICS
from fakd_jax.explanation.benchmark.observations import observe
from fakd_jax.explanation.benchmark.verdicts import (
    SanityOutcome,
    compare_with_controls,
    controls_by_verdict,
    sanity_outcome,
    verdict_of,
)
from tests.explanation.benchmark.benchmark_cells import cells_of


def compare(metric: str, values: Any, control: Any, units: Any = None) -> dict[str, Any]:
    """The verdict on a method with these values beside one control with those."""
    cells = cells_of("lime", metric, values) + cells_of("edges", metric, control)
    observed = observe(cells, ["lime", "edges"])
    units = np.arange(len(observed.ids)) if units is None else units
    rows = compare_with_controls(observed, ["lime"], ["edges"], units)
    (row,) = (row for row in rows if row["metric"] == metric)
    return row


def test_a_difference_by_hand_over_the_common_images() -> None:
    row = compare("insertion", [0.9, 0.5, None, 0.7], [0.5, 0.6, 0.1, None])
    assert row["difference"] == pytest.approx(0.15)  # (0.4 - 0.1) / 2
    row.pop("difference")
    assert row == {
        "method": "lime",
        "metric": "insertion",
        "control": "edges",
        "ci95": None,
        "n": 2,
        "verdict": None,
    }


@pytest.mark.parametrize(
    ("metric", "sign"),
    [
        ("deletion", -1),
        ("insertion", 1),
        ("gap", 1),
        ("local_fidelity", 1),
        ("pointing", 1),
        ("dice", 1),
        ("mass_in_mask", 1),
    ],
)
def test_positive_differences_are_better(metric: str, sign: int) -> None:
    random = np.random.default_rng(0)
    values = random.normal(0.7, 0.1, 40)
    row = compare(metric, values, values - 0.2 + random.normal(0, 0.05, 40))
    low, high = row["ci95"]
    assert low < row["difference"] < high
    assert row["difference"] == pytest.approx(0.2 * sign, abs=0.03)
    assert row["verdict"] == ("better" if sign > 0 else "worse")


def test_stability_and_background_are_not_compared_with_controls() -> None:
    observed = observe(cells_of("lime", "gap", [0.1] * 3), ["lime", "edges", "centre"])
    rows = compare_with_controls(observed, ["lime"], ["edges", "centre"], np.arange(3))
    compared = [metric.key for metric in METRICS if metric.compared]
    assert "jaccard" not in compared
    assert "background" not in compared
    assert [(row["metric"], row["control"]) for row in rows] == [
        (key, control) for key in compared for control in ("edges", "centre")
    ]


@pytest.mark.parametrize(
    ("ci95", "verdict"),
    [
        ((0.01, 0.2), "better"),
        ((-0.2, -0.01), "worse"),
        ((-0.01, 0.2), "indistinguishable"),
        ((0.0, 0.2), "indistinguishable"),
        ((-0.2, 0.0), "indistinguishable"),
    ],
)
def test_the_interval_decides(ci95: tuple[float, float], verdict: str) -> None:
    assert verdict_of(Estimate(mean=sum(ci95) / 2, ci95=ci95, n=30, units=30)) == verdict


def test_equal_differences_have_a_verdict_without_an_interval() -> None:
    always, never = [1.0] * 12, [0.0] * 12
    for values, control, verdict in (
        (always, never, "better"),
        (never, always, "worse"),
        (always, always, "indistinguishable"),
    ):
        row = compare("pointing", values, control)
        assert (row["ci95"], row["verdict"]) == (None, verdict)
        assert row["difference"] == values[0] - control[0]
    assert compare("pointing", always[:9], never[:9])["verdict"] is None
    # Twelve images, but six duplicate groups.
    assert compare("pointing", always, never, np.arange(12) // 2)["verdict"] is None


def test_a_better_method_is_found() -> None:
    random = np.random.default_rng(1)
    verdicts = Counter()
    for _ in range(30):
        hardness = random.normal(0.5, 0.2, 40)  # shared, so that only pairs show the difference
        method = hardness + 0.1 + random.normal(0, 0.08, 40)
        control = hardness + random.normal(0, 0.08, 40)
        verdicts[compare("gap", method, control)["verdict"]] += 1
    assert verdicts == {"better": 30}


def test_an_equal_method_is_mostly_indistinguishable() -> None:
    random = np.random.default_rng(2)
    verdicts = Counter(
        compare("gap", random.normal(0.5, 0.2, 40), random.normal(0.5, 0.2, 40))["verdict"]
        for _ in range(100)
    )
    # Expected are 5 of 100; the chance of 12 or more is one in 200.
    assert verdicts["better"] + verdicts["worse"] < 12
    assert verdicts[None] == 0


def test_controls_are_sorted_by_verdict() -> None:
    rows = [
        {"method": "lime", "metric": "gap", "control": "random", "verdict": "better"},
        {"method": "lime", "metric": "gap", "control": "centre", "verdict": None},
        {"method": "lime", "metric": "gap", "control": "edges", "verdict": "better"},
        {"method": "lime", "metric": "dice", "control": "edges", "verdict": "worse"},
        {"method": "rise", "metric": "gap", "control": "edges", "verdict": "worse"},
    ]
    assert controls_by_verdict(rows, "lime", "gap") == {
        "better": ["random", "edges"],
        None: ["centre"],
    }
    assert controls_by_verdict(rows, "rise", "dice") == {}


@pytest.mark.parametrize(
    ("passes", "dependence", "ci95", "outcome"),
    [
        (True, 0.9, [0.8, 1.0], "passed"),
        (True, 0.8, None, "passed"),
        (False, 0.6, [0.4, 0.8], "inconclusive"),
        (False, 0.4, [0.3, 0.49], "failed"),
        (False, 0.0, None, "failed"),
        (False, None, None, "irreproducible"),
        (None, 0.7, None, "not measured"),
    ],
)
def test_outcomes_of_the_sanity_check(
    passes: bool | None,
    dependence: float | None,
    ci95: list[float] | None,
    outcome: SanityOutcome,
) -> None:
    assert sanity_outcome({"passes": passes, "dependence": dependence, "ci95": ci95}) == outcome
