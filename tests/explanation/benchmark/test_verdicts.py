"""Verdicts by hand, and in simulation: told where there is a difference, seldom where not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from fakd_jax.explanation.benchmark.estimates import Estimate
from fakd_jax.explanation.benchmark.metrics import MEASURES
from fakd_jax.explanation.benchmark.observations import observe
from fakd_jax.explanation.benchmark.verdicts import (
    compare_with_controls,
    controls_by_verdict,
    verdict_of,
)
from tests.explanation.benchmark.benchmark_cells import cells_of


def compare(measure: str, values: Any, control: Any, units: Any = None) -> dict[str, Any]:
    """The verdict on a method with these values beside one control with those."""
    cells = cells_of("lime", measure, values) + cells_of("edges", measure, control)
    observed = observe(cells, ["lime", "edges"])
    units = np.arange(len(observed.ids)) if units is None else units
    rows = compare_with_controls(observed, ["lime"], ["edges"], units)
    (row,) = (row for row in rows if row["measure"] == measure)
    return row


def test_a_difference_by_hand_over_the_images_that_both_have() -> None:
    row = compare("insertion", [0.9, 0.5, None, 0.7], [0.5, 0.6, 0.1, None])
    assert row["difference"] == pytest.approx(0.15)  # (0.4 - 0.1) / 2
    row.pop("difference")
    assert row == {
        "method": "lime",
        "measure": "insertion",
        "control": "edges",
        "ci95": None,
        "n": 2,
        "verdict": None,
    }


@pytest.mark.parametrize(
    ("measure", "sign"),
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
def test_positive_is_better_whatever_the_direction(measure: str, sign: int) -> None:
    random = np.random.default_rng(0)
    values = random.normal(0.7, 0.1, 40)
    row = compare(measure, values, values - 0.2 + random.normal(0, 0.05, 40))
    low, high = row["ci95"]
    assert low < row["difference"] < high
    assert row["difference"] == pytest.approx(0.2 * sign, abs=0.03)
    assert row["verdict"] == ("above" if sign > 0 else "below")


def test_stability_and_background_are_not_held_against_controls() -> None:
    observed = observe(cells_of("lime", "gap", [0.1] * 3), ["lime", "edges", "centre"])
    rows = compare_with_controls(observed, ["lime"], ["edges", "centre"], np.arange(3))
    compared = [measure.key for measure in MEASURES if measure.compared]
    assert "jaccard" not in compared
    assert "background" not in compared
    assert [(row["measure"], row["control"]) for row in rows] == [
        (key, control) for key in compared for control in ("edges", "centre")
    ]


@pytest.mark.parametrize(
    ("ci95", "verdict"),
    [
        ((0.01, 0.2), "above"),
        ((-0.2, -0.01), "below"),
        ((-0.01, 0.2), "not told apart"),
        ((0.0, 0.2), "not told apart"),
        ((-0.2, 0.0), "not told apart"),
    ],
)
def test_the_interval_decides(ci95: tuple[float, float], verdict: str) -> None:
    assert verdict_of(Estimate(mean=sum(ci95) / 2, ci95=ci95, n=30, units=30)) == verdict


def test_pairs_that_all_show_the_same_have_no_interval_but_tell() -> None:
    always, never = [1.0] * 12, [0.0] * 12
    for values, control, verdict in (
        (always, never, "above"),
        (never, always, "below"),
        (always, always, "not told apart"),
    ):
        row = compare("pointing", values, control)
        assert (row["ci95"], row["verdict"]) == (None, verdict)
        assert row["difference"] == values[0] - control[0]
    assert compare("pointing", always[:9], never[:9])["verdict"] is None
    # Twelve images, but copies of six: half of them tell nothing new.
    assert compare("pointing", always, never, np.arange(12) // 2)["verdict"] is None


def test_a_method_that_is_better_is_told_above() -> None:
    random = np.random.default_rng(1)
    told = Counter()
    for _ in range(30):
        hardness = random.normal(0.5, 0.2, 40)  # shared, so that pairs tell what means do not
        method = hardness + 0.1 + random.normal(0, 0.08, 40)
        control = hardness + random.normal(0, 0.08, 40)
        told[compare("gap", method, control)["verdict"]] += 1
    assert told == {"above": 30}


def test_a_method_that_is_as_good_is_mostly_not_told_apart() -> None:
    random = np.random.default_rng(2)
    told = Counter(
        compare("gap", random.normal(0.5, 0.2, 40), random.normal(0.5, 0.2, 40))["verdict"]
        for _ in range(100)
    )
    # Expected 5 of 100; 12 or more would come up once in 200 times.
    assert told["above"] + told["below"] < 12
    assert told[None] == 0


def test_controls_are_sorted_by_verdict() -> None:
    rows = [
        {"method": "lime", "measure": "gap", "control": "random", "verdict": "above"},
        {"method": "lime", "measure": "gap", "control": "centre", "verdict": None},
        {"method": "lime", "measure": "gap", "control": "edges", "verdict": "above"},
        {"method": "lime", "measure": "dice", "control": "edges", "verdict": "below"},
        {"method": "rise", "measure": "gap", "control": "edges", "verdict": "below"},
    ]
    assert controls_by_verdict(rows, "lime", "gap") == {
        "above": ["random", "edges"],
        None: ["centre"],
    }
    assert controls_by_verdict(rows, "rise", "dice") == {}
