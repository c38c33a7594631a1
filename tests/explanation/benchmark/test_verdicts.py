"""Verdicts by hand and in simulation; outcomes of the sanity check."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from fakd_jax.explanation.benchmark.estimates import Estimate
from fakd_jax.explanation.benchmark.metrics import METRICS, Metric
from fakd_jax.explanation.benchmark.observations import observe
from fakd_jax.explanation.benchmark.verdicts import (
    SanityOutcome,
    compare_with_controls,
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
    assert (row["ci95"], row["n"], row["verdict"]) == (None, 2, None)


@pytest.mark.parametrize("metric", [metric for metric in METRICS if metric.compared])
def test_positive_differences_are_better(metric: Metric) -> None:
    random = np.random.default_rng(0)
    values = random.normal(0.7, 0.1, 40)
    row = compare(metric.key, values, values - 0.2 + random.normal(0, 0.05, 40))
    low, high = row["ci95"]
    assert low < row["difference"] < high
    assert row["difference"] == pytest.approx(0.2 * metric.sign, abs=0.03)
    assert row["verdict"] == ("better" if metric.better == "higher" else "worse")


def test_stability_and_background_are_not_compared_with_controls() -> None:
    observed = observe(cells_of("lime", "gap", [0.1] * 3), ["lime", "edges", "centre"])
    rows = compare_with_controls(observed, ["lime"], ["edges", "centre"], np.arange(3))
    keys = ("deletion", "insertion", "gap", "local_fidelity", "pointing", "dice", "mass_in_mask")
    assert [(row["metric"], row["control"]) for row in rows] == [
        (key, control) for key in keys for control in ("edges", "centre")
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


@pytest.mark.parametrize(("advantage", "better", "other"), [(0.1, (30, 30), 0), (0.0, (0, 4), 4)])
def test_simulated_verdicts(advantage: float, better: tuple[int, int], other: int) -> None:
    random = np.random.default_rng(1)
    verdicts = Counter()
    for _ in range(30):
        difficulty = random.normal(0.5, 0.2, 40)  # shared, so that only pairs show the difference
        method, control = difficulty + random.normal(0, 0.08, (2, 40))
        verdicts[compare("gap", method + advantage, control)["verdict"]] += 1
    assert better[0] <= verdicts["better"] <= better[1]
    assert verdicts["worse"] <= other
    assert verdicts[None] == 0


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
